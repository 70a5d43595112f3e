/* Small functions that dlsym gives out in place of wrappers whose arguments do not tell the
 * library: each stands for one wrapper and one copy of the library. Known to dlsym.c and library.c
 * only. Any thread, lock-free. */
#pragma once

#include <stdbool.h>

#include "hook/library.h"

#define SHIM_THUNK_COUNT 64u /* as in the .S files */
#define SHIM_THUNK_SIZE  32u

/* The code, by the assembler. */
extern SHIM_HIDDEN const char shim_thunk_code[SHIM_THUNK_COUNT * SHIM_THUNK_SIZE];

/* What each calls; read by the code. */
extern SHIM_HIDDEN _Atomic(shim_function) shim_thunk_target[SHIM_THUNK_COUNT];

static inline bool shim_thunk_contains(const void *address)
{
    return (uintptr_t)address - (uintptr_t)shim_thunk_code < sizeof(shim_thunk_code);
}

/* The library that the thunk at this return address stands for. */
const struct shim_library *shim_thunk_library(const void *return_address);

/* The thunk for both; when all are in use, the wrapper itself. */
shim_function shim_thunk_get(shim_function wrapper, const struct shim_library *library);
