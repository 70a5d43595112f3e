/* Threads carry the context of the code that made them, and lose it again: at the first wait after
 * the request that they were made in has ended, or they would count the next request's work to it.
 * Knows of other libraries only that their own threads are not the host's. The host's threads. */
#include "trace/thread.h"
#include "config/config.h"
#include "hook/hook.h"
#include "instr/instr.h"
#include "trace/recorder.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#include <linux/futex.h>

const struct shim_instrumentation shim_instr_thread = {"thread", SHIM_FAMILY_THREAD, NULL};

/* What a new thread takes over. */
struct start {
    union {
        void *(*pthread)(void *);
        thrd_start_t thrd;
    } function;
    void *argument;
    struct shim_context context;
};

/* Whether the code at this address belongs to a library whose threads work for all requests alike.
 */
static bool is_library_thread(const void *caller)
{
    static const char *const libraries[] = {"libcurl", "librdkafka"};
    struct shim_module module;
    if (shim_is_ours(caller))
        return true;
    if (shim_module_of(caller, &module) != 0 || !module.soname)
        return false;
    for (unsigned i = 0; i < sizeof(libraries) / sizeof(*libraries); i++)
        if (strncmp(module.soname, libraries[i], strlen(libraries[i])) == 0)
            return true;
    return false;
}

/* What the new thread is to take over; NULL: nothing, or no memory for it. */
static struct start *start_new(const void *frame, const void *caller, void *argument)
{
    struct shim_thread *thread = shim_thread_tls;
    if (!thread || !shim_instr_is_on(SHIM_FAMILY_THREAD))
        return NULL;
    const struct shim_context *context = shim_thread_current(thread, frame);
    if ((!shim_context_is_valid(context) && !context->carried) || is_library_thread(caller))
        return NULL;
    struct start *start = malloc(sizeof(*start));
    if (!start)
        return NULL;
    start->argument = argument;
    shim_context_copy(&start->context, context);
    return start;
}

static void start_free(struct start *start)
{
    if (!start)
        return;
    shim_context_fini(&start->context);
    free(start);
}

/* In the new thread, before any code of the host's. */
static struct start begin(void *given)
{
    struct start *start = given, taken = *start;
    struct shim_thread *thread = shim_thread_self();
    if (thread)
        shim_thread_inherit(thread, &start->context);
    start_free(start);
    return taken;
}

static void *run_pthread(void *given)
{
    struct start start = begin(given);
    return start.function.pthread(start.argument);
}

static int run_thrd(void *given)
{
    struct start start = begin(given);
    return start.function.thrd(start.argument);
}

HOOK(int, pthread_create,
     (pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
      void *(*function)(void *), void *restrict argument))
{
    int saved_errno = errno;
    struct start *start = start_new(SHIM_FRAME(), SHIM_CALLER, argument);
    errno = saved_errno;
    if (!start)
        return REAL(pthread_create)(thread, attributes, function, argument);
    start->function.pthread = function;
    int error = REAL(pthread_create)(thread, attributes, run_pthread, start);
    if (error)
        start_free(start);
    return error;
}

HOOK(int, thrd_create, (thrd_t * thread, thrd_start_t function, void *argument))
{
    int saved_errno = errno;
    struct start *start = start_new(SHIM_FRAME(), SHIM_CALLER, argument);
    errno = saved_errno;
    if (!start)
        return REAL(thrd_create)(thread, function, argument);
    start->function.thrd = function;
    int error = REAL(thrd_create)(thread, run_thrd, start);
    if (error != thrd_success)
        start_free(start);
    return error;
}

/* A thread that waits for its next piece of work is done with the one it inherited. libcurl's
 * waiting for its own transfers is part of the work. NULL: nothing more to look at afterwards. */
static struct shim_thread *end_at_wait(struct shim_thread *thread, const void *caller)
{
    if (thread->depth > 0)
        return NULL; /* inside a hooked call, or a span of the program's own */
    int saved_errno = errno;
    bool works = is_library_thread(caller);
    shim_thread_at_wait(thread, works);
    errno = saved_errno;
    return works || thread->ambient == 0 ? NULL : thread;
}

/* Two loads in a thread without an ambient context. */
static inline struct shim_thread *before_wait(const void *caller)
{
    struct shim_thread *thread = shim_thread_tls;
    return thread && thread->ambient != 0 ? end_at_wait(thread, caller) : NULL;
}

/* What a thread of a pool waited for while its first request ended is the next one's work. */
static inline void after_wait(struct shim_thread *thread)
{
    if (!thread)
        return;
    int saved_errno = errno;
    shim_thread_at_wait(thread, false);
    errno = saved_errno;
}

HOOK(int, pthread_cond_wait, (pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(pthread_cond_wait)(condition, mutex);
    after_wait(waiting);
    return result;
}

HOOK(int, pthread_cond_timedwait,
     (pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
      const struct timespec *restrict deadline))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(pthread_cond_timedwait)(condition, mutex, deadline);
    after_wait(waiting);
    return result;
}

