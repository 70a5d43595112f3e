/* A map from the host's handles (CURL *, CURLM *) to ours, read without locks. A handle is inserted
 * where it is made and removed where it ends, and its owner uses it from one thread at a time, so
 * one key is never raced over; different keys are, freely. Grows by adding tables, never moves an
 * entry. Leaf. Any thread, async-signal-safe (growing calls mmap). */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHIM_PTRMAP_TABLES 16

struct shim_ptrmap_entry {
    _Atomic(const void *) key;
    _Atomic(void *) value;
};

/* Zero-initialised is empty. */
struct shim_ptrmap {
    _Atomic(struct shim_ptrmap_entry *) table[SHIM_PTRMAP_TABLES]; /* each twice the one before */
};

/* False: no memory, the key is not in the map. Key and value are not NULL. */
bool shim_ptrmap_insert(struct shim_ptrmap *map, const void *key, void *value);
/* NULL: not there. */
void *shim_ptrmap_find(struct shim_ptrmap *map, const void *key);
/* Returns what was there, or NULL. */
void *shim_ptrmap_remove(struct shim_ptrmap *map, const void *key);
