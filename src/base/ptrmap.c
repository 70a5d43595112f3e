/* Lock-free handle map; see ptrmap.h. A key stands within WINDOW entries of its hash in one of the
 * tables, so a look-up is bounded and removals leave nothing behind. */
#include "base/ptrmap.h"

#include <sys/mman.h>

#define FIRST_BITS 8
#define WINDOW     8

static uint32_t table_bits(unsigned number)
{
    return FIRST_BITS + number;
}

static struct shim_ptrmap_entry *window_of(struct shim_ptrmap_entry *table, unsigned number,
                                           const void *key)
{
    uint64_t hash = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u;
    return table + (hash >> (64 - table_bits(number)));
}

static size_t table_size(unsigned number)
{
    /* The last entries' windows reach beyond the end. */
    return (((size_t)1 << table_bits(number)) + WINDOW) * sizeof(struct shim_ptrmap_entry);
}

static struct shim_ptrmap_entry *find_entry(struct shim_ptrmap *map, const void *key)
{
    for (unsigned number = 0; number < SHIM_PTRMAP_TABLES; number++) {
        struct shim_ptrmap_entry *table =
            atomic_load_explicit(&map->table[number], memory_order_acquire);
        if (!table)
            return NULL;
        struct shim_ptrmap_entry *entry = window_of(table, number, key);
        for (unsigned i = 0; i < WINDOW; i++)
            if (atomic_load_explicit(&entry[i].key, memory_order_acquire) == key)
                return &entry[i];
    }
    return NULL;
}

static struct shim_ptrmap_entry *have_table(struct shim_ptrmap *map, unsigned number)
{
    struct shim_ptrmap_entry *table =
        atomic_load_explicit(&map->table[number], memory_order_acquire);
    if (table)
        return table;
    void *memory =
        mmap(NULL, table_size(number), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (atomic_compare_exchange_strong(&map->table[number], &table, memory))
        return memory;
    munmap(memory, table_size(number));
    return table;
}

/* Marks an entry as being filled: no handle has this address. */
static const char claimed;

bool shim_ptrmap_insert(struct shim_ptrmap *map, const void *key, void *value)
{
    for (unsigned number = 0; number < SHIM_PTRMAP_TABLES; number++) {
        struct shim_ptrmap_entry *table = have_table(map, number);
        if (!table)
            return false;
        struct shim_ptrmap_entry *entry = window_of(table, number, key);
        for (unsigned i = 0; i < WINDOW; i++) {
            const void *expected = NULL;
            if (!atomic_compare_exchange_strong(&entry[i].key, &expected, &claimed))
                continue;
            atomic_store_explicit(&entry[i].value, value, memory_order_relaxed);
            atomic_store_explicit(&entry[i].key, key, memory_order_release);
            return true;
        }
    }
    return false;
}

void *shim_ptrmap_find(struct shim_ptrmap *map, const void *key)
{
    struct shim_ptrmap_entry *entry = key ? find_entry(map, key) : NULL;
    return entry ? atomic_load_explicit(&entry->value, memory_order_relaxed) : NULL;
}

void *shim_ptrmap_remove(struct shim_ptrmap *map, const void *key)
{
    struct shim_ptrmap_entry *entry = key ? find_entry(map, key) : NULL;
    if (!entry)
        return NULL;
    void *value = atomic_load_explicit(&entry->value, memory_order_relaxed);
    atomic_store_explicit(&entry->key, NULL, memory_order_release);
    return value;
}
