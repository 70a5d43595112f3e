/* W3C Trace Context Level 2: what is taken, what is refused, what is sent; and the lines it is
 * written into. */
#include "test_cmocka.h"

#include "config/config.h"
#include "test_carrier.h"

#include <stdio.h>

#define T    "4bf92f3577b34da6a3ce929d0e0e4736"
#define S    "00f067aa0ba902b7"
#define GOOD "00-" T "-" S "-01"

/* sent: the traceparent that comes out again, NULL when refused. */
static const struct {
    const char *value;
    const char *sent;
} parents[] = {
    {GOOD, GOOD},
    {"00-" T "-" S "-00", "00-" T "-" S "-00"},
    {"00-" T "-" S "-02", "00-" T "-" S "-02"},
    {"00-" T "-" S "-03", "00-" T "-" S "-03"},
    {"00-" T "-" S "-ff", "00-" T "-" S "-03"}, /* unknown flags are not passed on */
    {"00-" T "-" S "-fc", "00-" T "-" S "-00"},
    {" \t" GOOD "\t ", GOOD},
    {"01-" T "-" S "-01", GOOD}, /* later versions are answered with 00 */
    {"01-" T "-" S "-09", GOOD},
    {"cc-" T "-" S "-01-what-the-future-holds", GOOD},
    {"fe-" T "-" S "-01-", GOOD},
    {"fe-" T "-" S "-01.x", NULL},
    {"01-" T "-" S "-011", NULL},
    {"ff-" T "-" S "-01", NULL},
    {"ff-" T "-" S "-01-x", NULL},
    {"00-" T "-" S "-01-", NULL}, /* version 00 has no tail */
    {"00-" T "-" S "-01-x", NULL},
    {"00-" T "-" S "-011", NULL},
    {"00-" T "-" S "-0", NULL},
    {"00-" T "-" S "-", NULL},
    {"00-" T "-" S, NULL},
    {"", NULL},
    {" ", NULL},
    {"0-" T "-" S "-01", NULL},
    {"000-" T "-" S "-01", NULL},
    {"0x-" T "-" S "-01", NULL},
    {"FE-" T "-" S "-01", NULL},
    {"00-4BF92F3577B34DA6A3CE929D0E0E4736-" S "-01", NULL},
    {"00-" T "-00F067AA0BA902B7-01", NULL},
    {"00-" T "-" S "-0A", NULL},
    {"00-" T "-" S "-0g", NULL},
    {"00-00000000000000000000000000000000-" S "-01", NULL},
    {"00-" T "-0000000000000000-01", NULL},
    {"00-4bf92f3577b34da6a3ce929d0e0e473-" S "-001", NULL},
    {"00-" T "0-f067aa0ba902b7-01", NULL},
    {"00_" T "-" S "-01", NULL},
    {"00-" T "_" S "-01", NULL},
    {"00-" T "-" S "_01", NULL},
    {"00 -" T "-" S "-01", NULL},
    {"00-" T "- " S "-01", NULL},
    {".0-" T "-" S "-01", NULL},
    {"00-" T "-" S "-01\n", NULL},
    {GOOD "," GOOD, NULL},
    {"00-4bf92f3577b34da6a3ce929d0e0e473g-" S "-01", NULL},
};

