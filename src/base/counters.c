/* The texts of the counters that a user reads. The counting itself is inline in counters.h.
 * Knows nothing of who counts. Any thread, async-signal-safe. */
#include "base/counters.h"

#define TEXT(name, text) [SHIM_COUNTER_##name] = text,
static const char *const texts[SHIM_COUNTER_COUNT] = {SHIM_COUNTERS(TEXT)};
#undef TEXT

const char *shim_counter_text(enum shim_counter which)
{
    return (unsigned)which < SHIM_COUNTER_COUNT ? texts[which] : "";
}
