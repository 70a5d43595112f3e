/* URLs taken apart as libcurl does, and redacted (base/url.h). */
#include "base/url.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct parts {
    const char *text, *scheme, *userinfo, *host;
    unsigned port;
    const char *path, *query, *fragment;
};

static void assert_part(const char *text, const char *name, struct shim_str got, const char *wanted)
{
    if (!shim_str_equal(got, shim_str(wanted)))
        fail_msg("%s: %s is \"%.*s\"", text, name, (int)got.len, got.ptr);
}

static void test_parse(void **state)
{
    static const struct parts cases[] = {
        {"http://h/p?q#f", "http", "", "h", 0, "/p", "q", "f"},
        {"HTTPS://h:8443", "HTTPS", "", "h", 8443, "", "", ""},
        {"h/p", "", "", "h", 0, "/p", "", ""},
        {"localhost:80/p", "", "", "localhost", 80, "/p", "", ""},
        {"http://u:p@h/", "http", "u:p", "h", 0, "/", "", ""},
        {"http://u:p@w@h:1/", "http", "u:p@w", "h", 1, "/", "", ""},
        {"http://h/a@b", "http", "", "h", 0, "/a@b", "", ""},
        {"http://h?x=1", "http", "", "h", 0, "", "x=1", ""},
        {"http://h?a@b", "http", "", "h", 0, "", "a@b", ""},
        {"http://h#f?g", "http", "", "h", 0, "", "", "f?g"},
        {"http://h/#f?g", "http", "", "h", 0, "/", "", "f?g"},
        {"http://[::1]:80/x", "http", "", "::1", 80, "/x", "", ""},
        {"http://[fe80::1%25eth0]/", "http", "", "fe80::1%25eth0", 0, "/", "", ""},
        {"http://u@[::1]", "http", "u", "::1", 0, "", "", ""},
        {"http:/h/p", "http", "", "h", 0, "/p", "", ""},
        {"http:///h/p", "http", "", "h", 0, "/p", "", ""},
        {"http://h:/p", "http", "", "h", 0, "/p", "", ""},
        {"http://h/a b", "http", "", "h", 0, "/a b", "", ""},
        {"http://h/?a?b", "http", "", "h", 0, "/", "a?b", ""},
        {"http://@h/", "http", "", "h", 0, "/", "", ""},
        {"h", "", "", "h", 0, "", "", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct parts *wanted = &cases[i];
        struct shim_url url;
        if (shim_url_parse(shim_str(wanted->text), &url) != 0)
            fail_msg("%s is refused", wanted->text);
        assert_part(wanted->text, "scheme", url.scheme, wanted->scheme);
        assert_part(wanted->text, "userinfo", url.userinfo, wanted->userinfo);
        assert_part(wanted->text, "host", url.host, wanted->host);
        assert_part(wanted->text, "path", url.path, wanted->path);
        assert_part(wanted->text, "query", url.query, wanted->query);
        assert_part(wanted->text, "fragment", url.fragment, wanted->fragment);
        assert_int_equal(url.port, wanted->port);
        assert_int_equal(url.host_is_ipv6, strchr(wanted->text, '[') != NULL);
    }
}

static void test_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "file:/x",
                                        "file:///x",
                                        "mailto:x",
                                        "http://",
                                        "http:///",
                                        "http:////h",
                                        "//h/p",
                                        "/p",
                                        "?x",
                                        "#f",
                                        "http://h:99999",
                                        "http://h:x",
                                        "http://h:1:2",
                                        "http://[::1",
                                        "http://[::1]x",
                                        "http://[]/",
                                        "http://[g::1]/",
                                        "http://h\n/",
                                        "http://h/\x01",
                                        "http://a b/",
                                        "http://h/\x7f",
                                        "http://u@/",
                                        ":80"};
    struct shim_url url = {.port = 7};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (shim_url_parse(shim_str(texts[i]), &url) != -EINVAL)
            fail_msg("\"%s\" is taken", texts[i]);
    }
    assert_int_equal(url.port, 7);
}

static void assert_redacted(const char *text, const char *wanted, const char *more)
{
    struct shim_url url;
    char redacted[256];
    assert_int_equal(shim_url_parse(shim_str(text), &url), 0);
    size_t len = shim_url_redact(redacted, sizeof(redacted), shim_str(text), &url, shim_str("http"),
                                 shim_str(more));
    assert_part(text, "redacted", shim_str_n(redacted, len), wanted);
}

static void test_redact(void **state)
{
    (void)state;
    assert_redacted("http://h/p?q=1#f", "http://h/p?q=1#f", "");
    assert_redacted("h:8080/p", "http://h:8080/p", "");
    assert_redacted("https://u:secret@h/p", "https://REDACTED:REDACTED@h/p", "");
    assert_redacted("http://u:s@cret@[::1]:8/", "http://REDACTED:REDACTED@[::1]:8/", "");
    assert_redacted("http://h/?a=1&sig=s&Signature=t&b",
                    "http://h/?a=1&sig=REDACTED&Signature=REDACTED&b", "");
    assert_redacted("http://h/?X-Amz-Signature=a&X-Amz-Credential=b&X-Amz-Security-Token=c",
                    "http://h/?X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED"
                    "&X-Amz-Security-Token=REDACTED",
                    "");
    assert_redacted("http://h/?AWSAccessKeyId=a&X-Goog-Signature=b",
                    "http://h/?AWSAccessKeyId=REDACTED&X-Goog-Signature=REDACTED", "");
    assert_redacted("http://h/?s%69g=x", "http://h/?s%69g=REDACTED", "");
    assert_redacted("http://h/?sig=x=y&SIG=z&sigs=w", "http://h/?sig=REDACTED&SIG=z&sigs=w", "");
    assert_redacted("http://h?token=x&t=y", "http://h?token=REDACTED&t=y", "key, token");
    assert_redacted("http://h/?sig", "http://h/?sig", "");
    assert_redacted("http://h/?a&&", "http://h/?a&&", "");
    assert_redacted("http://h/a b", "http://h/a%20b", "");
    assert_redacted("http:/h", "http://h", "");
    assert_redacted("http://h/?", "http://h/?", "");
}

static void test_redact_cuts(void **state)
{
    static const char text[] = "http://user:password@h/a b?sig=secret";
    static const char whole[] = "http://REDACTED:REDACTED@h/a%20b?sig=REDACTED";
    struct shim_url url;
    char redacted[sizeof(whole) + 1];
    (void)state;
    assert_int_equal(shim_url_parse(shim_str(text), &url), 0);
    for (size_t cap = 0; cap < sizeof(whole); cap++) {
        memset(redacted, '!', sizeof(redacted));
        size_t len =
            shim_url_redact(redacted, cap, shim_str(text), &url, shim_str(""), shim_str(""));
        assert_true(len <= cap);
        assert_memory_equal(redacted, whole, len);
        assert_int_equal(redacted[cap], '!');
        /* Either all that fits, or cut in front of a %20. */
        assert_true(len == cap || whole[len] == '%');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_redact),
        cmocka_unit_test(test_redact_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