static void test_traceparent(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
        struct test_carrier carrier;
        struct shim_context context;
        static struct shim_headers headers;
        test_carrier_init(&carrier);
        test_carrier_add(&carrier, "Accept", "*/*");
        test_carrier_add(&carrier, "TraceParent", parents[i].value);
        test_carrier_add(&carrier, "tracestate", "a=1");
        bool found =
            shim_propagation_extract(SHIM_PROPAGATOR_TRACECONTEXT, &carrier.base, &context);
        if (found != (parents[i].sent != NULL))
            fail_msg("\"%s\" was%s taken", parents[i].value, found ? "" : " not");
        assert_int_equal(found, shim_context_is_valid(&context));
        shim_propagation_inject(SHIM_PROPAGATOR_TRACECONTEXT, &context, &headers);
        assert_int_equal(headers.count, found ? 2 : 0);
        /* Without a valid traceparent no tracestate either. */
        assert_str(shim_carried_tracestate(context.carried), found ? "a=1" : "");
        if (found) {
            char line[128];
            snprintf(line, sizeof(line), "traceparent: %s", parents[i].sent);
            assert_string_equal(headers.header[0].line, line);
            assert_string_equal(headers.header[1].line, "tracestate: a=1");
            assert_true(context.span.is_remote);
        }
        shim_context_fini(&context);
        shim_headers_fini(&headers);
    }
}

static void test_more_than_one_traceparent(void **state)
{
    (void)state;
    struct test_carrier carrier;
    struct shim_context context;
    test_carrier_init(&carrier);
    test_carrier_add(&carrier, "traceparent", GOOD);
    test_carrier_add(&carrier, "TRACEPARENT", GOOD);
    test_carrier_add(&carrier, "tracestate", "a=1");
    assert_false(shim_propagation_extract(SHIM_PROPAGATOR_TRACECONTEXT, &carrier.base, &context));
    assert_null(context.carried);
    test_carrier_init(&carrier);
    test_carrier_add(&carrier, "tracestate", "a=1");
    assert_false(shim_propagation_extract(SHIM_PROPAGATOR_TRACECONTEXT, &carrier.base, &context));
    assert_null(context.carried);
}

/* What becomes of up to two tracestate headers behind a good traceparent. */
static void expect_state(const char *first, const char *second, const char *expected)
{
    struct test_carrier carrier;
    struct shim_context context;
    test_carrier_init(&carrier);
    test_carrier_add(&carrier, "traceparent", GOOD);
    test_carrier_add(&carrier, "TraceState", first);
    if (second)
        test_carrier_add(&carrier, "tracestate", second);
    assert_true(shim_propagation_extract(SHIM_PROPAGATOR_TRACECONTEXT, &carrier.base, &context));
    assert_str(shim_carried_tracestate(context.carried), expected);
    shim_context_fini(&context);
    if (!second) {
        char normalised[16384];
        size_t len = shim_tracestate_normalise(normalised, 8192, shim_str(first));
        assert_str(shim_str_n(normalised, len), expected);
    }
}

#define A64  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A256 A64 A64 A64 A64

static void test_tracestate_members(void **state)
{
    (void)state;
    expect_state("a=1,b=2", NULL, "a=1,b=2");
    expect_state("a=1", "b=2", "a=1,b=2");
    expect_state("a=1,", " ,b=2", "a=1,b=2");
    expect_state(" a=1\t,\t,, b=2 ", NULL, "a=1,b=2");
    expect_state("", NULL, "");
    expect_state(" , ,", NULL, "");
    expect_state("a=1,a=2", NULL, "a=1,a=2"); /* duplicates stay */
    expect_state("a=x y z", NULL, "a=x y z");
    expect_state("a= x", NULL, "a= x");
    expect_state("0_-*/@z=!~", NULL, "0_-*/@z=!~");
    expect_state("fw529a3039@dt=FfAxMDA", NULL, "fw529a3039@dt=FfAxMDA");
    expect_state(A256 "=" A256, NULL, A256 "=" A256);
    /* One bad member, and all are dropped. */
    const char *const bad[] = {
        "a",     "=",      "=1",         "a=",     "a =1",  "A=1",      "_a=1",        "@a=1",
        "a=1=2", "a=\x7f", "a=\xc3\xa9", "a=b\tc", "a.b=1", A256 "a=1", "a=" A256 "a",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_state(bad[i], NULL, "");
        expect_state("k=v", bad[i], "");
        expect_state(bad[i], "k=v", "");
    }
}

