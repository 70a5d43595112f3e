/* Modules by address and functions by name, as if we were not there. Must not take the dynamic
 * linker's own lock, so no dladdr, dlsym or dlopen here: dl_iterate_phdr's lock is another one,
 * which is never held while foreign code runs. Runs on every thread. */
#include "hook/resolve.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "hook/loader.h"

/* As many modules as a search through dependencies follows; Chromium has 200. */
#define SEARCH_MAX 1024u
/* As many modules before ours as are remembered: the program, the vdso, and what was preloaded
 * before us. */
#define BEFORE_MAX 8u

_Atomic uint32_t shim_modules_generation;

void shim_modules_changed(void)
{
    atomic_fetch_add(&shim_modules_generation, 1);
}

struct walk {
    bool (*visit)(const struct shim_module *module, void *data);
    void *data;
};

static int walk_one(struct dl_phdr_info *info, size_t size, void *data)
{
    const struct walk *walk = data;
    struct shim_module module;

    (void)size;
    if (shim_module_init(&module, info) < 0)
        return 0;
    return walk->visit(&module, walk->data);
}

/* -ENOSYS: this libc does not tell. */
static int describe(const void *address, struct shim_module *ret_module)
{
    struct dl_find_object object;
    int found = shim_loader_find_object(address, &object);

    if (found <= 0 || object.dlfo_link_map == NULL)
        return found < 0 ? -ENOSYS : -ENOENT;
    return shim_module_init_parts(ret_module, object.dlfo_link_map->l_addr,
                                  (uintptr_t)object.dlfo_map_start, (uintptr_t)object.dlfo_map_end,
                                  object.dlfo_link_map->l_name, object.dlfo_link_map->l_ld);
}

static bool walk_unlocked(const struct link_map *first, const struct walk *walk)
{
    for (const struct link_map *map = first; map != NULL; map = map->l_next) {
        struct shim_module module;

        if (!shim_loader_is_gone(map) && describe(map->l_ld, &module) == 0 &&
            walk->visit(&module, walk->data))
            return true;
    }
    return false;
}

bool shim_modules_walk(bool (*visit)(const struct shim_module *module, void *data), void *data)
{
    struct walk walk = {.visit = visit, .data = data};
    int place = shim_loader_enter();
    const struct link_map *first = shim_loader_unlocked();
    bool stopped =
        first != NULL ? walk_unlocked(first, &walk) : shim_loader_iterate(walk_one, &walk) != 0;

    shim_loader_leave(place);
    return stopped;
}

static bool contains(const struct shim_module *module, const void *address)
{
    return (uintptr_t)address >= module->start && (uintptr_t)address < module->end;
}

static bool is_ours(const struct shim_module *module)
{
    return contains(module, __ehdr_start);
}

/* They have been there since the start and never go. */
static struct shim_module before_us[BEFORE_MAX];
static size_t before_count;
static atomic_bool is_before_known;

struct walk_before {
    bool (*visit)(const struct shim_module *module, void *data);
    void *data;
    bool stopped;
};

static bool visit_before(const struct shim_module *module, void *data)
{
    struct walk_before *walk = data;

    if (is_ours(module))
        return true;
    walk->stopped = walk->visit(module, walk->data);
    return walk->stopped;
}

bool shim_modules_walk_before_us(bool (*visit)(const struct shim_module *module, void *data),
                                 void *data)
{
    struct walk_before walk = {.visit = visit, .data = data};

    if (!atomic_load_explicit(&is_before_known, memory_order_acquire)) {
        shim_modules_walk(visit_before, &walk);
        return walk.stopped;
    }
    for (size_t i = 0; i < before_count; i++)
        if (visit(&before_us[i], data))
            return true;
    return false;
}

static bool remember_before(const struct shim_module *module, void *data)
{
    (void)data;
    /* Behind libc we were not preloaded, and what is before us may go. */
    if (before_count == BEFORE_MAX || shim_elf_is_named(module, "libc.so.6"))
        return true;
    before_us[before_count++] = *module;
    return false;
}

/* A visit to the modules loaded after ours. */
struct search_next {
    bool past_us;
    bool (*accept)(const struct shim_module *module, void *data);
    void *data;
    struct shim_module *found;
};

static bool visit_next(const struct shim_module *module, void *data)
{
    struct search_next *search = data;

    if (is_ours(module)) {
        search->past_us = true;
        return false;
    }
    if (!search->past_us || !search->accept(module, search->data))
        return false;
    *search->found = *module;
    return true;
}

