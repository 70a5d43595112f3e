/* The process's recorder: memory on first use, a fresh start after fork, chunks collected from all
 * threads, totals. Knows no library, no network, no environment. Functions say which threads run
 * them. */
#include "trace/recorder.h"

#include "base/clock.h"
#include "trace/span.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From MEMORY_BEING_MADE on: by the process with the pid that is added to it. */
enum { MEMORY_NONE, MEMORY_READY, MEMORY_BEING_MADE, MEMORY_FAILED = -1 };

struct shim_recorder shim_recorder;

/* Becomes 0 in a child made by fork or clone, but not by vfork. */
static volatile uint8_t *fork_mark;
static uint8_t fork_mark_fallback;

static pthread_key_t thread_key;
static uint64_t random_salt;
static _Atomic uint64_t random_stream;

/* Where threads that end, or find memory tight, leave their records together. */
static _Atomic(struct shim_chunk *) shared_chunk;

void shim_recorder_init(const struct shim_config *config)
{
    struct shim_recorder *r = &shim_recorder;
    r->spans.slot_size = SHIM_SPAN_SLOT;
    r->threads.slot_size = (sizeof(struct shim_thread) + 63) & ~(size_t)63;
    r->limits = config->limits;
    r->memory_limit = (size_t)config->memory_limit;
    r->queue_limit = config->bsp_max_queue_size;
    r->batch_size = config->bsp_max_export_batch_size ? config->bsp_max_export_batch_size : 512;
    r->baggage_attributes = shim_str(config->baggage_attributes);
    atomic_store(&r->records, config->exporters != 0);
    atomic_store(&r->not_kept, SHIM_COUNTER_SPANS_NO_EXPORTER);
    r->stacks = config->stacks;
    r->stacks_after_ns = (uint64_t)config->stacks_after_ms * 1000000u;
    shim_sampler_init(&r->sampler, config->sampler, config->sampler_ratio);
}

static void forget_fork_mark(void)
{
    fork_mark_fallback = 0;
}

static void make_fork_mark(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED && madvise(memory, page, MADV_WIPEONFORK) == 0) {
        fork_mark = memory;
    } else {
        /* Linux before 4.14: a child made by a bare clone is not noticed. */
        fork_mark = &fork_mark_fallback;
        pthread_atfork(NULL, NULL, forget_fork_mark);
    }
    *fork_mark = 1;
}

static uint64_t make_salt(void)
{
    return shim_clock_now() ^ (uint64_t)getpid() << 40;
}

/* The thread that dies hands in what it has. Runs as a destructor of thread-specific data. */
static void end_thread(void *state)
{
    struct shim_thread *thread = state;
    struct shim_chunk *chunk = atomic_exchange(&thread->chunk, NULL);
    struct shim_span *spare = atomic_exchange(&thread->spare_span, NULL);
    if (chunk)
        shim_recorder_share(chunk);
    if (spare)
        shim_slab_give_back(&shim_recorder.spans, spare);
    shim_thread_forget(thread);
    shim_thread_tls = NULL;
    shim_slab_give_back(&shim_recorder.threads, thread);
}

static void refresh_clock_offset(void)
{
    atomic_store_explicit(&shim_recorder.clock_offset, shim_clock_measure_offset(),
                          memory_order_relaxed);
}

static bool make_memory(void)
{
    struct shim_recorder *r = &shim_recorder;
    if (shim_pool_init(&r->pool, r->memory_limit) != 0)
        return false;
    shim_pool_reset(&r->pool);
    if (pthread_key_create(&thread_key, end_thread) != 0)
        return false;
    make_fork_mark();
    random_salt = make_salt();
    atomic_store(&r->pid, getpid());
    refresh_clock_offset();
    return true;
}

static void reset_counts(struct shim_thread *thread)
{
    atomic_store(&thread->started, 0);
    atomic_store(&thread->unsampled, 0);
    atomic_store(&thread->recorded, 0);
}

/* In a forked child only the calling thread lives on; what was recorded, and who was recording it,
 * is the parent's. */
static void start_over(void)
{
    struct shim_recorder *r = &shim_recorder;
    shim_pool_reset(&r->pool);
    atomic_store(&shared_chunk, NULL);
    atomic_store(&r->threads.free, 0);
    uint32_t threads = atomic_load(&r->threads.fresh);
    for (uint32_t index = 1; index <= threads; index++) {
        struct shim_thread *thread = shim_slab_get(&r->threads, index);
        atomic_store(&thread->chunk, NULL);
        reset_counts(thread);
        if (thread != shim_thread_tls)
            shim_slab_give_back(&r->threads, thread);
    }
    /* Spans that were running are the parent's to record, and their chunks are others' now. */
    uint32_t spans = atomic_load(&r->spans.fresh);
    for (uint32_t index = 1; index <= spans; index++) {
        struct shim_span *span = shim_slab_get(&r->spans, index);
        span->recording = false;
        span->chunk = NULL;
    }
    for (unsigned i = 0; i < SHIM_COUNTER_COUNT; i++)
        atomic_store(&r->counters.value[i], 0);
    atomic_store(&r->waiting, 0);
    atomic_store(&r->exporter, 0);
    atomic_store(&r->pid, getpid());
    random_salt = make_salt();
    if (shim_thread_tls)
        shim_random_seed(&shim_thread_tls->random, atomic_fetch_add(&random_stream, 1),
                         random_salt);
    refresh_clock_offset();
    *fork_mark = 1;
}

/* Another thread makes the memory: microseconds, once in a process's life, unless it was stopped in
 * the middle, or was left behind by a fork. */
#define MAKING_TRIES 1000

