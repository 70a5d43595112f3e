/* A plugin that is linked with one flavour of the parrot library; loaded RTLD_LOCAL by
 * resolve_host. */
#include <pthread.h>
#include <stddef.h>

#include "parrot.h"

const char *plugin_run(void);

const char *plugin_run(void)
{
    struct parrot *parrot = parrot_new();
    const char *words;

    if (parrot == NULL)
        return "none";
    words = parrot_repeat(parrot);
    parrot_free(parrot);
    return words;
}

#ifdef WAITS
/* What some hosts do: a constructor, under the dynamic linker's lock, waits for a thread that does
 * its work with the functions that are hooked. */
static void *work(void *result)
{
    *(const char **)result = plugin_run();
    return NULL;
}

__attribute__((constructor)) static void start(void)
{
    const char *words = NULL;
    pthread_t thread;

    if (pthread_create(&thread, NULL, work, &words) == 0)
        pthread_join(thread, NULL);
}
#endif