/* Preloaded modules stand next to the program in the order of loading; the first that another
 * module needs ends them. */
struct interposers {
    bool (*visit)(const struct shim_module *module, void *data);
    void *data;
    bool past_us, stopped;
};

struct dependant {
    const struct shim_module *of;
    bool found;
};

static bool visit_dependant(const struct shim_module *module, void *data)
{
    struct dependant *dependant = data;
    const char *name;

    if (module->start == dependant->of->start)
        return true; /* what was loaded later does not count */
    for (size_t n = 0; !dependant->found && (name = shim_elf_needed(module, n)) != NULL; n++)
        dependant->found = shim_elf_is_named(dependant->of, name);
    return dependant->found;
}

static bool visit_interposer(const struct shim_module *module, void *data)
{
    struct interposers *interposers = data;
    struct dependant dependant = {.of = module};

    if (is_ours(module)) {
        interposers->past_us = true;
        return false;
    }
    if (!interposers->past_us)
        return false;
    shim_modules_walk(visit_dependant, &dependant);
    interposers->stopped = dependant.found;
    return dependant.found || interposers->visit(module, interposers->data);
}

bool shim_modules_walk_interposers(bool (*visit)(const struct shim_module *module, void *data),
                                   void *data)
{
    struct interposers interposers = {.visit = visit, .data = data};

    return shim_modules_walk(visit_interposer, &interposers) && !interposers.stopped;
}

/* The search through a module and what it needs. Modules are known by their place in the loader's
 * list, which stands still as long as the search runs inside a walk. */
struct search {
    const void *caller;
    bool (*accept)(const struct shim_module *module, void *data);
    void *data;
    struct shim_module *found;
    bool done;

    uint16_t place; /* of the module visited */
    uint16_t wanted;
    struct shim_module head; /* whose dependencies are visited */
    size_t best;             /* position in its list */
    uint16_t queue[SEARCH_MAX], length;
    uint8_t seen[SEARCH_MAX / 8];
};

static bool visit_caller(const struct shim_module *module, void *data)
{
    struct search *search = data;

    if (!contains(module, search->caller)) {
        search->place++;
        return false;
    }
    search->head = *module;
    return true;
}

static bool visit_place(const struct shim_module *module, void *data)
{
    struct search *search = data;

    if (search->place++ != search->wanted)
        return false;
    search->head = *module;
    return true;
}

static size_t position_among_needed(const struct shim_module *head, const struct shim_module *of)
{
    const char *name;

    for (size_t n = 0; (name = shim_elf_needed(head, n)) != NULL; n++)
        if (shim_elf_is_named(of, name))
            return n;
    return SIZE_MAX;
}

static bool visit_dependency(const struct shim_module *module, void *data)
{
    struct search *search = data;
    uint16_t place = search->place++;

    if (place >= SEARCH_MAX)
        return true;
    if (search->seen[place / 8] & 1u << place % 8)
        return false;

    size_t position = position_among_needed(&search->head, module);
    if (position == SIZE_MAX)
        return false;
    search->seen[place / 8] |= (uint8_t)(1u << place % 8);
    search->queue[search->length++] = place;
    if (position < search->best && !is_ours(module) && search->accept(module, search->data)) {
        search->best = position;
        *search->found = *module;
    }
    return false;
}

static bool search_needed(struct search *search)
{
    search->place = 0;
    if (search->caller == NULL || !shim_modules_walk(visit_caller, search) ||
        search->place >= SEARCH_MAX)
        return false;
    if (!is_ours(&search->head) && search->accept(&search->head, search->data)) {
        *search->found = search->head;
        return true;
    }

    search->best = SIZE_MAX;
    search->seen[search->place / 8] |= (uint8_t)(1u << search->place % 8);
    search->queue[search->length++] = search->place;
    for (uint16_t next = 0; next < search->length && search->best == SIZE_MAX; next++) {
        search->place = 0;
        search->wanted = search->queue[next];
        shim_modules_walk(visit_place, search);
        search->place = 0;
        shim_modules_walk(visit_dependency, search);
    }
    return search->best != SIZE_MAX;
}

