/* Stepping through text of unknown origin, one character at a time. Knows neither JSON nor
 * terminals, which use it. Any thread. */
#pragma once

#include "base/utf8.h"

/* Bytes of the UTF-8 sequence at ptr[0..len), which is not empty; 0: that byte belongs to none. */
static inline size_t shim_text_sequence(const char *ptr, size_t len)
{
    unsigned char lead = (unsigned char)ptr[0];
    if (lead < 0x80)
        return 1;
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    return want <= len && shim_utf8_is_valid(shim_str_n(ptr, want)) ? want : 0;
}
