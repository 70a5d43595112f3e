/* Borrowed text: comparing, trimming, splitting, reading numbers. See str.h.
 * Knows no format of anything; allocates nothing. Any thread, async-signal-safe. */
#include "base/str.h"

#include <errno.h>
#include <limits.h>

/* What split leaves behind a trailing separator: tells "one more, empty part" from "used up". */
static const char last_part[2] = "";

static unsigned char lower(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

bool shim_str_starts_nocase(struct shim_str text, struct shim_str prefix)
{
    if (text.len < prefix.len)
        return false;
    for (size_t i = 0; i < prefix.len; i++) {
        if (lower(text.ptr[i]) != lower(prefix.ptr[i]))
            return false;
    }
    return true;
}

bool shim_str_equal_nocase(struct shim_str a, struct shim_str b)
{
    return a.len == b.len && shim_str_starts_nocase(a, b);
}

struct shim_str shim_str_trim(struct shim_str text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

bool shim_str_split(struct shim_str *rest, char separator, struct shim_str *ret_part)
{
    if (rest->len == 0) {
        if (rest->ptr != last_part)
            return false;
        *ret_part = shim_str_n(last_part + 1, 0);
        *rest = shim_str_n(NULL, 0);
        return true;
    }
    const char *found = memchr(rest->ptr, separator, rest->len);
    if (!found) {
        *ret_part = *rest;
        *rest = shim_str_n(NULL, 0);
        return true;
    }
    size_t len = (size_t)(found - rest->ptr);
    *ret_part = shim_str_n(rest->ptr, len);
    if (len + 1 == rest->len)
        *rest = shim_str_n(last_part, 0);
    else
        *rest = shim_str_n(found + 1, rest->len - len - 1);
    return true;
}

int shim_str_to_u64(struct shim_str text, unsigned long long *ret_value)
{
    if (text.len == 0)
        return -EINVAL;
    unsigned long long value = 0;
    bool too_large = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c < '0' || c > '9')
            return -EINVAL;
        unsigned digit = (unsigned)(c - '0');
        if (value > (ULLONG_MAX - digit) / 10)
            too_large = true;
        else
            value = value * 10 + digit;
    }
    if (too_large)
        return -ERANGE;
    *ret_value = value;
    return 0;
}
