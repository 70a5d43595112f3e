/* Another tool's preload: wraps parrot_speak by RTLD_NEXT and says so; and looks for what may not
 * exist. */
#include <dlfcn.h>
#include <stdio.h>

#include "parrot.h"

int interposer_asks(const char *name);

const char *parrot_speak(struct parrot *parrot)
{
    const char *(*next)(struct parrot *);

    *(void **)&next = dlsym(RTLD_NEXT, "parrot_speak");
    if (next == NULL)
        return "nothing";
    printf("interposed\n");
    return next(parrot);
}

/* 1: RTLD_NEXT finds the name; 0: it does not, and dlerror names it; -1: else. */
int interposer_asks(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found != NULL)
        return 1;
    return dlerror() != NULL ? 0 : -1;
}
