/* Any bytes become valid UTF-8 of the same length; what is valid stays as it is; prefixes cut no
 * sequence. */
#include "base/utf8.h"

#include <stdint.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t max_bytes = data[0] % 64, max_chars = data[1] % 64;
    struct shim_str text = shim_str_n((const char *)data + 2, size - 2);
    char *copy = malloc(text.len ? text.len : 1);
    CHECK(copy);
    shim_utf8_copy(copy, text);
    struct shim_str valid = shim_str_n(copy, text.len);
    CHECK(shim_utf8_is_valid(valid));
    if (shim_utf8_is_valid(text))
        CHECK(shim_str_equal(text, valid));
    for (size_t i = 0; i < text.len; i++)
        CHECK(copy[i] == text.ptr[i] || copy[i] == '?');
    struct shim_str prefix = shim_utf8_prefix(valid, max_bytes, max_chars);
    CHECK(prefix.len <= max_bytes && prefix.ptr == valid.ptr);
    CHECK(shim_utf8_is_valid(prefix));
    size_t chars = 0;
    for (size_t i = 0; i < prefix.len; i++)
        chars += (prefix.ptr[i] & 0xc0) != 0x80;
    CHECK(chars <= max_chars);
    /* As long as it may be. */
    if (prefix.len < valid.len && chars < max_chars)
        CHECK(prefix.len + 4 > max_bytes);
    prefix = shim_utf8_prefix(text, max_bytes, max_chars);
    CHECK(prefix.len <= max_bytes && prefix.len <= text.len);
    /* Cut first or made valid first: the same. */
    char *first = malloc(prefix.len ? prefix.len : 1);
    CHECK(first);
    shim_utf8_copy(first, prefix);
    CHECK(prefix.len == 0 || memcmp(first, copy, prefix.len) == 0);
    free(first);
    free(copy);
    return 0;
}
