/* Hexadecimal both ways, by table: trace and span ids are written for every request. See hex.h.
 * Knows nothing of ids. Allocates nothing. Any thread, async-signal-safe. */
#include "base/hex.h"

#include <string.h>

#define ROW(h)                                                                                     \
    h "0" h "1" h "2" h "3" h "4" h "5" h "6" h "7" h "8" h "9" h "a" h "b" h "c" h "d" h "e" h "f"
static const char pairs[] = ROW("0") ROW("1") ROW("2") ROW("3") ROW("4") ROW("5") ROW("6") ROW("7")
    ROW("8") ROW("9") ROW("a") ROW("b") ROW("c") ROW("d") ROW("e") ROW("f");
#undef ROW

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

void shim_hex_encode(char *text, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        memcpy(text + 2 * i, pairs + 2 * (size_t)bytes[i], 2);
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
