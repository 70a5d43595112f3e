/* Where everything is put together: what happens when the library is loaded, at the first recorded
 * span, at a flush and at exit. The one file that knows every layer. The constructor runs in the
 * host's main thread before main; run_exporter is the exporter thread; the rest runs in whichever
 * host thread comes along. */
#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "build_id.h"
#include "config/config.h"
#include "export/exporter.h"
#include "hook/hook.h"
#include "hook/loader.h"
#include "instr/instr.h"
#include "trace/recorder.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORTER_FILE  "libotelshim-exporter.so"
#define EXPORTER_STACK (512 * 1024)

#define MS 1000000ull
/* How long exit may wait: for a connection, and in all. */
#define EXIT_CONNECT_MIN (300 * MS)
#define EXIT_MAX         (2000 * MS)

static _Atomic uint32_t flush_wanted, flush_done, phase;
static uint64_t load_time_ns;
static char exporter_path[PATH_MAX];
static _Atomic uint64_t exit_spent_ns;
static _Atomic uint64_t flushed_at_exit; /* spans recorded by then */
static _Atomic uint64_t stood_down;      /* spans recorded and lost by standing down */

static void futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t ns)
{
    struct timespec timeout = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &timeout, NULL, 0);
}

/* How long a host that ends waits in the exporter's present phase. */
static uint64_t exit_limit(uint64_t now)
{
    uint32_t present = atomic_load(&phase);
    if (present == SHIM_EXPORT_FAILED)
        return 0;
    if (present != SHIM_EXPORT_CONNECTING)
        return EXIT_MAX;
    uint64_t tenth = (now - load_time_ns) / 10;
    uint64_t limit = tenth > EXIT_CONNECT_MIN ? tenth : EXIT_CONNECT_MIN;
    return limit < EXIT_MAX ? limit : EXIT_MAX;
}

/* Asks for a flush and waits while `limit` says there is time left. */
static bool flush(uint64_t (*limit)(uint64_t now), uint64_t fixed_limit, uint64_t already_spent)
{
    uint32_t wanted = atomic_fetch_add(&flush_wanted, 1) + 1;
    shim_recorder_ring();
    uint64_t start = shim_clock_now();
    for (;;) {
        uint32_t done = atomic_load(&flush_done);
        if ((int32_t)(done - wanted) >= 0)
            return true;
        uint64_t now = shim_clock_now();
        uint64_t spent = now - start + already_spent;
        uint64_t allowed = limit ? limit(now) : fixed_limit;
        if (spent >= allowed || atomic_load(&phase) == SHIM_EXPORT_FAILED)
            return false;
        uint64_t left = allowed - spent;
        futex_wait(&flush_done, done, left < 20 * MS ? left : 20 * MS);
    }
}

/* Whether this process has an exporter of its own: a forked child has not, and a vforked one must
 * not touch its parent's. */
static bool has_exporter(void)
{
    return atomic_load(&shim_recorder.exporter) != 0 && shim_recorder_is_own();
}

static bool flush_within(unsigned timeout_ms)
{
    return has_exporter() && flush(NULL, timeout_ms * MS, 0);
}

static bool is_drop(enum shim_counter which)
{
    return which >= SHIM_COUNTER_DROPPED_QUEUE_FULL && which <= SHIM_COUNTER_DROPPED_NO_MODULE;
}

static uint64_t count_finished(void)
{
    uint64_t sum = shim_recorder_counted(SHIM_COUNTER_SPANS_EXPORTED) +
                   shim_recorder_counted(SHIM_COUNTER_SPANS_REJECTED) + atomic_load(&stood_down);
    static const enum shim_counter after_record[] = {
        SHIM_COUNTER_DROPPED_UNREACHABLE, SHIM_COUNTER_DROPPED_TIMEOUT,
        SHIM_COUNTER_DROPPED_REFUSED,     SHIM_COUNTER_DROPPED_BAD_RESPONSE,
        SHIM_COUNTER_DROPPED_IO,          SHIM_COUNTER_DROPPED_DAMAGED,
    };
    for (unsigned i = 0; i < sizeof(after_record) / sizeof(*after_record); i++)
        sum += shim_recorder_counted(after_record[i]);
    return sum;
}

