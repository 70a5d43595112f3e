/* Type-stable slots; see slab.h. */
#include "base/slab.h"

#include <sys/mman.h>

#define TAG_ONE ((uint64_t)1 << 32)

void *shim_slab_get(struct shim_slab *slab, uint32_t index)
{
    if (index == 0 || index > SHIM_SLAB_BLOCKS * SHIM_SLAB_BLOCK_SLOTS)
        return NULL;
    uint32_t i = index - 1;
    uint8_t *block =
        atomic_load_explicit(&slab->block[i / SHIM_SLAB_BLOCK_SLOTS], memory_order_acquire);
    return block ? block + (size_t)(i % SHIM_SLAB_BLOCK_SLOTS) * slab->slot_size : NULL;
}

/* Maps the block if nobody has yet. Two threads may map at once; the second one's goes back. */
static bool have_block(struct shim_slab *slab, uint32_t number, bool *ret_grew)
{
    if (atomic_load_explicit(&slab->block[number], memory_order_acquire))
        return true;
    uint8_t *memory = mmap(NULL, shim_slab_block_size(slab), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    uint8_t *expected = NULL;
    if (atomic_compare_exchange_strong(&slab->block[number], &expected, memory))
        *ret_grew = true;
    else
        munmap(memory, shim_slab_block_size(slab));
    return true;
}

static void *take_fresh(struct shim_slab *slab, bool may_grow, bool *ret_grew)
{
    uint32_t fresh = atomic_load_explicit(&slab->fresh, memory_order_relaxed);
    for (;;) {
        if (fresh >= SHIM_SLAB_BLOCKS * SHIM_SLAB_BLOCK_SLOTS)
            return NULL;
        if (!may_grow && fresh % SHIM_SLAB_BLOCK_SLOTS == 0)
            return NULL;
        if (!have_block(slab, fresh / SHIM_SLAB_BLOCK_SLOTS, ret_grew))
            return NULL;
        if (atomic_compare_exchange_weak(&slab->fresh, &fresh, fresh + 1))
            break;
    }
    struct shim_slot *slot = shim_slab_get(slab, fresh + 1);
    slot->index = fresh + 1;
    return slot;
}

void *shim_slab_take(struct shim_slab *slab, bool may_grow, bool *ret_grew)
{
    *ret_grew = false;
    uint64_t head = atomic_load_explicit(&slab->free, memory_order_acquire);
    while ((uint32_t)head != 0) {
        struct shim_slot *slot = shim_slab_get(slab, (uint32_t)head);
        uint32_t next = atomic_load_explicit(&slot->next_free, memory_order_relaxed);
        uint64_t new_head = ((head & ~(uint64_t)UINT32_MAX) + TAG_ONE) | next;
        if (atomic_compare_exchange_weak_explicit(&slab->free, &head, new_head,
                                                  memory_order_acquire, memory_order_acquire))
            return slot;
    }
    return take_fresh(slab, may_grow, ret_grew);
}

void shim_slab_give_back(struct shim_slab *slab, void *given)
{
    struct shim_slot *slot = given;
    uint64_t head = atomic_load_explicit(&slab->free, memory_order_relaxed);
    uint64_t new_head;
    do {
        atomic_store_explicit(&slot->next_free, (uint32_t)head, memory_order_relaxed);
        new_head = ((head & ~(uint64_t)UINT32_MAX) + TAG_ONE) | slot->index;
    } while (!atomic_compare_exchange_weak_explicit(&slab->free, &head, new_head,
                                                    memory_order_release, memory_order_relaxed));
}

bool shim_slab_is_full(struct shim_slab *slab)
{
    return (uint32_t)atomic_load_explicit(&slab->free, memory_order_relaxed) == 0 &&
           atomic_load_explicit(&slab->fresh, memory_order_relaxed) % SHIM_SLAB_BLOCK_SLOTS == 0;
}