static bool ready_slowly(void)
{
    _Atomic int *state = &shim_recorder.state;
    int seen = atomic_load(state);
    for (unsigned tries = 0; tries < MAKING_TRIES; tries++) {
        if (seen == MEMORY_FAILED || (seen == MEMORY_READY && *fork_mark))
            return seen == MEMORY_READY;
        if (seen >= MEMORY_BEING_MADE) {
            if (seen != MEMORY_BEING_MADE + getpid())
                atomic_compare_exchange_strong(state, &seen, MEMORY_NONE);
            sched_yield();
            seen = atomic_load(state);
        } else if (atomic_compare_exchange_weak(state, &seen, MEMORY_BEING_MADE + getpid())) {
            bool ready = true;
            if (seen == MEMORY_READY)
                start_over();
            else
                ready = make_memory();
            atomic_store(state, ready ? MEMORY_READY : MEMORY_FAILED);
            return ready;
        }
    }
    return false;
}

bool shim_recorder_is_own(void)
{
    return atomic_load(&shim_recorder.state) == MEMORY_READY && *fork_mark &&
           atomic_load(&shim_recorder.pid) == getpid();
}

bool shim_recorder_ready(void)
{
    if (atomic_load_explicit(&shim_recorder.state, memory_order_acquire) == MEMORY_READY &&
        *fork_mark)
        return true;
    return ready_slowly();
}

static struct shim_thread *make_thread(void)
{
    if (shim_thread_is_ours)
        return NULL;
    bool grew;
    struct shim_thread *thread = shim_slab_take(&shim_recorder.threads, true, &grew);
    if (!thread) {
        shim_count(&shim_recorder.counters, SHIM_COUNTER_THREADS_DROPPED, 1);
        return NULL;
    }
    /* A slot of the parent's threads comes as fork left it. */
    thread->depth = 0;
    thread->ambient = 0;
    thread->inherited = thread->continuation = (struct shim_context){0};
    shim_random_seed(&thread->random, atomic_fetch_add(&random_stream, 1), random_salt);
    shim_thread_tls = thread;
    /* Without the destructor its records still go out with the next harvest. */
    pthread_setspecific(thread_key, thread);
    return thread;
}

struct shim_thread *shim_thread_self(void)
{
    if (!shim_recorder_ready())
        return NULL;
    struct shim_thread *thread = shim_thread_tls;
    return thread ? thread : make_thread();
}

static void post(struct shim_chunk *chunk)
{
    struct shim_recorder *r = &shim_recorder;
    uint32_t spans = chunk->spans;
    if (spans == 0) {
        shim_pool_give_back(&r->pool, chunk);
        return;
    }
    /* Counted first: the exporter takes off what it has dealt with. */
    uint64_t before = atomic_fetch_add_explicit(&r->waiting, spans, memory_order_relaxed);
    shim_pool_post(&r->pool, chunk);
    if (before / r->batch_size != (before + spans) / r->batch_size || shim_pool_is_tight(&r->pool))
        shim_recorder_ring();
}

struct shim_chunk *shim_recorder_take_shared(void)
{
    return atomic_exchange(&shared_chunk, NULL);
}

void shim_recorder_share(struct shim_chunk *chunk)
{
    struct shim_chunk *other = atomic_exchange(&shared_chunk, NULL);
    if (other && other->used + chunk->used <= SHIM_CHUNK_ROOM) {
        memcpy(other->data + other->used, chunk->data, chunk->used);
        other->used += chunk->used;
        other->spans += chunk->spans;
        shim_pool_give_back(&shim_recorder.pool, chunk);
        chunk = other;
    } else if (other) {
        post(other);
    }
    other = atomic_exchange(&shared_chunk, chunk);
    if (other)
        post(other);
}

void shim_recorder_post(struct shim_chunk *chunk)
{
    post(chunk);
}

void shim_recorder_harvest(void)
{
    struct shim_recorder *r = &shim_recorder;
    if (atomic_load(&r->state) != MEMORY_READY)
        return;
    uint32_t threads = atomic_load(&r->threads.fresh);
    for (uint32_t index = 1; index <= threads; index++) {
        struct shim_thread *thread = shim_slab_get(&r->threads, index);
        struct shim_chunk *chunk =
            atomic_load_explicit(&thread->chunk, memory_order_relaxed)
                ? atomic_exchange_explicit(&thread->chunk, NULL, memory_order_acquire)
                : NULL;
        if (chunk)
            post(chunk);
    }
    struct shim_chunk *chunk = atomic_exchange(&shared_chunk, NULL);
    if (chunk)
        post(chunk);
}

void shim_recorder_refresh_clock(void)
{
    refresh_clock_offset();
}

uint64_t shim_recorder_counted(enum shim_counter which)
{
    struct shim_recorder *r = &shim_recorder;
    uint64_t sum = shim_counted(&r->counters, which);
    uint32_t threads = atomic_load(&r->threads.fresh);
    for (uint32_t index = 1; index <= threads; index++) {
        struct shim_thread *thread = shim_slab_get(&r->threads, index);
        if (which == SHIM_COUNTER_SPANS_STARTED)
            sum += atomic_load_explicit(&thread->started, memory_order_relaxed);
        else if (which == SHIM_COUNTER_SPANS_UNSAMPLED)
            sum += atomic_load_explicit(&thread->unsampled, memory_order_relaxed);
        else if (which == SHIM_COUNTER_SPANS_RECORDED)
            sum += atomic_load_explicit(&thread->recorded, memory_order_relaxed);
    }
    return sum;
}

void shim_recorder_ring(void)
{
    atomic_fetch_add(&shim_recorder.doorbell, 1);
    syscall(SYS_futex, &shim_recorder.doorbell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
