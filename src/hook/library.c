/* Copies of instrumented libraries, and who means which. Must not know any library by name. Runs on
 * every thread: a copy or a caller is written into a slot that nobody else has claimed and then
 * published. */
#include "hook/library.h"

#include <string.h>

#include "hook/thunk.h"

enum { LIBRARY_FREE, LIBRARY_WRITING, LIBRARY_READY };

struct core {
    const struct shim_library_set *set;
};

static bool is_copy(const struct shim_module *module, void *data)
{
    const struct shim_library_set *set = ((const struct core *)data)->set;
    bool any = false;

    for (uint32_t i = 0; i < set->function_count; i++) {
        if ((set->functions[i].flags & SHIM_LIBRARY_CORE) == 0)
            continue;
        any = true;
        if (shim_elf_find(module, set->functions[i].name) == NULL)
            return false;
    }
    return any;
}

/* What a module preloaded after us defines stands between the host and the library: ours is to call
 * it. */
struct interposer {
    const char *name;
    const struct shim_module *copy;
    struct shim_module module;
    const ElfW(Sym) * symbol;
};

static bool visit_interposer(const struct shim_module *module, void *data)
{
    struct interposer *interposer = data;
    const ElfW(Sym) *symbol = shim_elf_find(module, interposer->name);

    if (module->start == interposer->copy->start)
        return true; /* the library was preloaded itself */
    if (symbol == NULL || !shim_elf_is_unversioned(module, symbol))
        return false;
    interposer->module = *module;
    interposer->symbol = symbol;
    return true;
}

static shim_function function_of_copy(const struct shim_module *module, const char *name)
{
    struct interposer interposer = {.name = name, .copy = module};
    const ElfW(Sym) * symbol;

    shim_modules_walk_interposers(visit_interposer, &interposer);
    if (interposer.symbol != NULL)
        return (shim_function)shim_elf_address(&interposer.module, interposer.symbol);
    symbol = shim_elf_find(module, name);
    return symbol != NULL ? (shim_function)shim_elf_address(module, symbol) : NULL;
}

static bool has_functions(const struct shim_library *library, const shim_function *functions)
{
    for (size_t i = 0; i < SHIM_LIBRARY_FUNCTIONS_MAX; i++)
        if (library->function[i] != functions[i])
            return false;
    return true;
}

static bool is_same(const struct shim_library *library, const struct shim_module *module,
                    const shim_function *functions)
{
    return atomic_load_explicit(&library->state, memory_order_acquire) == LIBRARY_READY &&
           library->start == (const void *)module->start &&
           library->end == (const void *)module->end && library->dynamic == module->dynamic &&
           has_functions(library, functions);
}

/* Whether nothing of this kind is loaded at its place any more. */
static bool is_gone(const struct shim_library *library)
{
    struct shim_module module;

    return shim_module_of(library->start, &module) < 0 ||
           (const void *)module.start != library->start || module.dynamic != library->dynamic;
}

/* A slot that is the caller's to write, or NULL. Slots of unloaded copies come last: the longer a
 * handle that outlived its library finds what it knew, the better. */
static struct shim_library *claim(struct shim_library_set *set)
{
    for (size_t i = 0; i < SHIM_LIBRARIES_MAX; i++) {
        uint32_t expected = LIBRARY_FREE;

        if (atomic_compare_exchange_strong(&set->library[i].state, &expected, LIBRARY_WRITING))
            return &set->library[i];
    }
    for (size_t i = 0; i < SHIM_LIBRARIES_MAX; i++) {
        uint32_t expected = LIBRARY_READY;

        if (atomic_load(&set->library[i].state) == LIBRARY_READY && is_gone(&set->library[i]) &&
            atomic_compare_exchange_strong(&set->library[i].state, &expected, LIBRARY_WRITING))
            return &set->library[i];
    }
    return NULL;
}

/* Two threads that meet here may both add the same copy; that does no harm. `generation` is from
 * before the module was looked at. */
static const struct shim_library *library_of_module(struct shim_library_set *set,
                                                    const struct shim_module *module,
                                                    uint32_t generation)
{
    shim_function functions[SHIM_LIBRARY_FUNCTIONS_MAX] = {NULL};
    const char *name = module->soname != NULL ? module->soname : module->path;

    for (uint32_t i = 0; i < set->function_count; i++)
        functions[i] = function_of_copy(module, set->functions[i].name);
    for (size_t i = 0; i < SHIM_LIBRARIES_MAX; i++)
        if (is_same(&set->library[i], module, functions)) {
            atomic_store_explicit(&set->library[i].generation, generation, memory_order_release);
            return &set->library[i];
        }

    struct shim_library *library = claim(set);
    if (library == NULL)
        return NULL;
    library->start = (const void *)module->start;
    library->end = (const void *)module->end;
    library->dynamic = module->dynamic;
    memset(library->soname, 0, sizeof(library->soname));
    for (size_t i = 0; i < sizeof(library->soname) - 1 && name[i] != '\0'; i++)
        library->soname[i] = name[i];
    memcpy(library->function, functions, sizeof(functions));
    atomic_store_explicit(&library->generation, generation, memory_order_relaxed);
    atomic_store_explicit(&library->state, LIBRARY_READY, memory_order_release);
    return library;
}

