/* A preloaded object with src/hook in it: wraps the parrot library and some of libc, counts the
 * calls, and writes the counts to the file HOOK_REPORT when the process ends. Runs on every thread.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hook/hook.h"
#include "parrot.h"

#define PARROT_FUNCTIONS(X)                                                                        \
    X(parrot_new, SHIM_LIBRARY_CORE | SHIM_LIBRARY_NO_HANDLE)                                      \
    X(parrot_speak, SHIM_LIBRARY_CORE)                                                             \
    X(parrot_repeat, SHIM_LIBRARY_CORE)                                                            \
    X(parrot_free, SHIM_LIBRARY_CORE)                                                              \
    X(parrot_version, SHIM_LIBRARY_CORE)                                                           \
    X(parrot_sing, 0) X(parrot_sees, SHIM_LIBRARY_NO_HANDLE)

SHIM_LIBRARY_SET_DECLARE(parrot, PARROT_FUNCTIONS);
SHIM_LIBRARY_SET_DEFINE(parrot, PARROT_FUNCTIONS);

#define PARROTS_MAX 256

/* Which library made a parrot. */
static struct {
    struct parrot *_Atomic parrot;
    const struct shim_library *_Atomic library;
} parrots[PARROTS_MAX];

static _Atomic unsigned new_count, speak_count, self_count, poll_count, cond_count, name_count,
    sees_count;

static void remember(struct parrot *parrot, const struct shim_library *library)
{
    for (size_t i = 0; i < PARROTS_MAX; i++) {
        struct parrot *expected = NULL;

        if (atomic_compare_exchange_strong(&parrots[i].parrot, &expected, parrot)) {
            atomic_store(&parrots[i].library, library);
            return;
        }
    }
}

static const struct shim_library *library_of(struct parrot *parrot)
{
    for (size_t i = 0; i < PARROTS_MAX; i++)
        if (atomic_load(&parrots[i].parrot) == parrot)
            return atomic_load(&parrots[i].library);
    return NULL;
}

static void forget(struct parrot *parrot)
{
    for (size_t i = 0; i < PARROTS_MAX; i++)
        if (atomic_load(&parrots[i].parrot) == parrot)
            atomic_store(&parrots[i].parrot, NULL);
}

HOOK(struct parrot *, parrot_new, (void))
{
    const struct shim_library *library =
        shim_library_of_caller(&shim_parrot_libraries, SHIM_CALLER);
    struct parrot *parrot;

    if (library == NULL)
        return NULL;
    new_count++;
    parrot = REAL_OF(library, parrot_new)();
    if (parrot != NULL)
        remember(parrot, library);
    return parrot;
}

HOOK(const char *, parrot_speak, (struct parrot * parrot))
{
    const struct shim_library *library = library_of(parrot);

    if (library == NULL)
        return "unknown";
    if (shim_library_contains(library, SHIM_CALLER))
        self_count++;
    else
        speak_count++;
    return REAL_OF(library, parrot_speak)(parrot);
}

HOOK(const char *, parrot_repeat, (struct parrot * parrot))
{
    return REAL_OF(library_of(parrot), parrot_repeat)(parrot);
}

HOOK(void, parrot_free, (struct parrot * parrot))
{
    const struct shim_library *library = library_of(parrot);

    forget(parrot);
    REAL_OF(library, parrot_free)(parrot);
}

HOOK(const char *, parrot_sing, (struct parrot * parrot))
{
    const struct shim_library *library = library_of(parrot);

    if (library == NULL || REAL_OF(library, parrot_sing) == NULL)
        return NULL;
    return REAL_OF(library, parrot_sing)(parrot);
}

HOOK(int, parrot_sees, (const void *code, unsigned long size))
{
    const struct shim_library *library =
        shim_library_of_caller(&shim_parrot_libraries, SHIM_CALLER);

    sees_count++;
    return REAL_OF(library, parrot_sees)(code, size);
}

HOOK(int, poll, (struct pollfd * fds, nfds_t count, int timeout))
{
    poll_count++;
    return REAL(poll)(fds, count, timeout);
}

HOOK(int, pthread_cond_wait, (pthread_cond_t * cond, pthread_mutex_t *mutex))
{
    cond_count++;
    return REAL(pthread_cond_wait)(cond, mutex);
}

HOOK(int, pthread_setname_np, (pthread_t thread, const char *name))
{
    name_count++;
    return REAL(pthread_setname_np)(thread, name);
}

__attribute__((constructor)) static void start(void)
{
    shim_libc_init();
    shim_resolve_init();
    shim_hook_init();
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("HOOK_REPORT");
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    dprintf(fd, "new %u\nspeak %u\nself %u\npoll %u\ncond %u\nname %u\nsees %u\n", new_count,
            speak_count, self_count, poll_count, cond_count, name_count, sees_count);
    close(fd);
}
