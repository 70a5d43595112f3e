/* Any bytes as a URL: parts lie inside the text and in order, and what is redacted is printable,
 * bounded, and free of the userinfo. */
#include "base/url.h"

#include <stdint.h>
#include <stdlib.h>

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_part(struct shim_str text, struct shim_str part)
{
    if (part.ptr)
        check(part.ptr >= text.ptr && part.ptr + part.len <= text.ptr + text.len);
    else
        check(part.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of exactly that size: reading past it is seen. */
    char *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    struct shim_str text = shim_str_n(copy, size);
    struct shim_url url;
    if (shim_url_parse(text, &url) == 0) {
        char whole[512], cut[512];
        check_part(text, url.scheme);
        check_part(text, url.userinfo);
        check_part(text, url.host);
        check_part(text, url.path);
        check_part(text, url.query);
        check_part(text, url.fragment);
        check(url.host.len > 0);
        check(url.path.len == 0 || url.path.ptr[0] == '/');
        check(!url.query.len || !memchr(url.query.ptr, '#', url.query.len));
        size_t len = shim_url_redact(whole, sizeof(whole), text, &url, shim_str("http"),
                                     shim_str("token, key"));
        check(len <= sizeof(whole));
        for (size_t i = 0; i < len; i++)
            check((unsigned char)whole[i] > 0x20 && whole[i] != 0x7f);
        size_t cap = size % (sizeof(cut) - 1);
        size_t cut_len =
            shim_url_redact(cut, cap, text, &url, shim_str("http"), shim_str("token, key"));
        check(cut_len <= cap && memcmp(cut, whole, cut_len < len ? cut_len : len) == 0);
        /* What was redacted reads as a URL with the same host. */
        struct shim_url again;
        if (len < sizeof(whole) && !memchr(url.host.ptr, ' ', url.host.len)) {
            check(shim_url_parse(shim_str_n(whole, len), &again) == 0);
            check(shim_str_equal(again.host, url.host) && again.port == url.port);
            check(again.userinfo.len == 0 ||
                  shim_str_equal(again.userinfo, shim_str("REDACTED:REDACTED")));
        }
    }
    free(copy);
    return 0;
}