/* A consistent copy of the slot's contents, if it is about the address. */
static const struct shim_library *read_caller(struct shim_library_caller *caller, uintptr_t address,
                                              uint32_t generation)
{
    uint32_t sequence = atomic_load_explicit(&caller->sequence, memory_order_acquire);
    bool fits = address >= atomic_load_explicit(&caller->start, memory_order_relaxed) &&
                address < atomic_load_explicit(&caller->end, memory_order_relaxed) &&
                generation == atomic_load_explicit(&caller->generation, memory_order_relaxed);
    const struct shim_library *library =
        atomic_load_explicit(&caller->library, memory_order_relaxed);

    atomic_thread_fence(memory_order_acquire);
    if (!fits || sequence % 2 == 1 ||
        sequence != atomic_load_explicit(&caller->sequence, memory_order_relaxed))
        return NULL;
    return library;
}

/* A slot per module, by its address; one that another module has is taken from it when all are in
 * use. */
static struct shim_library_caller *choose_caller(struct shim_library_set *set, uintptr_t start,
                                                 uint32_t generation)
{
    for (size_t i = 0; i < SHIM_LIBRARY_CALLERS_MAX; i++)
        if (atomic_load_explicit(&set->caller[i].start, memory_order_relaxed) == start ||
            atomic_load_explicit(&set->caller[i].generation, memory_order_relaxed) != generation ||
            atomic_load_explicit(&set->caller[i].sequence, memory_order_relaxed) == 0)
            return &set->caller[i];
    return &set->caller[(start >> 12) % SHIM_LIBRARY_CALLERS_MAX];
}

static void remember_caller(struct shim_library_set *set, const struct shim_module *module,
                            const struct shim_library *library, uint32_t generation)
{
    struct shim_library_caller *caller = choose_caller(set, module->start, generation);
    uint32_t sequence = atomic_load(&caller->sequence);

    if (sequence % 2 == 1 ||
        !atomic_compare_exchange_strong(&caller->sequence, &sequence, sequence + 1))
        return; /* another thread writes it; the next call tries again */
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&caller->start, module->start, memory_order_relaxed);
    atomic_store_explicit(&caller->end, module->end, memory_order_relaxed);
    atomic_store_explicit(&caller->generation, generation, memory_order_relaxed);
    atomic_store_explicit(&caller->library, library, memory_order_relaxed);
    atomic_store_explicit(&caller->sequence, sequence + 2, memory_order_release);
}

static const struct shim_library *find_library(struct shim_library_set *set, const void *caller,
                                               uint32_t generation)
{
    struct core core = {.set = set};
    struct shim_module copy;

    if (shim_module_find(caller, is_copy, &core, &copy) < 0)
        return NULL;
    return library_of_module(set, &copy, generation);
}

static void note_itself(struct shim_library_set *set, const struct shim_library *library,
                        const void *return_address, uint32_t generation)
{
    if (shim_library_contains(library, return_address))
        atomic_store_explicit(&set->itself,
                              (uint64_t)generation << 32 | (uint64_t)(library - set->library + 1),
                              memory_order_release);
}

const struct shim_library *shim_library_find(struct shim_library_set *set,
                                             const void *return_address)
{
    uintptr_t address = (uintptr_t)return_address;
    uint32_t generation;
    struct shim_module module;

    if (shim_thunk_contains(return_address))
        return shim_thunk_library(return_address);
    generation = atomic_load_explicit(&shim_modules_generation, memory_order_acquire);
    for (size_t i = 0; i < SHIM_LIBRARY_CALLERS_MAX; i++) {
        const struct shim_library *library = read_caller(&set->caller[i], address, generation);

        if (library != NULL) {
            note_itself(set, library, return_address, generation);
            return library;
        }
        if (atomic_load_explicit(&set->caller[i].sequence, memory_order_relaxed) == 0)
            break; /* no slot after this one was ever used */
    }

    const struct shim_library *library = find_library(set, return_address, generation);
    if (return_address == NULL) /* who asks for the whole scope */
        module = (struct shim_module){.start = 0, .end = 1};
    /* Code that no module contains was made at run time: nothing says how long it stays. */
    if (library != NULL && (return_address == NULL || shim_module_of(return_address, &module) == 0))
        remember_caller(set, &module, library, generation);
    return library;
}

const struct shim_library *shim_library_of_address(struct shim_library_set *set,
                                                   const void *address)
{
    struct core core = {.set = set};
    struct shim_module module;
    uint32_t generation = atomic_load_explicit(&shim_modules_generation, memory_order_acquire);

    for (size_t i = 0; i < SHIM_LIBRARIES_MAX; i++) {
        const struct shim_library *library = &set->library[i];
        uint32_t state = atomic_load_explicit(&library->state, memory_order_acquire);

        if (state == LIBRARY_FREE)
            break; /* they are taken in order and never given back */
        if (state == LIBRARY_READY && shim_library_contains(library, address) &&
            atomic_load_explicit(&library->generation, memory_order_acquire) == generation)
            return library;
    }
    if (shim_module_of(address, &module) < 0 || shim_is_ours(address) || !is_copy(&module, &core))
        return NULL;
    return library_of_module(set, &module, generation);
}
