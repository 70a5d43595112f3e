/* Code addresses as text, from the ELF symbol tables of the modules in this process. Knows no
 * spans. Exporter thread only: it takes the dynamic linker's lock and reads files. */
#pragma once

#include "base/str.h"

#include <stdint.h>

#define SHIM_SYMBOL_TEXT 320
#define SHIM_SYMBOLS_MAX 128

struct shim_symbol {
    uintptr_t address;           /* in: a return address */
    bool own;                    /* out: it lies in libotelshim.so */
    char text[SHIM_SYMBOL_TEXT]; /* out: "function+0x12 (module+0x34)", valid UTF-8 */
};

/* Fills in all of them, at most SHIM_SYMBOLS_MAX. What cannot be named stays as numbers. */
void shim_symbols_resolve(struct shim_symbol *symbol, unsigned count);
