/* A list of patterns and a text, split at the first NUL: globs agree with a plain recursive
 * matcher, and lists that cannot be read are told. */
#include "base/match.h"

#include <stdint.h>
#include <stdlib.h>

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The definition, written down; exponential, so for short inputs only. */
static bool matches(const char *p, size_t p_len, const char *t, size_t t_len)
{
    if (p_len == 0)
        return t_len == 0;
    if (p[0] == '*')
        return matches(p + 1, p_len - 1, t, t_len) ||
               (t_len > 0 && matches(p, p_len, t + 1, t_len - 1));
    return t_len > 0 && (p[0] == '?' || p[0] == t[0]) &&
           matches(p + 1, p_len - 1, t + 1, t_len - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t list_len = nul ? (size_t)(nul - data) : size;
    size_t text_len = nul ? size - list_len - 1 : 0;
    char *list_copy = malloc(list_len + 1), *text_copy = malloc(text_len + 1);
    memcpy(list_copy, data, list_len);
    memcpy(text_copy, nul ? nul + 1 : data, text_len);
    list_copy = realloc(list_copy, list_len ? list_len : 1);
    text_copy = realloc(text_copy, text_len ? text_len : 1);
    struct shim_str list = shim_str_n(list_copy, list_len);
    struct shim_str text = shim_str_n(text_copy, text_len);
    struct shim_str bad;

    bool glob = shim_glob_match(list, text, false);
    if (list_len <= 10 && text_len <= 16)
        check(glob == matches(list.ptr, list_len, text.ptr, text_len));
    check(!glob || shim_glob_match(list, text, true));
    shim_glob_list_match(list, text, true);
    if (shim_host_list_check(list, &bad) < 0) {
        check(bad.len > 0 && bad.ptr >= list.ptr && bad.ptr + bad.len <= list.ptr + list.len);
        check(shim_host_list_check(bad, &bad) < 0);
    }
    shim_host_list_match(list, text);
    /* What is local has neither an encoded nor a foreign full stop in it. */
    if (shim_host_is_local(text) && !memchr(text.ptr, ':', text.len)) {
        for (size_t i = 0; i < text.len; i++)
            check(text.ptr[i] != '%' && (unsigned char)text.ptr[i] < 0x80);
    }
    free(list_copy);
    free(text_copy);
    return 0;
}