/* What became of the spans, for who asked to be told. */
static void log_summary(void)
{
    for (unsigned which = 0; which < SHIM_COUNTER_COUNT; which++) {
        uint64_t count = shim_recorder_counted(which);
        if (count != 0)
            shim_log(is_drop(which) ? SHIM_LOG_WARN : SHIM_LOG_INFO, "%llu %s",
                     (unsigned long long)count, shim_counter_text(which));
    }
}

/* At exit, however the host exits; what it records after one call is for the next. */
static void finish(void)
{
    int saved_errno = errno;
    uint64_t recorded = shim_recorder_counted(SHIM_COUNTER_SPANS_RECORDED);
    if (has_exporter() && recorded != atomic_load(&flushed_at_exit)) {
        uint64_t start = shim_clock_now();
        flush(exit_limit, 0, atomic_load(&exit_spent_ns));
        atomic_fetch_add(&exit_spent_ns, shim_clock_now() - start);
        atomic_store(&flushed_at_exit, recorded);
    }
    errno = saved_errno;
}

__attribute__((destructor)) static void unload(void)
{
    int saved_errno = errno;
    finish();
    if (shim_recorder_is_own() && shim_log_enabled(SHIM_LOG_WARN)) {
        uint64_t recorded = shim_recorder_counted(SHIM_COUNTER_SPANS_RECORDED);
        uint64_t finished = count_finished();
        /* Some may have ended after the exporter stood down. */
        enum shim_counter why = atomic_load(&phase) == SHIM_EXPORT_FAILED
                                    ? SHIM_COUNTER_DROPPED_NO_MODULE
                                    : SHIM_COUNTER_DROPPED_AT_EXIT;
        if (recorded > finished)
            shim_count(&shim_recorder.counters, why, recorded - finished);
        log_summary();
    }
    errno = saved_errno;
}

HOOK(void, _exit, (int status))
{
    unload();
    REAL(_exit)(status);
    __builtin_unreachable();
}

HOOK(void, _Exit, (int status))
{
    unload();
    REAL(_Exit)(status);
    __builtin_unreachable();
}

static void wait_at_exit(void)
{
    atexit(finish);
}

/* Any thread; errno may change. */
static void stand_down(const char *why)
{
    struct shim_recorder *r = &shim_recorder;
    shim_log(SHIM_LOG_ERROR, "no spans are exported: %s", why);
    atomic_store(&r->not_kept, SHIM_COUNTER_DROPPED_NO_MODULE);
    atomic_store(&r->records, false);
    shim_recorder_harvest();
    uint64_t recorded = shim_recorder_counted(SHIM_COUNTER_SPANS_RECORDED);
    uint64_t lost = recorded - count_finished();
    shim_count(&r->counters, SHIM_COUNTER_DROPPED_NO_MODULE, lost);
    atomic_store(&stood_down, lost);
    atomic_store(&phase, SHIM_EXPORT_FAILED);
}

static void print_warnings(void)
{
    const char *warning;
    for (unsigned i = 0; (warning = shim_config_warning(i)); i++)
        shim_log_always("%s", warning);
}

/* A thread inherits its maker's scheduling: ours is not to compete with real-time work. */
static void leave_real_time(void)
{
    int policy = sched_getscheduler(0);
    if (policy == SCHED_FIFO || policy == SCHED_RR)
        sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0});
}

/* The exporter's descriptors are no business of the host's, nor the host's of the exporter: with a
 * table of its own, neither can close or inherit the other's, none of ours takes a low number of
 * theirs, and a pipe that they close is closed. Where the kernel cannot (before 5.9) or may not,
 * base/fd.c keeps them apart. Not when the host's stderr is wanted. */