static void test_tracestate_count(void **state)
{
    (void)state;
    char list[512] = "k0=v";
    for (int i = 1; i < 32; i++) {
        char member[16];
        snprintf(member, sizeof(member), ",k%d=v", i);
        strcat(list, member);
    }
    expect_state(list, NULL, list);
    expect_state(list, " ,", list);
    expect_state(list, "one=more", "");
}

static void test_tracestate_cut(void **state)
{
    (void)state;
    char list[600] = "s=1," A64 "=" A64 ",t=2," A64 "b=" A64 ",u=3"; /* members of 129 and 130 */
    char out[600];
    size_t all = strlen(list);
    /* The right one of the long ones goes first, then the other, then short ones from the right. */
    size_t len = shim_tracestate_normalise(out, all, shim_str(list));
    assert_str(shim_str_n(out, len), list);
    len = shim_tracestate_normalise(out, all - 1, shim_str(list));
    assert_str(shim_str_n(out, len), "s=1," A64 "=" A64 ",t=2,u=3");
    len = shim_tracestate_normalise(out, 100, shim_str(list));
    assert_str(shim_str_n(out, len), "s=1,t=2,u=3");
    len = shim_tracestate_normalise(out, 11, shim_str(list));
    assert_str(shim_str_n(out, len), "s=1,t=2,u=3");
    len = shim_tracestate_normalise(out, 10, shim_str(list));
    assert_str(shim_str_n(out, len), "s=1,t=2");
    len = shim_tracestate_normalise(out, 2, shim_str(list));
    assert_int_equal(len, 0);

    /* 32 members of 513 characters: 15 of them and their commas are within 8192. */
    static char huge[32 * 514 + 1], kept[32 * 514 + 1];
    for (int i = 0; i < 32; i++) {
        strcat(huge, i ? "," A256 "=" A256 : A256 "=" A256);
        if (i < 15)
            strcat(kept, i ? "," A256 "=" A256 : A256 "=" A256);
    }
    expect_state(huge, NULL, kept);
}

