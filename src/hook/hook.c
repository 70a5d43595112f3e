/* The table of wrappers and the index over it that dlsym asks for every name a host looks up. Must
 * not know any wrapper. Runs on every thread, also before our constructor. */
#include "hook/hook.h"

#define INDEX_SIZE 512u /* a power of two, at least twice the wrappers */
#define HOOKS_MAX  (INDEX_SIZE / 2)

/* By the linker, from the sections. */
extern SHIM_HIDDEN const struct shim_hook __start_shim_hook_table[], __stop_shim_hook_table[];
extern SHIM_HIDDEN struct shim_library_set *const __start_shim_library_sets[],
    *const __stop_shim_library_sets[];

/* So that the section exists where no library is instrumented. */
static struct shim_library_set *const no_set __attribute__((used, section("shim_library_sets"))) =
    NULL;

enum { INDEX_NONE, INDEX_BUILDING, INDEX_READY };

static struct shim_hooked table[HOOKS_MAX];
static uint32_t hashes[HOOKS_MAX];
static uint16_t slots[INDEX_SIZE]; /* 1 + place in the table */
static _Atomic int index_state;

const struct shim_hook *shim_hooks(size_t *ret_count)
{
    *ret_count = (size_t)(__stop_shim_hook_table - __start_shim_hook_table);
    return __start_shim_hook_table;
}

static uint32_t hash(const char *name)
{
    uint32_t value = 2166136261u;

    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++)
        value = (value ^ *c) * 16777619u;
    return value;
}

static struct shim_hooked describe(const struct shim_hook *hook)
{
    for (struct shim_library_set *const *set = __start_shim_library_sets;
         set != __stop_shim_library_sets; set++)
        for (uint32_t i = 0; *set != NULL && i < (*set)->function_count; i++)
            if (shim_elf_equal((*set)->functions[i].name, hook->name))
                return (struct shim_hooked){
                    .hook = hook, .set = *set, .index = i, .libc = SHIM_LIBC_COUNT};
    return (struct shim_hooked){.hook = hook, .libc = shim_libc_named(hook->name)};
}

void shim_hook_init(void)
{
    int state = INDEX_NONE;
    size_t count;
    const struct shim_hook *hooks = shim_hooks(&count);

    if (!atomic_compare_exchange_strong(&index_state, &state, INDEX_BUILDING))
        return;
    for (size_t i = 0; i < count && i < HOOKS_MAX; i++) {
        uint32_t slot;

        table[i] = describe(&hooks[i]);
        hashes[i] = hash(hooks[i].name);
        for (slot = hashes[i] % INDEX_SIZE; slots[slot] != 0; slot = (slot + 1) % INDEX_SIZE)
            continue;
        slots[slot] = (uint16_t)(i + 1);
    }
    atomic_store_explicit(&index_state, INDEX_READY, memory_order_release);
}

bool shim_hook_find(const char *name, struct shim_hooked *ret_hooked)
{
    size_t count;
    const struct shim_hook *hooks = shim_hooks(&count);

    if (atomic_load_explicit(&index_state, memory_order_acquire) == INDEX_NONE)
        shim_hook_init();
    if (atomic_load_explicit(&index_state, memory_order_acquire) == INDEX_READY) {
        uint32_t wanted = hash(name);

        for (uint32_t slot = wanted % INDEX_SIZE; slots[slot] != 0;
             slot = (slot + 1) % INDEX_SIZE) {
            size_t i = slots[slot] - 1u;

            if (hashes[i] == wanted && shim_elf_equal(table[i].hook->name, name)) {
                *ret_hooked = table[i];
                return true;
            }
        }
        return false;
    }
    /* Another thread builds it, or this one inside a signal handler: do without. */
    for (size_t i = 0; i < count; i++)
        if (shim_elf_equal(hooks[i].name, name)) {
            *ret_hooked = describe(&hooks[i]);
            return true;
        }
    return false;
}
