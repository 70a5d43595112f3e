/* Which endpoints go through a proxy, by the variables that libcurl reads. */
#include "export/proxy.h"

#include "test_cmocka.h"

#include <stdlib.h>

struct variables {
    const char *set[4]; /* "name=value" */
    const char *url;
    bool applies;
};

static const struct variables CASES[] = {
    {{0}, "http://collector/", false},
    {{"http_proxy=http://p:3128"}, "http://collector/", true},
    {{"http_proxy="}, "http://collector/", false},
    {{"HTTP_PROXY=http://p:3128"}, "http://collector/", false},
    {{"https_proxy=http://p:3128"}, "http://collector/", false},
    {{"https_proxy=http://p:3128"}, "https://collector/", true},
    {{"HTTPS_PROXY=http://p:3128"}, "HTTPS://collector/", true},
    {{"http_proxy=http://p:3128"}, "https://collector/", false},
    {{"all_proxy=socks5://p"}, "http://collector/", true},
    {{"ALL_PROXY=socks5://p"}, "https://collector/", true},
    {{"http_proxy=p", "no_proxy=*"}, "http://collector/", false},
    {{"http_proxy=p", "NO_PROXY=collector"}, "http://Collector:4318/", false},
    {{"http_proxy=p", "no_proxy=example.org"}, "http://a.example.org/", false},
    {{"http_proxy=p", "no_proxy=x, .example.org"}, "http://a.example.org/", false},
    {{"http_proxy=p", "no_proxy=.example.org"}, "http://example.org./", false},
    {{"http_proxy=p", "no_proxy=example.org"}, "http://badexample.org/", true},
    {{"http_proxy=p", "no_proxy=other"}, "http://collector/", true},
    {{"http_proxy=p", "no_proxy="}, "http://collector/", true},
    {{"http_proxy=p", "no_proxy=10.0.0.0/8"}, "http://10.1.2.3/", false},
    {{"http_proxy=p", "no_proxy=10.0.0.0/8"}, "http://11.1.2.3/", true},
    {{"http_proxy=p", "no_proxy=fd00::/8"}, "http://[fd00::1]:4318/", false},
    {{"http_proxy=p"}, "http://localhost:4318/", false},
    {{"http_proxy=p"}, "http://127.0.0.5:4318/", false},
    {{"http_proxy=p"}, "http://[::1]:4318/", false},
    {{"http_proxy=p"}, "http://localhost.example.org/", true},
};

/* As they are without any; the environment has other things in it. */
static void unset_all(void)
{
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                        "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
}

static void each_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct shim_url url;
        unset_all();
        for (size_t k = 0; k < 4 && CASES[i].set[k]; k++)
            assert_int_equal(putenv((char *)CASES[i].set[k]), 0);
        assert_int_equal(shim_url_parse(shim_str(CASES[i].url), &url), 0);
        if (shim_proxy_applies(&url) != CASES[i].applies)
            fail_msg("case %zu, %s", i, CASES[i].url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_case)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