static void test_tracestate_edit(void **state)
{
    (void)state;
    static const struct {
        const char *list, *key, *value, *expected;
    } rows[] = {
        {"", "k", "v", "k=v"},
        {"a=1", "k", "v", "k=v,a=1"},
        {"a=1,k=0,b=2", "k", "v", "k=v,a=1,b=2"},
        {"k=0,a=1,k=1", "k", "v", "k=v,a=1"},
        {"a=1,k=0", "k", "", "a=1"},
        {"k=0", "k", "", ""},
        {"a=1,kk=0", "k", "v", "k=v,a=1,kk=0"},
        {"a=1", "K", "v", "a=1"},
        {"a=1", "k", "v,w", "a=1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[64];
        size_t len = shim_tracestate_set(out, sizeof(out), shim_str(rows[i].list),
                                         shim_str(rows[i].key), shim_str(rows[i].value));
        assert_str(shim_str_n(out, len), rows[i].expected);
    }
    char out[8];
    size_t len = shim_tracestate_set(out, 8, shim_str("a=1,b=2"), shim_str("k"), shim_str("v"));
    assert_str(shim_str_n(out, len), "k=v,a=1");
    len = shim_tracestate_set(out, 3, shim_str("a=1,b=2"), shim_str("k"), shim_str("v"));
    assert_str(shim_str_n(out, len), "k=v");
    struct shim_str value;
    assert_true(shim_tracestate_get(shim_str("a=1,k= x,k=2"), shim_str("k"), &value));
    assert_str(value, " x");
    assert_false(shim_tracestate_get(shim_str("kk=1"), shim_str("k"), &value));
    assert_false(shim_tracestate_get(shim_str(""), shim_str("k"), &value));
}

/* A context without a span sends nothing of this format. */
static void test_inject_without_span(void **state)
{
    (void)state;
    static struct shim_headers headers;
    struct shim_context context = {.carried = shim_carried_new(shim_str("a=1"), shim_str(""))};
    shim_propagation_inject(SHIM_PROPAGATOR_TRACECONTEXT, &context, &headers);
    assert_int_equal(headers.count, 0);
    shim_context_fini(&context);
}

/* Short lines stay in `space`; long ones move all lines to `extra`, which is then kept. */
static void test_headers_space(void **state)
{
    (void)state;
    static struct shim_headers headers;
    struct shim_context context = {0};
    assert_true(shim_traceparent_parse(shim_str(GOOD), &context.span));
    shim_propagation_inject(SHIM_PROPAGATOR_TRACECONTEXT, &context, &headers);
    assert_null(headers.extra);
    assert_ptr_equal(headers.header[0].line, headers.space);
    assert_int_equal(headers.header[0].name_len, 11);
    assert_int_equal(headers.header[0].len, 11 + 2 + SHIM_TRACEPARENT_LEN);
    assert_false(headers.header[0].is_baggage);

    context.carried = shim_carried_new(shim_str("l=" A256 ",m=" A256), shim_str(""));
    for (int i = 0; i < 3; i++) {
        shim_propagation_inject(SHIM_PROPAGATOR_TRACECONTEXT, &context, &headers);
        assert_int_equal(headers.count, 2);
        assert_string_equal(headers.header[0].line, "traceparent: " GOOD);
        assert_string_equal(headers.header[1].line, "tracestate: l=" A256 ",m=" A256);
    }
    assert_non_null(headers.extra);
    const char *extra = headers.extra;
    shim_context_take_carried(&context, NULL);
    shim_propagation_inject(SHIM_PROPAGATOR_TRACECONTEXT, &context, &headers);
    assert_ptr_equal(headers.extra, extra);
    assert_int_equal(headers.count, 1);
    assert_string_equal(headers.header[0].line, "traceparent: " GOOD);

    /* No more than there is place for. */
    while (headers.count < SHIM_HEADERS_MAX)
        assert_non_null(shim_headers_add(&headers, shim_str("x"), 300, false));
    assert_null(shim_headers_add(&headers, shim_str("x"), 1, false));
    assert_string_equal(headers.header[0].line, "traceparent: " GOOD);
    shim_headers_fini(&headers);
    assert_null(headers.extra);
}

static void test_table(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t bit;
    } expected[] = {
        {"tracecontext", SHIM_PROPAGATOR_TRACECONTEXT},
        {"baggage", SHIM_PROPAGATOR_BAGGAGE},
        {"b3", SHIM_PROPAGATOR_B3},
        {"b3multi", SHIM_PROPAGATOR_B3MULTI},
        {"jaeger", SHIM_PROPAGATOR_JAEGER},
        {"xray", SHIM_PROPAGATOR_XRAY},
    };
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(shim_propagators[i]->name, expected[i].name);
        assert_int_equal(shim_propagators[i]->bit, expected[i].bit);
    }
    assert_null(shim_propagators[6]);
    const char *const fields[] = {
        "traceparent", "TraceState",   "BAGGAGE",       "b3",        "X-B3-TraceId",
        "x-b3-spanid", "X-B3-Sampled", "uber-trace-id", "uberctx-k", "X-Amzn-Trace-Id",
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        assert_true(shim_propagation_is_field(shim_str(fields[i])));
    const char *const others[] = {"",        "traceparen", "traceparent2",     "b",   "b33",
                                  "uberctx", "x-b3",       "x-amzn-trace-id-", "host"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(shim_propagation_is_field(shim_str(others[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traceparent),
        cmocka_unit_test(test_more_than_one_traceparent),
        cmocka_unit_test(test_tracestate_members),
        cmocka_unit_test(test_tracestate_count),
        cmocka_unit_test(test_tracestate_cut),
        cmocka_unit_test(test_tracestate_edit),
        cmocka_unit_test(test_inject_without_span),
        cmocka_unit_test(test_headers_space),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
