/* Globs, host lists, and which hosts are local by their look (base/match.h). */
#include "base/match.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct pair {
    const char *pattern, *text;
    bool matches;
};

static void assert_pair(const struct pair *pair, bool got)
{
    if (got != pair->matches)
        fail_msg("\"%s\" on \"%s\": %d", pair->pattern, pair->text, got);
}

static void test_glob(void **state)
{
    static const struct pair pairs[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "anything", true},
        {"a*c", "abbc", true},
        {"a*c", "abbd", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"?", "", false},
        {"*a*b*c", "xaybzc", true},
        {"*a*b*c", "xaybz", false},
        {"**", "a", true},
        {"a*", "b", false},
        {"*ab", "aab", true},
        {"a", "A", false},
        {"*/health", "http://h/health", true},
        {"a\\*", "a*", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_pair(&pairs[i],
                    shim_glob_match(shim_str(pairs[i].pattern), shim_str(pairs[i].text), false));
    assert_true(shim_glob_match(shim_str("AB*z"), shim_str("abcZ"), true));
    assert_false(shim_glob_match(shim_str("AB*z"), shim_str("abcZ"), false));
}

/* What makes a backtracking matcher run for centuries. */
static void test_glob_does_not_blow_up(void **state)
{
    (void)state;
    static char text[20000];
    char pattern[201];
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < 200; i += 2) {
        pattern[i] = '*';
        pattern[i + 1] = 'a';
    }
    pattern[200] = 'b';
    assert_false(shim_glob_match(shim_str_n(pattern, 201), shim_str_n(text, sizeof(text)), false));
    assert_true(shim_glob_match(shim_str_n(pattern, 200), shim_str_n(text, sizeof(text)), false));
}

static void test_glob_list(void **state)
{
    (void)state;
    struct shim_str list = shim_str(" a* ,, *z");
    assert_true(shim_glob_list_match(list, shim_str("abc"), false));
    assert_true(shim_glob_list_match(list, shim_str("xyz"), false));
    assert_false(shim_glob_list_match(list, shim_str("b"), false));
    assert_false(shim_glob_list_match(list, shim_str(""), false));
    assert_false(shim_glob_list_match(shim_str(""), shim_str(""), false));
}

static void test_host_list(void **state)
{
    static const struct pair pairs[] = {
        {"*.example.org", "API.Example.org", true},
        {"*.example.org", "api.example.org.", true},
        {"*.example.org", "example.org", false},
        {"*.example.org", "example.org.evil.net", false},
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.0.0.0/8", "10.example.org", false},
        {"192.168.1.128/25", "192.168.1.128", true},
        {"192.168.1.128/25", "192.168.1.127", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "::1", false},
        {"1.2.3.4", "1.2.3.4", true},
        {"1.2.3.4", "1.2.3.5", false},
        {"127.0.0.1", "127.1", true},
        {"127.0.0.0/8", "0x7f000001", true},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"fd00::/8", "[fd12::1]", true},
        {"fd00::/8", "fe80::1", false},
        {"[fd00::]/8", "fd12::1", true},
        {"fe80::/10", "fe80::1%eth0", true},
        {"fe80::/10", "[fe80::1%25eth0]", true},
        {"::1", "0:0:0:0:0:0:0:1", true},
        {"10.0.0.0/33", "10.0.0.1", false},
        {"10.0.0/8", "10.0.0.1", false},
        {"x, 10.0.0.0/8 ,y", "10.0.0.1", true},
        {"*", "anything", true},
        {"", "anything", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_pair(&pairs[i],
                    shim_host_list_match(shim_str(pairs[i].pattern), shim_str(pairs[i].text)));
}

static void test_host_list_check(void **state)
{
    static const char *const bad[] = {"10.0.0.0/33", "fd00::/129", "10.0.0.0/",  "10.0.0/8",
                                      "host:80",     "a b",        "1.2.3",      "a/b",
                                      "user@host",   "[::1",       "10.0.0.0/-1"};
    struct shim_str member;
    (void)state;
    assert_int_equal(
        shim_host_list_check(shim_str("*.a.b, 10.0.0.0/8,fd00::/8,[::1],h_1,,"), &member), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char list[64] = "ok.example,";
        strcat(strcat(list, bad[i]), ",also.ok");
        if (shim_host_list_check(shim_str(list), &member) != -EINVAL)
            fail_msg("%s is taken", bad[i]);
        assert_true(shim_str_equal(member, shim_str(bad[i])));
    }
}

static void test_is_local(void **state)
{
    static const char *const local[] = {"localhost",
                                        "LOCALHOST",
                                        "db",
                                        "127.0.0.1",
                                        "127.1",
                                        "10.1.2.3",
                                        "172.16.0.1",
                                        "172.31.9.9",
                                        "192.168.0.1",
                                        "169.254.1.1",
                                        "0.0.0.0",
                                        "::1",
                                        "[::1]",
                                        "fd00::1",
                                        "fe80::1%eth0",
                                        "printer.local",
                                        "a.internal",
                                        "a.b.svc",
                                        "a.b.svc.cluster.local",
                                        "a.local.",
                                        "::ffff:10.0.0.1",
                                        "2130706433",
                                        "x.localhost"};
    static const char *const other[] = {"",
                                        "example.org",
                                        "8.8.8.8",
                                        "172.32.0.1",
                                        "192.169.0.1",
                                        "2001:db8::",
                                        "local.com",
                                        ".",
                                        "134744072",
                                        "evil%2eorg",
                                        "evil\u3002org",
                                        "a.svc.evil.org",
                                        "0x08080808",
                                        "::ffff:8.8.8.8",
                                        "010.0.0.1",
                                        ".local",
                                        "internal.",
                                        "xlocal.org"};
    (void)state;
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        if (!shim_host_is_local(shim_str(local[i])))
            fail_msg("%s should be local", local[i]);
    }
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        /* "internal." is a single label, whatever it is called. */
        if (shim_host_is_local(shim_str(other[i])) != (strcmp(other[i], "internal.") == 0))
            fail_msg("%s should not be local", other[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glob),
        cmocka_unit_test(test_glob_does_not_blow_up),
        cmocka_unit_test(test_glob_list),
        cmocka_unit_test(test_host_list),
        cmocka_unit_test(test_host_list_check),
        cmocka_unit_test(test_is_local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
