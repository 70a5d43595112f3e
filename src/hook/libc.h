/* The real functions of libc that wrappers and the rest of us call instead of the exported ones.
 * Knows no library but libc. Any thread; async-signal-safe once initialised. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "hook/resolve.h"

/* X(name, missing): what a call to a function does that this libc does not have. ERRNO: -1 with
 * errno = ENOSYS; CODE: returns ENOSYS; ERROR: returns thrd_error; NONE: returns NULL. */
#define SHIM_LIBC_FUNCTIONS(X)                                                                     \
    X(__poll_chk, ERRNO)                                                                           \
    X(__ppoll_chk, ERRNO)                                                                          \
    X(_Exit, ERRNO)                                                                                \
    X(_exit, ERRNO)                                                                                \
    X(accept, ERRNO)                                                                               \
    X(accept4, ERRNO)                                                                              \
    X(cnd_timedwait, ERROR)                                                                        \
    X(cnd_wait, ERROR)                                                                             \
    X(dlclose, ERRNO)                                                                              \
    X(dlsym, NONE)                                                                                 \
    X(dlvsym, NONE)                                                                                \
    X(epoll_pwait, ERRNO)                                                                          \
    X(epoll_pwait2, ERRNO)                                                                         \
    X(epoll_wait, ERRNO)                                                                           \
    X(poll, ERRNO)                                                                                 \
    X(ppoll, ERRNO)                                                                                \
    X(pselect, ERRNO)                                                                              \
    X(pthread_cond_clockwait, CODE)                                                                \
    X(pthread_cond_timedwait, CODE)                                                                \
    X(pthread_cond_wait, CODE)                                                                     \
    X(pthread_create, CODE)                                                                        \
    X(pthread_setname_np, CODE)                                                                    \
    X(select, ERRNO)                                                                               \
    X(sem_clockwait, ERRNO)                                                                        \
    X(sem_timedwait, ERRNO)                                                                        \
    X(sem_wait, ERRNO)                                                                             \
    X(syscall, ERRNO)                                                                              \
    X(thrd_create, ERROR)

#define SHIM_LIBC_ENUM(name, missing) SHIM_LIBC_##name,
enum shim_libc { SHIM_LIBC_FUNCTIONS(SHIM_LIBC_ENUM) SHIM_LIBC_COUNT };
#undef SHIM_LIBC_ENUM

/* NULL: not looked for yet, or missing. Written by libc.c only. */
extern SHIM_HIDDEN _Atomic(shim_function) shim_libc_function[SHIM_LIBC_COUNT];

/* Finds them all. For the constructor; a function that is needed before is found then. */
void shim_libc_init(void);

/* The real function; never NULL: a missing one fails as above. */
shim_function shim_libc_find(enum shim_libc which);

static inline shim_function shim_libc_get(enum shim_libc which)
{
    shim_function found = atomic_load_explicit(&shim_libc_function[which], memory_order_relaxed);
    return __builtin_expect(found != NULL, 1) ? found : shim_libc_find(which);
}

/* Which one the name is; SHIM_LIBC_COUNT: none of these. */
enum shim_libc shim_libc_named(const char *name);

/* The real function, without a walk through the modules when it was found before; NULL: missing. */
shim_function shim_libc_look_up(enum shim_libc which);

/* REAL(poll)(fds, count, timeout): one load and an indirect call. Its header is to be included. */
#define REAL(name) ((typeof(&(name)))shim_libc_get(SHIM_LIBC_##name))
