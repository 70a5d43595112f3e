/* The real functions of libc. Must not know who calls them. Initialised by the constructor, or
 * piecemeal by wrappers that run before it, in constructors of other libraries or in an allocator's
 * start. */
#include "hook/libc.h"

#include <errno.h>
#include <threads.h>

enum missing { MISSING_ERRNO, MISSING_CODE, MISSING_ERROR, MISSING_NONE };

static const char *const names[SHIM_LIBC_COUNT] = {
#define NAME(name, missing) #name,
    SHIM_LIBC_FUNCTIONS(NAME)
#undef NAME
};

static const uint8_t missing_kind[SHIM_LIBC_COUNT] = {
#define KIND(name, missing) MISSING_##missing,
    SHIM_LIBC_FUNCTIONS(KIND)
#undef KIND
};

_Atomic(shim_function) shim_libc_function[SHIM_LIBC_COUNT];

/* What is called in place of a function that this libc does not have: a program that found ours by
 * a weak reference must be able to go on. Called with other arguments than declared, which both
 * ABIs allow. */
static long fail_errno(void)
{
    errno = ENOSYS;
    return -1;
}

static long fail_code(void)
{
    return ENOSYS;
}

static long fail_error(void)
{
    return thrd_error;
}

static void *fail_none(void)
{
    return NULL;
}

static shim_function failing(enum missing missing)
{
    switch (missing) {
    case MISSING_CODE:
        return (shim_function)fail_code;
    case MISSING_ERROR:
        return (shim_function)fail_error;
    case MISSING_NONE:
        return (shim_function)fail_none;
    default:
        return (shim_function)fail_errno;
    }
}

enum shim_libc shim_libc_named(const char *name)
{
    unsigned which = 0;

    while (which < SHIM_LIBC_COUNT && !shim_elf_equal(names[which], name))
        which++;
    return (enum shim_libc)which;
}

/* What is missing is looked for each time: libpthread may be loaded later. */
shim_function shim_libc_look_up(enum shim_libc which)
{
    shim_function found = atomic_load_explicit(&shim_libc_function[which], memory_order_relaxed);

    if (found != NULL)
        return found;
    found = shim_resolve_libc(names[which]);
    if (found != NULL)
        atomic_store_explicit(&shim_libc_function[which], found, memory_order_relaxed);
    return found;
}

void shim_libc_init(void)
{
    shim_resolve_libc_all(names, shim_libc_function, SHIM_LIBC_COUNT);
}

shim_function shim_libc_find(enum shim_libc which)
{
    shim_function found = shim_libc_look_up(which);

    return found != NULL ? found : failing(missing_kind[which]);
}
