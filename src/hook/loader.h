/* libc's own view of the loaded modules, whoever else has put a function of the same name in front:
 * sanitizers do, and crash when it is called before they are ready, which is when they call our
 * dlsym. Known to resolve.c only. Any thread; never the dynamic linker's own lock. */
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
