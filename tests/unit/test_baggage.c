/* W3C Baggage: what is taken, how it is normalised, limited, edited, and what is sent. */
#include "test_cmocka.h"

#include "config/config.h"
#include "test_carrier.h"

#include <stdio.h>

static const struct {
    const char *list;
    const char *normalised;
} rows[] = {
    {"k=v", "k=v"},
    {"k=v,l=w", "k=v,l=w"},
    {" k = v ;\tp ; q = r , l=w ", "k=v;p;q=r,l=w"},
    {"k=", "k="},
    {"k=a=b==", "k=a=b=="},
    {"k=%20%C3%A9", "k=%20%C3%A9"},
    {"k=1,k=2", "k=1,k=2"}, /* duplicates stay, in order */
    {",, k=v ,", "k=v"},
    {"", ""},
    {" ", ""},
    /* A malformed member goes, its neighbours stay. */
    {"a=1,bad,b=2", "a=1,b=2"},
    {"a=1,=v,b=2", "a=1,b=2"},
    {"a=1,k y=v,b=2", "a=1,b=2"},
    {"a=1,k=v w,b=2", "a=1,b=2"},
    {"a=1,k=\"v\",b=2", "a=1,b=2"},
    {"a=1,k=v\\,b=2", "a=1,b=2"},
    {"a=1,k=\xc3\xa9,b=2", "a=1,b=2"},
    {"a=1,k=v;p q,b=2", "a=1,b=2"},
    {"a=1,k=v;,b=2", "a=1,b=2"},
    {"a=1,k=v;=q,b=2", "a=1,b=2"},
    {"a=1,k=\r\nX: y,b=2", "a=1,b=2"},
    {"a=1,k[]=v,b=2", "a=1,b=2"},
    {"!#$%&'*+-.^_`|~09azAZ=v", "!#$%&'*+-.^_`|~09azAZ=v"},
};

static void test_normalise(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[128];
        size_t len = shim_baggage_normalise(out, sizeof(out), shim_str(rows[i].list));
        assert_str(shim_str_n(out, len), rows[i].normalised);

        struct test_carrier carrier;
        struct shim_context context;
        static struct shim_headers headers;
        test_carrier_init(&carrier);
        test_carrier_add(&carrier, "Baggage", rows[i].list);
        assert_false(shim_propagation_extract(SHIM_PROPAGATOR_BAGGAGE, &carrier.base, &context));
        assert_str(shim_carried_baggage(context.carried), rows[i].normalised);
        shim_propagation_inject(SHIM_PROPAGATOR_BAGGAGE, &context, &headers);
        assert_int_equal(headers.count, rows[i].normalised[0] ? 1 : 0);
        if (headers.count) {
            assert_true(headers.header[0].is_baggage);
            assert_memory_equal(headers.header[0].line, "baggage: ", 9);
            assert_string_equal(headers.header[0].line + 9, rows[i].normalised);
        }
        shim_context_fini(&context);
        shim_headers_fini(&headers);
    }
}

