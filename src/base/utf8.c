/* Valid UTF-8 out of any bytes (RFC 3629: no overlong forms, no surrogates, nothing above
 * U+10FFFF). On the path of every recorded text, nearly all of which is ASCII: that goes word by
 * word. Allocates nothing. Any thread, async-signal-safe. */
#include "base/utf8.h"

#include <stdint.h>

#define WORD      sizeof(uint64_t)
#define HIGH_BITS UINT64_C(0x8080808080808080)

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Length of the valid sequence at p, 0 when there is none. `len` is at least 1. */
static size_t sequence_len(const uint8_t *p, size_t len)
{
    uint8_t first = p[0];
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4 || len < 2 || !is_continuation(p[1]))
        return 0;
    if (first < 0xe0)
        return 2;
    if (len < 3 || !is_continuation(p[2]))
        return 0;
    if (first < 0xf0) {
        bool overlong = first == 0xe0 && p[1] < 0xa0;
        bool surrogate = first == 0xed && p[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    bool overlong = first == 0xf0 && p[1] < 0x90;
    bool too_large = first == 0xf4 && p[1] >= 0x90;
    return len < 4 || !is_continuation(p[3]) || overlong || too_large ? 0 : 4;
}

/* Whether all of it is ASCII; it is copied then. The last word overlaps the one before. */
static bool copy_ascii(char *dst, const uint8_t *src, size_t len)
{
    uint64_t word, seen = 0;
    if (len < WORD) {
        for (size_t i = 0; i < len; i++) {
            seen |= src[i];
            dst[i] = (char)src[i];
        }
        return !(seen & HIGH_BITS);
    }
    for (size_t at = 0; at < len - WORD; at += WORD) {
        memcpy(&word, src + at, WORD);
        memcpy(dst + at, &word, WORD);
        seen |= word;
    }
    memcpy(&word, src + len - WORD, WORD);
    memcpy(dst + len - WORD, &word, WORD);
    return !((seen | word) & HIGH_BITS);
}

void shim_utf8_copy(char *dst, struct shim_str text)
{
    const uint8_t *src = (const uint8_t *)text.ptr;
    size_t len = text.len;
    size_t at = 0;
    if (copy_ascii(dst, src, len))
        return;
    while (at < len) {
        uint64_t word;
        while (len - at >= WORD) {
            memcpy(&word, src + at, WORD);
            if (word & HIGH_BITS)
                break;
            memcpy(dst + at, &word, WORD);
            at += WORD;
        }
        /* A word with something else in it, or the rest: byte by byte until past it. */
        size_t stop = len - at < WORD ? len : at + WORD;
        while (at < stop) {
            size_t n = sequence_len(src + at, len - at);
            if (n == 0) {
                dst[at++] = '?';
                continue;
            }
            for (size_t i = 0; i < n; i++)
                dst[at + i] = (char)src[at + i];
            at += n;
        }
    }
}

bool shim_utf8_is_valid(struct shim_str text)
{
    const uint8_t *src = (const uint8_t *)text.ptr;
    for (size_t at = 0; at < text.len;) {
        size_t n = sequence_len(src + at, text.len - at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

/* The last place at or before `max` that is not inside a valid sequence. */
static size_t cut_before(const uint8_t *src, size_t len, size_t max)
{
    for (size_t back = 1; back <= 3 && back <= max; back++) {
        size_t at = max - back;
        if (is_continuation(src[at]))
            continue;
        return sequence_len(src + at, len - at) > back ? at : max;
    }
    return max;
}

struct shim_str shim_utf8_prefix(struct shim_str text, size_t max_bytes, size_t max_chars)
{
    const uint8_t *src = (const uint8_t *)text.ptr;
    size_t max = text.len;
    if (max > max_bytes)
        max = cut_before(src, text.len, max_bytes);
    if (max <= max_chars)
        return shim_str_n(text.ptr, max);
    size_t at = 0;
    for (size_t chars = 0; chars < max_chars && at < max; chars++) {
        size_t n = sequence_len(src + at, max - at);
        at += n == 0 ? 1 : n;
    }
    return shim_str_n(text.ptr, at);
}
