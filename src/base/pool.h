/* The bounded memory that finished spans wait in: chunks of one size out of one mapping. A chunk
 * belongs to exactly one side at a time (a recording thread, the list of full ones, the exporter,
 * the free list) and changes hands by one atomic exchange. Leaf. Any thread, async-signal-safe,
 * lock-free. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHIM_CHUNK_SIZE 32768u

struct shim_chunk {
    uint32_t index;        /* 1-based, fixed */
    _Atomic uint32_t next; /* in a list: index of the next, 0: last */
    uint32_t used;         /* bytes of data that hold whole records */
    uint32_t spans;        /* records in it */
    uint8_t data[SHIM_CHUNK_SIZE - 16];
};

#define SHIM_CHUNK_ROOM sizeof(((struct shim_chunk *)0)->data)

struct shim_pool {
    uint8_t *memory; /* count chunks; untouched ones cost nothing */
    uint32_t count;
    _Atomic uint32_t fresh;  /* chunks never used yet begin here */
    _Atomic uint64_t free;   /* tag << 32 | index of the first free chunk */
    _Atomic uint32_t full;   /* index of the newest chunk handed to the exporter */
    _Atomic uint32_t in_use; /* chunks not free */
    _Atomic uint32_t
        reserved; /* chunks' worth of memory that is used elsewhere under the same limit */
};

/* Maps room for `limit` bytes of chunks (at least two). 0 or -ENOMEM. */
int shim_pool_init(struct shim_pool *pool, size_t limit);

/* Forgets all contents, as a forked child must. No other thread may use the pool. */
void shim_pool_reset(struct shim_pool *pool);

struct shim_chunk *shim_pool_chunk(struct shim_pool *pool, uint32_t index);

/* An empty chunk, now the caller's; NULL when the limit is reached. */
struct shim_chunk *shim_pool_take(struct shim_pool *pool);
void shim_pool_give_back(struct shim_pool *pool, struct shim_chunk *chunk);

/* Hands a chunk with records in it to the exporter. */
void shim_pool_post(struct shim_pool *pool, struct shim_chunk *chunk);

/* Exporter thread only: all chunks posted so far as a list by `next`, oldest first; 0: none. */
uint32_t shim_pool_collect(struct shim_pool *pool);

/* Sets aside `bytes` of the limit for other use, at most half of it. False: not that much left. */
bool shim_pool_reserve(struct shim_pool *pool, size_t bytes);
/* Gives back what was set aside and not used after all. */
void shim_pool_unreserve(struct shim_pool *pool, size_t bytes);

/* Whether more than half of the limit is in use: threads then share chunks. */
static inline bool shim_pool_is_tight(struct shim_pool *pool)
{
    return (atomic_load_explicit(&pool->in_use, memory_order_relaxed) +
            atomic_load_explicit(&pool->reserved, memory_order_relaxed)) *
               2 >
           pool->count;
}

/* Exporter thread only: gives the memory of free chunks back to the system. */
void shim_pool_trim(struct shim_pool *pool);
