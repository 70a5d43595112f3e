/* dlclose: what was remembered about modules may be wrong after it. Must not know who remembers.
 * Runs on every thread; destructors of the module run inside, and they may call anything hooked. */
#include <dlfcn.h>
#include <errno.h>

#include "hook/hook.h"

HOOK(int, dlclose, (void *handle))
{
    int saved_errno, result;

    shim_modules_changed();
    result = REAL(dlclose)(handle);
    saved_errno = errno;
    shim_modules_changed(); /* what the destructors' calls made us remember is gone now */
    errno = saved_errno;
    return result;
}
