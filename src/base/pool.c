/* Chunks of finished spans; see pool.h. */
#include "base/pool.h"

#include <errno.h>
#include <sys/mman.h>

#define TAG_ONE ((uint64_t)1 << 32)

int shim_pool_init(struct shim_pool *pool, size_t limit)
{
    uint32_t count = (uint32_t)(limit / SHIM_CHUNK_SIZE);
    if (count < 2)
        count = 2;
    void *memory = MAP_FAILED;
    /* A host near its RLIMIT_AS gets a smaller pool rather than none. */
    for (; count >= 2; count /= 2) {
        memory = mmap(NULL, (size_t)count * SHIM_CHUNK_SIZE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory != MAP_FAILED)
            break;
    }
    if (memory == MAP_FAILED)
        return -ENOMEM;
    /* A host that locks its memory (mlockall) would have all of it made at once. */
    munlock(memory, (size_t)count * SHIM_CHUNK_SIZE);
    if (mprotect(memory, (size_t)count * SHIM_CHUNK_SIZE, PROT_READ | PROT_WRITE) != 0) {
        munmap(memory, (size_t)count * SHIM_CHUNK_SIZE);
        return -ENOMEM;
    }
    /* Whole huge pages for a few spans would be felt in the host's resident memory. */
    madvise(memory, (size_t)count * SHIM_CHUNK_SIZE, MADV_NOHUGEPAGE);
    pool->memory = memory;
    pool->count = count;
    return 0;
}

void shim_pool_reset(struct shim_pool *pool)
{
    madvise(pool->memory, (size_t)pool->count * SHIM_CHUNK_SIZE, MADV_DONTNEED);
    atomic_store(&pool->fresh, 0);
    atomic_store(&pool->free, 0);
    atomic_store(&pool->full, 0);
    atomic_store(&pool->in_use, 0);
}

struct shim_chunk *shim_pool_chunk(struct shim_pool *pool, uint32_t index)
{
    return (struct shim_chunk *)(pool->memory + (size_t)(index - 1) * SHIM_CHUNK_SIZE);
}

static struct shim_chunk *take_free(struct shim_pool *pool)
{
    uint64_t head = atomic_load_explicit(&pool->free, memory_order_acquire);
    while ((uint32_t)head != 0) {
        struct shim_chunk *chunk = shim_pool_chunk(pool, (uint32_t)head);
        uint32_t next = atomic_load_explicit(&chunk->next, memory_order_relaxed);
        uint64_t new_head = ((head & ~(uint64_t)UINT32_MAX) + TAG_ONE) | next;
        if (atomic_compare_exchange_weak_explicit(&pool->free, &head, new_head,
                                                  memory_order_acquire, memory_order_acquire))
            return chunk;
    }
    uint32_t fresh = atomic_load_explicit(&pool->fresh, memory_order_relaxed);
    do {
        if (fresh >= pool->count)
            return NULL;
    } while (!atomic_compare_exchange_weak(&pool->fresh, &fresh, fresh + 1));
    struct shim_chunk *chunk = shim_pool_chunk(pool, fresh + 1);
    chunk->index = fresh + 1;
    return chunk;
}

struct shim_chunk *shim_pool_take(struct shim_pool *pool)
{
    uint32_t in_use = atomic_fetch_add_explicit(&pool->in_use, 1, memory_order_relaxed);
    struct shim_chunk *chunk = NULL;
    if (in_use + atomic_load_explicit(&pool->reserved, memory_order_relaxed) < pool->count)
        chunk = take_free(pool);
    if (!chunk) {
        atomic_fetch_sub_explicit(&pool->in_use, 1, memory_order_relaxed);
        return NULL;
    }
    chunk->used = 0;
    chunk->spans = 0;
    return chunk;
}

static uint32_t chunks_of(size_t bytes)
{
    return (uint32_t)((bytes + SHIM_CHUNK_SIZE - 1) / SHIM_CHUNK_SIZE);
}

void shim_pool_unreserve(struct shim_pool *pool, size_t bytes)
{
    atomic_fetch_sub(&pool->reserved, chunks_of(bytes));
}

bool shim_pool_reserve(struct shim_pool *pool, size_t bytes)
{
    uint32_t chunks = chunks_of(bytes);
    uint32_t reserved = atomic_load(&pool->reserved);
    do {
        if (reserved + chunks > pool->count / 2)
            return false;
    } while (!atomic_compare_exchange_weak(&pool->reserved, &reserved, reserved + chunks));
    return true;
}

void shim_pool_give_back(struct shim_pool *pool, struct shim_chunk *chunk)
{
    uint64_t head = atomic_load_explicit(&pool->free, memory_order_relaxed);
    uint64_t new_head;
    atomic_fetch_sub_explicit(&pool->in_use, 1, memory_order_relaxed);
    do {
        atomic_store_explicit(&chunk->next, (uint32_t)head, memory_order_relaxed);
        new_head = ((head & ~(uint64_t)UINT32_MAX) + TAG_ONE) | chunk->index;
    } while (!atomic_compare_exchange_weak_explicit(&pool->free, &head, new_head,
                                                    memory_order_release, memory_order_relaxed));
}

void shim_pool_post(struct shim_pool *pool, struct shim_chunk *chunk)
{
    uint32_t head = atomic_load_explicit(&pool->full, memory_order_relaxed);
    do {
        atomic_store_explicit(&chunk->next, head, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(&pool->full, &head, chunk->index,
                                                    memory_order_release, memory_order_relaxed));
}

uint32_t shim_pool_collect(struct shim_pool *pool)
{
    /* Everything is taken at once, so the list cannot change under us; it stands newest first. */
    uint32_t index = atomic_exchange_explicit(&pool->full, 0, memory_order_acquire);
    uint32_t oldest_first = 0;
    while (index != 0) {
        struct shim_chunk *chunk = shim_pool_chunk(pool, index);
        uint32_t next = atomic_load_explicit(&chunk->next, memory_order_relaxed);
        atomic_store_explicit(&chunk->next, oldest_first, memory_order_relaxed);
        oldest_first = index;
        index = next;
    }
    return oldest_first;
}

void shim_pool_trim(struct shim_pool *pool)
{
    /* The list is taken whole, so that no recording thread holds one of its chunks meanwhile; one
     * that asks now gets a fresh chunk, or is told that the limit is reached for these
     * microseconds. */
    uint64_t head = atomic_load(&pool->free);
    while (
        !atomic_compare_exchange_weak(&pool->free, &head, (head & ~(uint64_t)UINT32_MAX) + TAG_ONE))
        ;
    uint32_t index = (uint32_t)head;
    while (index != 0) {
        struct shim_chunk *chunk = shim_pool_chunk(pool, index);
        uint32_t next = atomic_load_explicit(&chunk->next, memory_order_relaxed);
        /* The first page stays: it holds the chunk's head. */
        madvise((uint8_t *)chunk + 4096, SHIM_CHUNK_SIZE - 4096, MADV_DONTNEED);
        atomic_fetch_add_explicit(&pool->in_use, 1, memory_order_relaxed);
        shim_pool_give_back(pool, chunk);
        index = next;
    }
}
