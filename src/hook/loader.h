/* libc's own view of the loaded modules, whoever else has put a function of the same name in front:
 * sanitizers do, and crash when it is called before they are ready, which is when they call our
 * dlsym. Also keeps forks away from threads inside the loader: libc does not free the lock of
 * dl_iterate_phdr in a child whose parent had it taken. Known to resolve.c, and to shim.c for its
 * dlopen. Any thread, async-signal-safe; never the dynamic linker's own lock. */
#pragma once

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>

/* dl_iterate_phdr. */
int shim_loader_iterate(int (*visit)(struct dl_phdr_info *info, size_t size, void *data),
                        void *data);

/* _dl_find_object: 1: found; 0: no module contains the address; -1: this libc does not have it. */
int shim_loader_find_object(const void *address, struct dl_find_object *ret_object);

/* For the constructor: finds both. The first use does it otherwise. */
void shim_loader_init(void);

/* For the constructor: forks look from now on whether a thread is inside. */
void shim_loader_watch_forks(void);

/* Around what takes the loader's locks for a short time. A fork in another thread waits until this
 * one has left, and this one until the fork is over; both for a bounded time, after which the child
 * does without the lock. Does not keep two threads apart. May be nested. */
int shim_loader_enter(void);
void shim_loader_leave(int place);

/* In a forked child whose parent had a thread inside all the same, so that dl_iterate_phdr would
 * wait forever, or may have had one of the host's and has no other thread: the loader's list, to be
 * read without the lock. NULL: not so. */
const struct link_map *shim_loader_unlocked(void);

/* Whether an entry of that list was unmapped before the fork. */
bool shim_loader_is_gone(const struct link_map *map);
