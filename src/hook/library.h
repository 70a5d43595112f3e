/* The functions of one instrumented library, once per copy of it in the process: two flavours of
 * libcurl are two shim_libraries. Knows the dynamic linker and no library. Any thread, lock-free,
 * no allocation. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hook/resolve.h"

#define SHIM_LIBRARY_FUNCTIONS_MAX 64u
#define SHIM_LIBRARIES_MAX         16u
#define SHIM_LIBRARY_CALLERS_MAX   64u

enum shim_library_flag {
    /* A module is a copy of the library only if it defines all of these. */
    SHIM_LIBRARY_CORE = 1,
    /* The library cannot be told by a handle among the arguments: dlsym gives out a thunk that
     * knows it. At most as many arguments as registers hold (6). */
    SHIM_LIBRARY_NO_HANDLE = 2,
};

struct shim_library_function {
    const char *name;
    unsigned flags; /* enum shim_library_flag */
};

/* One copy of the library. Never freed: handles made by it point here. The functions of a copy that
 * was unloaded must not be called, as the host must not. */
struct shim_library {
    const void *start, *end; /* its mapping */
    const void *dynamic;
    char soname[64]; /* for messages */
    /* By index; NULL: this copy does not have it. Cast by REAL_OF. */
    shim_function function[SHIM_LIBRARY_FUNCTIONS_MAX];
    _Atomic uint32_t state;
    _Atomic uint32_t generation; /* for which the above is known to hold */
};

struct shim_library_caller {
    _Atomic uint32_t sequence; /* odd: being written */
    _Atomic uint32_t generation;
    _Atomic uintptr_t start, end;
    const struct shim_library *_Atomic library;
};

/* All copies of one library. Static, one per instrumentation: SHIM_LIBRARY_SET. */
struct shim_library_set {
    const char *name;
    const struct shim_library_function *functions;
    uint32_t function_count;
    struct shim_library library[SHIM_LIBRARIES_MAX];
    struct shim_library_caller caller[SHIM_LIBRARY_CALLERS_MAX];
    /* The copy that called itself last, for as long as no module has gone: libraries do so several
     * times in each call. */
    _Atomic uint64_t itself; /* generation << 32 | 1 + its place in library[]; 0: none yet */
};

const struct shim_library *shim_library_find(struct shim_library_set *set,
                                             const void *return_address);

/* The copy that contains the address. NULL: the address is in no copy of the library. */
const struct shim_library *shim_library_of_address(struct shim_library_set *set,
                                                   const void *address);

/* Whether the code at this address is the library's own: its call to itself. */
static inline bool shim_library_contains(const struct shim_library *library,
                                         const void *return_address)
{
    return return_address >= library->start && return_address < library->end;
}

/* The copy of the library that the code at this return address means. NULL: none is loaded. */
static inline const struct shim_library *shim_library_of_caller(struct shim_library_set *set,
                                                                const void *return_address)
{
    uint64_t itself = atomic_load_explicit(&set->itself, memory_order_acquire);
    uint32_t place = (uint32_t)itself;
    if (place != 0 && shim_library_contains(&set->library[place - 1], return_address) &&
        itself >> 32 == atomic_load_explicit(&shim_modules_generation, memory_order_relaxed))
        return &set->library[place - 1];
    return shim_library_find(set, return_address);
}

/* In a header: names the functions of a library by a list macro LIST(X) of X(name, flags), and the
 * set shim_<id>_libraries. */
#define SHIM_LIBRARY_SET_DECLARE(id, LIST)                                                         \
    enum { LIST(SHIM_LIBRARY_INDEX_) id##_function_count };                                        \
    _Static_assert(id##_function_count <= SHIM_LIBRARY_FUNCTIONS_MAX, "too many functions");       \
    extern struct shim_library_set shim_##id##_libraries

/* In one source file: the set itself. */
#define SHIM_LIBRARY_SET_DEFINE(id, LIST)                                                          \
    static const struct shim_library_function id##_functions[] = {LIST(SHIM_LIBRARY_ENTRY_)};      \
    struct shim_library_set shim_##id##_libraries = {                                              \
        .name = #id, .functions = id##_functions, .function_count = id##_function_count};          \
    static struct shim_library_set *const id##_set                                                 \
        __attribute__((used, section("shim_library_sets"))) = &shim_##id##_libraries

#define SHIM_LIBRARY_INDEX_(name, flags) SHIM_FUNCTION_##name,
#define SHIM_LIBRARY_ENTRY_(name, flags) {#name, flags},

/* The real function of that copy, with the type of its declaration. NULL: this copy does not have
 * it. */
#define REAL_OF(library, name) ((typeof(&(name)))(library)->function[SHIM_FUNCTION_##name])