/* Everything happens in the visit to the first module, so that the list stands still. */
static bool visit_search(const struct shim_module *first, void *data)
{
    struct search *search = data;
    struct search_next next = {.accept = search->accept, .data = search->data};

    (void)first;
    next.found = search->found;
    search->done = search_needed(search) || shim_modules_walk(visit_next, &next);
    if (!search->done) {
        next.past_us = true; /* any other */
        search->done = shim_modules_walk(visit_next, &next);
    }
    return true;
}

int shim_module_find(const void *caller,
                     bool (*accept)(const struct shim_module *module, void *data), void *data,
                     struct shim_module *ret_module)
{
    struct search search;
    struct shim_module found;

    memset(&search, 0, offsetof(struct search, queue));
    memset(search.seen, 0, sizeof(search.seen));
    search.length = 0;
    search.caller = caller;
    search.accept = accept;
    search.data = data;
    search.found = &found;
    shim_modules_walk(visit_search, &search);
    if (!search.done)
        return -ENOENT;
    *ret_module = found;
    return 0;
}

struct definition {
    const char *name;
    const ElfW(Sym) * symbol;
};

static bool defines(const struct shim_module *module, void *data)
{
    struct definition *definition = data;

    definition->symbol = shim_elf_find(module, definition->name);
    return definition->symbol != NULL;
}

shim_function shim_resolve(const char *name, const void *caller)
{
    struct definition definition = {.name = name};
    struct shim_module module;

    if (shim_module_find(caller, defines, &definition, &module) < 0)
        return NULL;
    /* The search may have looked at more modules after the one that it took. */
    return (shim_function)shim_elf_address(&module, shim_elf_find(&module, name));
}

static bool is_libc(const struct shim_module *module)
{
    static const char *const names[] = {"libc.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (shim_elf_is_named(module, names[i]))
            return true;
    return false;
}

static bool defines_for_libc(const struct shim_module *module, void *data)
{
    struct definition *definition = data;
    const ElfW(Sym) *symbol = shim_elf_find(module, definition->name);

    if (symbol == NULL || !(is_libc(module) || shim_elf_is_unversioned(module, symbol)))
        return false;
    definition->symbol = symbol;
    return true;
}

shim_function shim_resolve_libc(const char *name)
{
    struct definition definition = {.name = name};
    struct shim_module module;
    struct search_next next = {.accept = defines_for_libc, .data = &definition, .found = &module};

    if (!shim_modules_walk(visit_next, &next))
        return NULL;
    return (shim_function)shim_elf_address(&module, definition.symbol);
}

struct definitions {
    const char *const *names;
    _Atomic(shim_function) *functions;
    size_t count;
    bool past_us;
};

static bool visit_libc_all(const struct shim_module *module, void *data)
{
    struct definitions *all = data;

    if (is_ours(module)) {
        all->past_us = true;
        return false;
    }
    for (size_t i = 0; all->past_us && i < all->count; i++) {
        struct definition one = {.name = all->names[i]};

        if (atomic_load_explicit(&all->functions[i], memory_order_relaxed) != NULL ||
            !defines_for_libc(module, &one) || ELF64_ST_TYPE(one.symbol->st_info) == STT_GNU_IFUNC)
            continue;
        atomic_store_explicit(&all->functions[i],
                              (shim_function)shim_elf_address(module, one.symbol),
                              memory_order_relaxed);
    }
    return false;
}

void shim_resolve_libc_all(const char *const *names, _Atomic(shim_function) *functions,
                           size_t count)
{
    struct definitions all = {.names = names, .functions = functions, .count = count};

    shim_modules_walk(visit_libc_all, &all);
}

struct search_address {
    const void *address;
    struct shim_module *found;
};

static bool visit_address(const struct shim_module *module, void *data)
{
    struct search_address *search = data;

    if (!contains(module, search->address))
        return false;
    *search->found = *module;
    return true;
}

int shim_module_of(const void *address, struct shim_module *ret_module)
{
    struct shim_module module;
    struct search_address search = {.address = address, .found = &module};

    int described = describe(address, &module);

    if (described < 0 && (described != -ENOSYS || !shim_modules_walk(visit_address, &search)))
        return -ENOENT;
    *ret_module = module;
    return 0;
}

void shim_resolve_init(void)
{
    shim_loader_init();
    shim_loader_watch_forks();
    if (atomic_load(&is_before_known))
        return;
    before_count = 0;
    if (!shim_modules_walk_before_us(remember_before, NULL))
        atomic_store_explicit(&is_before_known, true, memory_order_release);
}
