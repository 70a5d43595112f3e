/* How a wrapper is declared, and the table of all wrappers. Knows the dynamic linker and no
 * library. The table is read by dlsym.c and by the test of the exported symbols; any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "hook/libc.h"
#include "hook/library.h"

/* One wrapper; they stand side by side in a section of their own. */
struct shim_hook {
    const char *name;
    shim_function wrapper; /* ours for certain, whoever else defines the name */
};

/* HOOK(int, poll, (struct pollfd *fds, nfds_t count, int timeout)) { body }
 * Exports the function, checks it against its declaration in the header included before, and puts
 * it into the table. A variadic function or one that a macro hides under its own name is written
 * the same way. */
#define HOOK(ret, name, args)                                                                      \
    extern __attribute__((visibility("default"))) ret(name) args;                                  \
    extern typeof(name) shim_wrapper_##name                                                        \
        __attribute__((copy(name), alias(#name), visibility("hidden")));                           \
    SHIM_HOOK_ENTRY(name, shim_wrapper_##name);                                                    \
    ret(name) args

#define SHIM_HOOK_ENTRY(hooked, function)                                                          \
    static const struct shim_hook shim_hook_##hooked                                               \
        __attribute__((used, section("shim_hook_table"), aligned(sizeof(void *)))) = {             \
            #hooked, (shim_function)(function)}

/* Where a wrapper is called from. To be used in the wrapper itself. */
#define SHIM_CALLER __builtin_extract_return_addr(__builtin_return_address(0))

/* What is known of a hooked name. */
struct shim_hooked {
    const struct shim_hook *hook;
    struct shim_library_set *set; /* NULL: libc's */
    uint32_t index;               /* in the set */
    enum shim_libc libc;          /* SHIM_LIBC_COUNT: not a name of libc's that we call */
};

/* Whether the name is hooked. */
bool shim_hook_find(const char *name, struct shim_hooked *ret_hooked);

/* Builds the index that shim_hook_find reads. Idempotent; for the constructor, else the first
 * look-up does it. */
void shim_hook_init(void);

/* The whole table. */
const struct shim_hook *shim_hooks(size_t *ret_count);