static void leave_descriptor_table(void)
{
    if ((shim_config.exporters & SHIM_EXPORTER_CONSOLE) ||
        strcmp(shim_config.log_target, "stderr") == 0)
        return;
    if (syscall(SYS_close_range, 0, ~0u, CLOSE_RANGE_UNSHARE) != 0)
        return;
    /* What is written to 0, 1 or 2 by mistake goes nowhere. */
    for (int fd = 0; fd < 3; fd++)
        if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
            return;
}

static void *run_exporter(void *unused)
{
    (void)unused;
    shim_thread_is_ours = true;
    leave_real_time();
    const struct shim_export_source source = {
        .config = &shim_config,
        .counters = &shim_recorder.counters,
        .pool = &shim_recorder.pool,
        .harvest = shim_recorder_harvest,
        .refresh_clock = shim_recorder_refresh_clock,
        .loader_enter = shim_loader_enter,
        .loader_leave = shim_loader_leave,
        .waiting = &shim_recorder.waiting,
        .wait_at_exit = wait_at_exit,
        .doorbell = &shim_recorder.doorbell,
        .flush_wanted = &flush_wanted,
        .flush_done = &flush_done,
        .phase = &phase,
        .backtrace = &shim_recorder.backtrace,
    };
    print_warnings();
    leave_descriptor_table();
    int place = shim_loader_enter();
    void *module = dlopen(exporter_path, RTLD_NOW | RTLD_LOCAL);
    shim_loader_leave(place);
    void *symbol = module ? REAL(dlsym)(module, SHIM_EXPORTER_ENTRY) : NULL;
    if (!symbol) {
        const char *why = dlerror();
        stand_down(why ? why : EXPORTER_FILE);
        return NULL;
    }
    shim_exporter_entry entry;
    memcpy(&entry, &symbol, sizeof(entry));
    const struct shim_exporter_api *api = entry();
    if (strcmp(api->build, SHIM_BUILD_ID) != 0)
        stand_down(EXPORTER_FILE " is of another build");
    else if (api->run(&source) != 0)
        stand_down("the exporter could not begin");
    return NULL;
}

/* At the first recorded span, in the host's thread: only what must be done there. */
static void start_exporter(void)
{
    static _Atomic bool handlers_are_set;
    if (!atomic_exchange(&handlers_are_set, true)) {
        atexit(finish);
        at_quick_exit(finish);
    }
    atomic_store(&phase, SHIM_EXPORT_STARTING);
    atomic_store(&flush_wanted, 0);
    atomic_store(&flush_done, 0);
    atomic_store(&exit_spent_ns, 0);
    atomic_store(&flushed_at_exit, 0);
    atomic_store(&stood_down, 0);

    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, EXPORTER_STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = REAL(pthread_create)(&thread, &attributes, run_exporter, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error)
        stand_down("no thread could be made");
}

/* The exporter lies beside us. Worked out at once: the host may change its directory. */
static void find_exporter(void)
{
    struct shim_module own;
    if (shim_module_of(exporter_path, &own) != 0 || !own.path)
        return;
    char directory[PATH_MAX] = "";
    const char *slash = strrchr(own.path, '/');
    if (own.path[0] != '/' && !getcwd(directory, sizeof(directory)))
        return;
    int length =
        snprintf(exporter_path, sizeof(exporter_path), "%s%s%.*s" EXPORTER_FILE, directory,
                 directory[0] ? "/" : "", slash ? (int)(slash - own.path + 1) : 0, own.path);
    if (length < 0 || (size_t)length >= sizeof(exporter_path))
        exporter_path[0] = '\0';
}

__attribute__((constructor)) static void load(void)
{
    if (getauxval(AT_SECURE))
        return;
    int saved_errno = errno;
    shim_libc_init();
    shim_resolve_init();
    shim_hook_init();
    load_time_ns = shim_clock_now();
    shim_config_read(environ);
    if (!shim_config.disabled) {
        shim_log_init(shim_config.log_target, shim_config.log_level);
        find_exporter();
        shim_recorder_init(&shim_config);
        shim_recorder.start_exporter = start_exporter;
        shim_recorder.flush = flush_within;
        shim_instr_start();
    }
    errno = saved_errno;
}
