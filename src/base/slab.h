/* Slots of one size whose memory keeps its type for the life of the process, so that a stale
 * reference may be looked at without harm. Taken and given back without locks; grows block by
 * block. Leaf. Any thread, async-signal-safe (growing calls mmap). */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHIM_SLAB_BLOCK_SLOTS 64u
#define SHIM_SLAB_BLOCKS      256u

/* Begins every slot. */
struct shim_slot {
    uint32_t index; /* 1-based, fixed once the slot was first taken */
    _Atomic uint32_t next_free;
};

struct shim_slab {
    size_t slot_size;
    _Atomic(uint8_t *) block[SHIM_SLAB_BLOCKS];
    _Atomic uint32_t fresh; /* slots ever taken: 1 .. fresh exist */
    _Atomic uint64_t free;  /* tag << 32 | index */
};

/* The memory that one more block takes. */
static inline size_t shim_slab_block_size(const struct shim_slab *slab)
{
    return slab->slot_size * SHIM_SLAB_BLOCK_SLOTS;
}

/* A slot, its contents as its last user left them (zero when fresh). `may_grow` false: only what
 * exists; *ret_grew: this call mapped a block for it. NULL: none free. */
void *shim_slab_take(struct shim_slab *slab, bool may_grow, bool *ret_grew);
void shim_slab_give_back(struct shim_slab *slab, void *slot);

/* NULL for an index that never existed. */
void *shim_slab_get(struct shim_slab *slab, uint32_t index);

/* Whether taking one more slot would need a new block. */
bool shim_slab_is_full(struct shim_slab *slab);