static void test_several_headers_beside_tracestate(void **state)
{
    (void)state;
    struct test_carrier carrier;
    struct shim_context context;
    test_carrier_init(&carrier);
    test_carrier_add(&carrier, "baggage", "a=1");
    test_carrier_add(&carrier, "baggage", "b=2;p");
    test_carrier_add(&carrier, "tracestate", "x=y");
    test_carrier_add(&carrier, "traceparent",
                     "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    uint32_t bits = SHIM_PROPAGATOR_TRACECONTEXT | SHIM_PROPAGATOR_BAGGAGE;
    assert_true(shim_propagation_extract(bits, &carrier.base, &context));
    assert_str(shim_carried_baggage(context.carried), "a=1,b=2;p");
    assert_str(shim_carried_tracestate(context.carried), "x=y");
    static struct shim_headers headers;
    shim_propagation_inject(bits, &context, &headers);
    assert_int_equal(headers.count, 3);
    assert_string_equal(headers.header[1].line, "tracestate: x=y");
    assert_string_equal(headers.header[2].line, "baggage: a=1,b=2;p");
    assert_false(headers.header[1].is_baggage);
    assert_true(headers.header[2].is_baggage);
    shim_context_fini(&context);
    shim_headers_fini(&headers);
}

static unsigned count_members(struct shim_str list)
{
    struct shim_str key, value;
    unsigned count = 0;
    while (shim_baggage_next(&list, &key, &value))
        count++;
    return count;
}

static void test_limits(void **state)
{
    (void)state;
    static char list[20000], out[20000];
    for (int i = 0; i < 70; i++)
        sprintf(list + strlen(list), "%sk%02d=v", i ? "," : "", i);
    size_t len = shim_baggage_normalise(out, sizeof(out), shim_str(list));
    assert_int_equal(count_members(shim_str_n(out, len)), 64);
    assert_memory_equal(out, list, len);

    /* 8192 bytes exactly pass; with one more the last member goes. */
    memset(list, 0, sizeof(list));
    strcpy(list, "a=1,k=");
    memset(list + 6, 'v', 8186);
    len = shim_baggage_normalise(out, sizeof(out), shim_str(list));
    assert_int_equal(len, 8192);
    strcat(list, "v");
    len = shim_baggage_normalise(out, sizeof(out), shim_str(list));
    assert_str(shim_str_n(out, len), "a=1");
    len = shim_baggage_normalise(out, 2, shim_str("a=1"));
    assert_int_equal(len, 0);
    len = shim_baggage_normalise(out, 3, shim_str("a=1"));
    assert_int_equal(len, 3);
}

static void test_edit(void **state)
{
    (void)state;
    static const struct {
        const char *list, *key, *value, *expected;
    } edits[] = {
        {"", "k", "v", "k=v"},
        {"a=1;p", "k", "v", "a=1;p,k=v"},
        {"k=1,a=1,k=2", "k", "v", "a=1,k=v"},
        {"k=1,a=1", "k", NULL, "a=1"},
        {"k=1", "k", NULL, ""},
        {"a=1", "k", NULL, "a=1"},
        {"", "k", "", "k="},
        {"", "k", "a b,c;d\"\\%\xc3\xa9\n", "k=a%20b%2Cc%3Bd%22%5C%25%C3%A9%0A"},
        {"a=1", "k k", "v", "a=1"},
        {"a=1", "", "v", "a=1"},
        {"a=1,b=2", "a", "this is too long for it", "a=1,b=2"},
    };
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        char out[40];
        size_t cap = i == sizeof(edits) / sizeof(edits[0]) - 1 ? 20 : sizeof(out);
        struct shim_str value = edits[i].value ? shim_str(edits[i].value) : shim_str_n(NULL, 0);
        size_t len =
            shim_baggage_set(out, cap, shim_str(edits[i].list), shim_str(edits[i].key), value);
        assert_str(shim_str_n(out, len), edits[i].expected);
    }
}

static void test_decode(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""},         {"a%20b", "a b"}, {"%c3%A9", "\xc3\xa9"},
        {"100%", "100%"}, {"%2", "%2"},     {"%zz%41", "%zzA"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char out[16];
        size_t len = shim_baggage_decode(out, sizeof(out), shim_str(pairs[i][0]));
        assert_str(shim_str_n(out, len), pairs[i][1]);
    }
    char out[2];
    assert_int_equal(shim_baggage_decode(out, sizeof(out), shim_str("%41%42%43")), 2);
    assert_memory_equal(out, "AB", 2);
}

static void test_steps(void **state)
{
    (void)state;
    struct shim_str rest = shim_str("a=%31;p=q, bad ,b=");
    struct shim_str key, value;
    assert_true(shim_baggage_next(&rest, &key, &value));
    assert_str(key, "a");
    assert_str(value, "%31");
    assert_true(shim_baggage_next(&rest, &key, &value));
    assert_str(key, "b");
    assert_str(value, "");
    assert_false(shim_baggage_next(&rest, &key, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalise), cmocka_unit_test(test_several_headers_beside_tracestate),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_edit),
        cmocka_unit_test(test_decode),    cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
