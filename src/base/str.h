/* A borrowed piece of text: not terminated, not owned. Used wherever text comes from the host, the
 * environment or the wire. Leaf; includes nothing of ours. Any thread, async-signal-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct shim_str {
    const char *ptr; /* may be NULL only when len is 0 */
    size_t len;
};

static inline struct shim_str shim_str(const char *text)
{
    return (struct shim_str){text, text ? strlen(text) : 0};
}

static inline struct shim_str shim_str_n(const char *ptr, size_t len)
{
    return (struct shim_str){ptr, len};
}

static inline bool shim_str_equal(struct shim_str a, struct shim_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII letters compare without case; everything else by its bytes. */
bool shim_str_equal_nocase(struct shim_str a, struct shim_str b);
bool shim_str_starts_nocase(struct shim_str text, struct shim_str prefix);

/* Without spaces and tabs at both ends. */
struct shim_str shim_str_trim(struct shim_str text);

/* Takes what stands before the next `separator` out of *rest (borrowed, untrimmed) into *ret_part.
 * Returns false when *rest is used up; a trailing separator gives one more, empty part. Start with
 * `rest` = the whole text; an empty text gives no part. */
bool shim_str_split(struct shim_str *rest, char separator, struct shim_str *ret_part);

/* Decimal digits only, no sign, no spaces: 0, or -EINVAL / -ERANGE. */
int shim_str_to_u64(struct shim_str text, unsigned long long *ret_value);
