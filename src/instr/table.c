/* The table of contents of the product. */
#include "instr/instr.h"

#include "config/config.h"

#include <stdatomic.h>
#include <stddef.h>

const struct shim_instrumentation *const shim_instrumentations[] = {
    &shim_instr_curl,   /* libcurl, easy and multi: CLIENT spans                       */
    &shim_instr_thread, /* pthread_create, thrd_create: context to threads; its end at waits */
    NULL,
};

static _Atomic uint32_t families_on;

bool shim_instr_is_on(uint32_t family)
{
    return (atomic_load_explicit(&families_on, memory_order_relaxed) & family) != 0;
}

void shim_instr_start(void)
{
    for (unsigned i = 0; shim_instrumentations[i]; i++) {
        const struct shim_instrumentation *instr = shim_instrumentations[i];
        if (!(shim_config.families & instr->family))
            continue;
        if (instr->init)
            instr->init();
        atomic_fetch_or(&families_on, instr->family);
    }
}
