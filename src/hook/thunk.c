/* The pool of thunks; their code is in the .S files. Must not know what wrappers do. Runs on every
 * thread; a thunk once given out is never taken back, since the host keeps its address. */
#include "hook/thunk.h"

_Atomic(shim_function) shim_thunk_target[SHIM_THUNK_COUNT];
static const struct shim_library *_Atomic libraries[SHIM_THUNK_COUNT];

static shim_function code(size_t i)
{
    return (shim_function)(uintptr_t)&shim_thunk_code[i * SHIM_THUNK_SIZE];
}

const struct shim_library *shim_thunk_library(const void *return_address)
{
    size_t i = ((uintptr_t)return_address - (uintptr_t)shim_thunk_code) / SHIM_THUNK_SIZE;

    return atomic_load_explicit(&libraries[i], memory_order_acquire);
}

/* Two threads that ask at once may get two thunks for the same thing; that does no harm. */
shim_function shim_thunk_get(shim_function wrapper, const struct shim_library *library)
{
    for (size_t i = 0; i < SHIM_THUNK_COUNT; i++) {
        shim_function target = NULL;

        if (atomic_compare_exchange_strong(&shim_thunk_target[i], &target, wrapper)) {
            atomic_store_explicit(&libraries[i], library, memory_order_release);
            return code(i);
        }
        if (target == wrapper &&
            atomic_load_explicit(&libraries[i], memory_order_acquire) == library)
            return code(i);
    }
    return wrapper;
}
