/* Writes text without a NUL into bounded memory; what does not fit as a whole is left out and
 * remembered. Only for the lists of the propagators and the sampler, whose callers give exact
 * sizes. Any thread. */
#pragma once

#include "base/str.h"

struct shim_out {
    char *data;
    size_t len;
    size_t cap;
    bool truncated;
};

static inline void shim_out_add(struct shim_out *out, struct shim_str text)
{
    if (text.len > out->cap - out->len) {
        out->truncated = true;
    } else if (text.len > 0) {
        memcpy(out->data + out->len, text.ptr, text.len);
        out->len += text.len;
    }
}

static inline void shim_out_add_char(struct shim_out *out, char c)
{
    shim_out_add(out, shim_str_n(&c, 1));
}

/* Back to an earlier length, as if nothing had been added since. */
static inline void shim_out_rewind(struct shim_out *out, size_t len)
{
    out->len = len;
    out->truncated = false;
}
