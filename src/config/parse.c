/* Texts to values. See parse.h. Written by hand where libc would do: strtod and strtoull read the
 * host's locale, take signs and spaces, and are not async-signal-safe. Knows no variable by name.
 */
#include "config/parse.h"

#include <errno.h>

/* A double holds 10^22 exactly; 19 digits fit into 64 bits. */
#define EXACT_POWERS 22
#define DIGITS_MAX   19
#define EXPONENT_MAX 400 /* beyond it everything is 0 or infinite */

int shim_parse_boolean(struct shim_str text, bool *ret_value)
{
    bool value = shim_str_equal_nocase(text, shim_str("true"));
    if (!value && text.len > 0 && !shim_str_equal_nocase(text, shim_str("false")))
        return -EINVAL;
    *ret_value = value;
    return 0;
}

int shim_parse_integer(struct shim_str text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    unsigned long long value;
    int r = shim_str_to_u64(text, &value);
    if (r < 0)
        return r;
    if (value < min || value > max)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int shim_parse_size(struct shim_str text, uint64_t min, uint64_t max, uint64_t *ret_bytes)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {
        {"", 1},
        {"k", 1000},
        {"M", 1000000},
        {"G", 1000000000},
        {"Ki", 1u << 10},
        {"Mi", 1u << 20},
        {"Gi", UINT64_C(1) << 30},
    };
    size_t digits = 0;
    while (digits < text.len && is_digit(text.ptr[digits]))
        digits++;
    struct shim_str suffix = shim_str_trim(shim_str_n(text.ptr + digits, text.len - digits));
    if (suffix.len > 0 && (suffix.ptr[suffix.len - 1] | 0x20) == 'b')
        suffix.len--;
    unsigned long long value;
    int r = shim_str_to_u64(shim_str_n(text.ptr, digits), &value);
    if (r < 0)
        return r;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        uint64_t bytes;
        if (!shim_str_equal_nocase(suffix, shim_str(units[i].suffix)))
            continue;
        if (__builtin_mul_overflow(value, units[i].factor, &bytes) || bytes < min || bytes > max)
            return -ERANGE;
        *ret_bytes = bytes;
        return 0;
    }
    return -EINVAL;
}

static double scale(double value, int exponent)
{
    static const double powers[EXACT_POWERS + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    for (; exponent < -EXACT_POWERS; exponent += EXACT_POWERS)
        value /= powers[EXACT_POWERS];
    for (; exponent > EXACT_POWERS; exponent -= EXACT_POWERS)
        value *= powers[EXACT_POWERS];
    return exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
}

/* "e-3" and the like; "" is 0. */
static int parse_exponent(struct shim_str text, int *ret_exponent)
{
    unsigned long long value;
    bool negative = false;
    *ret_exponent = 0;
    if (text.len == 0)
        return 0;
    if ((text.ptr[0] | 0x20) != 'e')
        return -EINVAL;
    text = shim_str_n(text.ptr + 1, text.len - 1);
    if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+')) {
        negative = text.ptr[0] == '-';
        text = shim_str_n(text.ptr + 1, text.len - 1);
    }
    int r = shim_str_to_u64(text, &value);
    if (r == -EINVAL)
        return r;
    int exponent = r < 0 || value > EXPONENT_MAX ? EXPONENT_MAX : (int)value;
    *ret_exponent = negative ? -exponent : exponent;
    return 0;
}

int shim_parse_ratio(struct shim_str text, double *ret_ratio)
{
    uint64_t mantissa = 0;
    unsigned kept = 0, seen = 0;
    int exponent, shift = 0;
    bool in_fraction = false;
    size_t i = 0;
    for (; i < text.len && (is_digit(text.ptr[i]) || (text.ptr[i] == '.' && !in_fraction)); i++) {
        if (text.ptr[i] == '.') {
            in_fraction = true;
            continue;
        }
        seen++;
        if (kept < DIGITS_MAX) {
            mantissa = mantissa * 10 + (uint64_t)(text.ptr[i] - '0');
            kept += mantissa > 0;
            shift -= in_fraction;
        } else {
            shift += !in_fraction;
        }
        if (shift > EXPONENT_MAX || shift < -EXPONENT_MAX)
            return -ERANGE;
    }
    if (seen == 0 || parse_exponent(shim_str_n(text.ptr + i, text.len - i), &exponent) < 0)
        return -EINVAL;
    double ratio = mantissa == 0 ? 0 : scale((double)mantissa, exponent + shift);
    if (!(ratio <= 1))
        return -ERANGE;
    *ret_ratio = ratio;
    return 0;
}

static bool is_hex(char c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool escapes_are_whole(struct shim_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%')
            continue;
        if (text.len - i < 3 || !is_hex(text.ptr[i + 1]) || !is_hex(text.ptr[i + 2]))
            return false;
        if (text.ptr[i + 1] == '0' && text.ptr[i + 2] == '0')
            return false;
    }
    return true;
}

int shim_parse_pairs_check(struct shim_str text)
{
    struct shim_str member;
    while (shim_str_split(&text, ',', &member)) {
        member = shim_str_trim(member);
        if (member.len == 0)
            continue;
        const char *equals = memchr(member.ptr, '=', member.len);
        if (!equals || !escapes_are_whole(member))
            return -EINVAL;
        if (shim_str_trim(shim_str_n(member.ptr, (size_t)(equals - member.ptr))).len == 0)
            return -EINVAL;
    }
    return 0;
}
