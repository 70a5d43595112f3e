/* Hexadecimal both ways: trace and span ids are written for every request. See hex.h.
 * Knows nothing of ids. Allocates nothing. Any thread, async-signal-safe. */
#include "base/hex.h"

#include <string.h>

/* 1 + value of a digit; UPPER is added for capital letters; 0: no digit. */
#define UPPER 0x20
static const uint8_t digit_of[256] = {
    ['0'] = 1,          ['1'] = 2,          ['2'] = 3,          ['3'] = 4,
    ['4'] = 5,          ['5'] = 6,          ['6'] = 7,          ['7'] = 8,
    ['8'] = 9,          ['9'] = 10,         ['a'] = 11,         ['b'] = 12,
    ['c'] = 13,         ['d'] = 14,         ['e'] = 15,         ['f'] = 16,
    ['A'] = 11 | UPPER, ['B'] = 12 | UPPER, ['C'] = 13 | UPPER, ['D'] = 14 | UPPER,
    ['E'] = 15 | UPPER, ['F'] = 16 | UPPER,
};

/* Eight digits of four bytes at once: the half bytes are spread over a word, in order, and each
 * becomes its digit by sums that never carry into the next. */
static uint64_t eight_digits(uint32_t four_bytes)
{
    uint64_t x = four_bytes;
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x >> 4 & UINT64_C(0x000f000f000f000f)) | (x << 8 & UINT64_C(0x0f000f000f000f00));
    uint64_t letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    return x + UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first digit is the lowest byte");

void shim_hex_encode(char *text, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (; len >= 4; len -= 4, bytes += 4, text += 8) {
        uint32_t four_bytes;
        memcpy(&four_bytes, bytes, 4);
        uint64_t eight = eight_digits(four_bytes);
        memcpy(text, &eight, 8);
    }
    for (; len > 0; len--, bytes++) {
        *text++ = digits[*bytes >> 4];
        *text++ = digits[*bytes & 15];
    }
}

/* `drop`: bits of a table entry that do not matter. */
static bool decode(uint8_t *ret_bytes, const char *text, size_t len, uint8_t drop)
{
    for (size_t i = 0; i < len; i++) {
        unsigned high = digit_of[(uint8_t)text[2 * i]] & (0xffu ^ drop);
        unsigned low = digit_of[(uint8_t)text[2 * i + 1]] & (0xffu ^ drop);
        if (high - 1 > 15 || low - 1 > 15)
            return false;
        ret_bytes[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return true;
}

bool shim_hex_decode(uint8_t *ret_bytes, const char *text, size_t len)
{
    return decode(ret_bytes, text, len, 0);
}

bool shim_hex_decode_nocase(uint8_t *ret_bytes, const char *text, size_t len)
{
    return decode(ret_bytes, text, len, UPPER);
}