HOOK(int, pthread_cond_clockwait,
     (pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, clockid_t clock,
      const struct timespec *restrict deadline))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(pthread_cond_clockwait)(condition, mutex, clock, deadline);
    after_wait(waiting);
    return result;
}

HOOK(int, cnd_wait, (cnd_t * condition, mtx_t *mutex))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(cnd_wait)(condition, mutex);
    after_wait(waiting);
    return result;
}

HOOK(int, cnd_timedwait,
     (cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict deadline))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(cnd_timedwait)(condition, mutex, deadline);
    after_wait(waiting);
    return result;
}

HOOK(int, sem_wait, (sem_t * semaphore))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(sem_wait)(semaphore);
    after_wait(waiting);
    return result;
}

HOOK(int, sem_timedwait, (sem_t *restrict semaphore, const struct timespec *restrict deadline))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(sem_timedwait)(semaphore, deadline);
    after_wait(waiting);
    return result;
}

HOOK(int, sem_clockwait,
     (sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict deadline))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(sem_clockwait)(semaphore, clock, deadline);
    after_wait(waiting);
    return result;
}

HOOK(int, epoll_wait, (int epoll, struct epoll_event *events, int count, int timeout))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(epoll_wait)(epoll, events, count, timeout);
    after_wait(waiting);
    return result;
}

HOOK(int, epoll_pwait,
     (int epoll, struct epoll_event *events, int count, int timeout, const sigset_t *mask))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(epoll_pwait)(epoll, events, count, timeout, mask);
    after_wait(waiting);
    return result;
}

HOOK(int, epoll_pwait2,
     (int epoll, struct epoll_event *events, int count, const struct timespec *timeout,
      const sigset_t *mask))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(epoll_pwait2)(epoll, events, count, timeout, mask);
    after_wait(waiting);
    return result;
}

HOOK(int, poll, (struct pollfd * descriptors, nfds_t count, int timeout))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(poll)(descriptors, count, timeout);
    after_wait(waiting);
    return result;
}

HOOK(int, ppoll,
     (struct pollfd * descriptors, nfds_t count, const struct timespec *timeout,
      const sigset_t *mask))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(ppoll)(descriptors, count, timeout, mask);
    after_wait(waiting);
    return result;
}

/* What poll and ppoll become under _FORTIFY_SOURCE. */
int __poll_chk(struct pollfd *descriptors, nfds_t count, int timeout, size_t size);
int __ppoll_chk(struct pollfd *descriptors, nfds_t count, const struct timespec *timeout,
                const sigset_t *mask, size_t size);

HOOK(int, __poll_chk, (struct pollfd * descriptors, nfds_t count, int timeout, size_t size))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(__poll_chk)(descriptors, count, timeout, size);
    after_wait(waiting);
    return result;
}

HOOK(int, __ppoll_chk,
     (struct pollfd * descriptors, nfds_t count, const struct timespec *timeout,
      const sigset_t *mask, size_t size))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(__ppoll_chk)(descriptors, count, timeout, mask, size);
    after_wait(waiting);
    return result;
}

HOOK(int, select,
     (int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict exceptional,
      struct timeval *restrict timeout))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(select)(count, readable, writable, exceptional, timeout);
    after_wait(waiting);
    return result;
}

HOOK(int, pselect,
     (int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict exceptional,
      const struct timespec *restrict timeout, const sigset_t *restrict mask))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(pselect)(count, readable, writable, exceptional, timeout, mask);
    after_wait(waiting);
    return result;
}

HOOK(int, accept, (int socket, __SOCKADDR_ARG address, socklen_t *restrict address_len))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(accept)(socket, address, address_len);
    after_wait(waiting);
    return result;
}

HOOK(int, accept4, (int socket, __SOCKADDR_ARG address, socklen_t *restrict address_len, int flags))
{
    struct shim_thread *waiting = before_wait(SHIM_CALLER);
    int result = REAL(accept4)(socket, address, address_len, flags);
    after_wait(waiting);
    return result;
}

/* Queues built on futexes wait through here (std::atomic::wait, Rust, Go with cgo). */
HOOK(long, syscall, (long number, ...))
{
    va_list args;
    va_start(args, number);
    long a = va_arg(args, long), b = va_arg(args, long), c = va_arg(args, long);
    long d = va_arg(args, long), e = va_arg(args, long), f = va_arg(args, long);
    va_end(args);
    struct shim_thread *waiting = NULL;
    if (number == SYS_futex) {
        long operation = b & FUTEX_CMD_MASK;
        if (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET)
            waiting = before_wait(SHIM_CALLER);
    }
    long result = REAL(syscall)(number, a, b, c, d, e, f);
    after_wait(waiting);
    return result;
}
