/* What an instrumentation is to the rest: a name, a switch, and what to do at start. table.c lists
 * them all; they never include each other. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct shim_instrumentation {
    const char *name;   /* as in OTELSHIM_INSTRUMENTATIONS */
    uint32_t family;    /* enum shim_family_bit */
    void (*init)(void); /* in the constructor, once the settings are known; may be NULL */
};

/* NULL-terminated. */
extern const struct shim_instrumentation *const shim_instrumentations[];

extern const struct shim_instrumentation shim_instr_curl, shim_instr_thread;

/* Whether hooks of this family do anything: not before our constructor, not when switched off. Any
 * thread. */
bool shim_instr_is_on(uint32_t family);

/* Switches the families of the settings on and runs their init. In the constructor. */
void shim_instr_start(void);
