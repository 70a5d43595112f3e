/* Which module an address lies in, and which function a name stands for when ours is left out.
 * Knows the dynamic linker and no library. Any thread, also on hooked paths: never takes the
 * linker's own lock (a constructor may hold it and wait for this thread), never touches dlerror,
 * never allocates. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hook/elf.h"

/* Any function, whatever its type. */
typedef void (*shim_function)(void);

#define SHIM_HIDDEN __attribute__((visibility("hidden")))

/* How often a module may have gone away: what was remembered about modules is good for one value
 * only. */
extern SHIM_HIDDEN _Atomic uint32_t shim_modules_generation;

/* Bounds of the module that this code is part of, by the linker. */
extern SHIM_HIDDEN const char __ehdr_start[], _end[];

static inline bool shim_is_ours(const void *address)
{
    return (uintptr_t)address >= (uintptr_t)__ehdr_start && (uintptr_t)address < (uintptr_t)_end;
}

/* For the constructor: finds what shim_module_of wants, which the first use does otherwise, and
 * looks after forks: a child must not find the loader's locks taken by a thread that it has not. */
void shim_resolve_init(void);

/* The module that contains the address: 0, or -ENOENT. Wait-free where libc has _dl_find_object
 * (2.35). */
int shim_module_of(const void *address, struct shim_module *ret_module);

/* Calls `visit` for the loaded modules, in the order in which they were loaded, until it answers
 * true; returns that. Modules stay loaded meanwhile, and walks may be nested. `visit` must not call
 * foreign code. */
bool shim_modules_walk(bool (*visit)(const struct shim_module *module, void *data), void *data);

/* The same for those that were preloaded after us: their definitions stand between the host and us
 * on the one side and the libraries on the other. */
bool shim_modules_walk_interposers(bool (*visit)(const struct shim_module *module, void *data),
                                   void *data);

/* The same for those that come before us: the program and what was preloaded first. Without a walk
 * once initialised. */
bool shim_modules_walk_before_us(bool (*visit)(const struct shim_module *module, void *data),
                                 void *data);

/* Finds a module that satisfies `accept`, never ours. The order: the module that contains `caller`
 * and what it needs, breadth first; then those loaded after ours; then all. 0, or -ENOENT. The
 * caller is to know why the module stays loaded. */
int shim_module_find(const void *caller,
                     bool (*accept)(const struct shim_module *module, void *data), void *data,
                     struct shim_module *ret_module);

/* The function that `name` stands for in the code at `caller` (any address in it; NULL: unknown),
 * as if we were not there. NULL: there is none. */
shim_function shim_resolve(const char *name, const void *caller);

/* The first definition in a module loaded after us that a reference to libc's function would bind
 * to, in its default version: what RTLD_NEXT should find from here. NULL: there is none. */
shim_function shim_resolve_libc(const char *name);

/* The same for many names in one walk; what is not found, or wants its
 * module's code to run for it, is left as it was. */
void shim_resolve_libc_all(const char *const *names, _Atomic(shim_function) *functions,
                           size_t count);

/* To be told around each dlclose. */
void shim_modules_changed(void);
