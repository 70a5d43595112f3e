/* The formats beside W3C's: what each takes and refuses, what it sends, and who wins when several
 * are there. */
#include "test_cmocka.h"

#include "config/config.h"
#include "test_carrier.h"

#include <stdio.h>

#define T   "4bf92f3577b34da6a3ce929d0e0e4736"
#define T64 "a3ce929d0e0e4736"
#define S   "00f067aa0ba902b7"
#define Z16 "0000000000000000"

#define B3  SHIM_PROPAGATOR_B3
#define B3M SHIM_PROPAGATOR_B3MULTI
#define JA  SHIM_PROPAGATOR_JAEGER
#define XR  SHIM_PROPAGATOR_XRAY

/* What comes in, up to three lines, and what the same format sends then, lines joined by '|'; NULL:
 * refused. */
static const struct {
    uint32_t bits;
    const char *in[6];
    const char *out;
} rows[] = {
    {B3, {"b3", T "-" S "-1"}, "b3: " T "-" S "-1"},
    {B3, {"B3", T "-" S "-0"}, "b3: " T "-" S "-0"},
    {B3, {"b3", T "-" S "-d"}, "b3: " T "-" S "-d"},
    {B3, {"b3", T "-" S}, "b3: " T "-" S "-1"}, /* left to the receiver */
    {B3, {"b3", " " T64 "-" S "-1 "}, "b3: " Z16 T64 "-" S "-1"},
    {B3, {"b3", T "-" S "-1-05e3ac9a4f6e3b90"}, "b3: " T "-" S "-1"}, /* no parent is sent */
    {B3, {"b3", "4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-1"}, "b3: " T "-" S "-1"},
    {B3, {"b3", "0"}, NULL},
    {B3, {"b3", ""}, NULL},
    {B3, {"b3", T "-" S "-2"}, NULL},
    {B3, {"b3", T "-" S "-11"}, NULL},
    {B3, {"b3", T "-" S "-"}, NULL},
    {B3, {"b3", T "-" S "-1-"}, NULL},
    {B3, {"b3", T "-" S "-1-05e3ac9a4f6e3b90-1"}, NULL},
    {B3, {"b3", Z16 Z16 "-" S "-1"}, NULL},
    {B3, {"b3", T "-" Z16 "-1"}, NULL},
    {B3, {"b3", "0" T "-" S "-1"}, NULL},
    {B3, {"b3", "bf92f3577b34da6a3ce929d0e0e4736-" S "-1"}, NULL},
    {B3, {"b3", T "-0f067aa0ba902b7-1"}, NULL},
    {B3, {"b3", "g" T64 "-" S "-1"}, NULL},
    {B3, {"b3", T "-" S "-1", "b3", T "-" S "-1"}, NULL},
    {B3, {"X-B3-TraceId", T, "X-B3-SpanId", S, "X-B3-Sampled", "0"}, "b3: " T "-" S "-0"},
    {B3, {"b3", "bad", "X-B3-TraceId", T, "X-B3-SpanId", S}, "b3: " T "-" S "-1"},
    {B3M, {"b3", T64 "-" S "-0"}, "X-B3-TraceId: " Z16 T64 "|X-B3-SpanId: " S "|X-B3-Sampled: 0"},
    {B3M,
     {"x-b3-traceid", T, "x-b3-spanid", S, "x-b3-sampled", "1"},
     "X-B3-TraceId: " T "|X-B3-SpanId: " S "|X-B3-Sampled: 1"},
    {B3M,
     {"x-b3-traceid", T, "x-b3-spanid", S, "x-b3-sampled", "false"},
     "X-B3-TraceId: " T "|X-B3-SpanId: " S "|X-B3-Sampled: 0"},
    {B3M,
     {"x-b3-traceid", T, "x-b3-spanid", S, "x-b3-flags", "1"},
     "X-B3-TraceId: " T "|X-B3-SpanId: " S "|X-B3-Flags: 1"},
    {B3M,
     {"x-b3-traceid", T64, "x-b3-spanid", S, "x-b3-flags", "0"},
     "X-B3-TraceId: " Z16 T64 "|X-B3-SpanId: " S "|X-B3-Sampled: 1"},
    {B3M, {"x-b3-traceid", T, "x-b3-spanid", S, "x-b3-sampled", "2"}, NULL},
    {B3M, {"x-b3-traceid", T, "x-b3-sampled", "1"}, NULL},
    {B3M, {"x-b3-spanid", S, "x-b3-sampled", "1"}, NULL},
    {B3M, {"x-b3-traceid", T, "x-b3-traceid", T, "x-b3-spanid", S}, NULL},

    {JA, {"uber-trace-id", T ":" S ":0:1"}, "uber-trace-id: " T ":" S ":0:1"},
    {JA, {"Uber-Trace-Id", T ":" S ":" S ":0"}, "uber-trace-id: " T ":" S ":0:0"},
    {JA, {"uber-trace-id", T ":" S ":0:3"}, "uber-trace-id: " T ":" S ":0:3"},
    {JA, {"uber-trace-id", T ":" S ":0:01"}, "uber-trace-id: " T ":" S ":0:1"},
    {JA, {"uber-trace-id", T ":" S ":0:2"}, "uber-trace-id: " T ":" S ":0:0"},
    {JA, {"uber-trace-id", T "%3A" S "%3a0%3A1"}, "uber-trace-id: " T ":" S ":0:1"},
    {JA, {"uber-trace-id", T64 ":f067aa0ba902b7:0:1"}, "uber-trace-id: " Z16 T64 ":" S ":0:1"},
    {JA, {"uber-trace-id", T ":" S ":0"}, NULL},
    {JA, {"uber-trace-id", T ":" S ":0:1:1"}, NULL},
    {JA, {"uber-trace-id", T ":" S ":0:"}, NULL},
    {JA, {"uber-trace-id", T ":" S ":0:100"}, NULL},
    {JA, {"uber-trace-id", T ":" S ":0:x"}, NULL},
    {JA, {"uber-trace-id", "0:" S ":0:1"}, NULL},
    {JA, {"uber-trace-id", T ":0:0:1"}, NULL},
    {JA, {"uber-trace-id", ":" S ":0:1"}, NULL},
    {JA, {"uber-trace-id", "0" T ":" S ":0:1"}, NULL},
    {JA, {"uber-trace-id", T ":0" S ":0:1"}, NULL},
    {JA, {"uber-trace-id", T ":" S ":0:1", "uber-trace-id", T ":" S ":0:1"}, NULL},

    {XR,
     {"X-Amzn-Trace-Id", "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" S ";Sampled=1"},
     "X-Amzn-Trace-Id: Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" S ";Sampled=1"},
    {XR,
     {"x-amzn-trace-id",
      "Self=1-1-2; Sampled=0 ;Parent=" S ";Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Lineage=a:1"},
     "X-Amzn-Trace-Id: Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" S ";Sampled=0"},
    {XR,
     {"x-amzn-trace-id", "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" S ";Sampled=?"},
     "X-Amzn-Trace-Id: Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" S ";Sampled=1"},
    {XR, {"x-amzn-trace-id", "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736"}, NULL},
    {XR, {"x-amzn-trace-id", "Parent=" S ";Sampled=1"}, NULL},
    {XR, {"x-amzn-trace-id", "Root=2-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" S}, NULL},
    {XR, {"x-amzn-trace-id", "Root=1-4bf92f3-577b34da6a3ce929d0e0e4736;Parent=" S}, NULL},
    {XR, {"x-amzn-trace-id", "Root=1-4bf92f35-77b34da6a3ce929d0e0e473;Parent=" S}, NULL},
    {XR, {"x-amzn-trace-id", "Root=1-00000000-000000000000000000000000;Parent=" S}, NULL},
    {XR, {"x-amzn-trace-id", "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" Z16}, NULL},
    {XR,
     {"x-amzn-trace-id", "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" S ";Sampled=2"},
     NULL},
    {XR,
     {"x-amzn-trace-id", "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" S ";Parent=" S},
     NULL},
    {XR, {"x-amzn-trace-id", ""}, NULL},
};

static void join(const struct shim_headers *headers, char *out)
{
    out[0] = '\0';
    for (unsigned i = 0; i < headers->count; i++) {
        assert_int_equal(strlen(headers->header[i].line), headers->header[i].len);
        strcat(out, i ? "|" : "");
        strcat(out, headers->header[i].line);
    }
}

static void test_in_and_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct test_carrier carrier;
        struct shim_context context;
        static struct shim_headers headers;
        char out[1024];
        test_carrier_init(&carrier);
        for (size_t j = 0; j < 6 && rows[i].in[j]; j += 2)
            test_carrier_add(&carrier, rows[i].in[j], rows[i].in[j + 1]);
        bool found = shim_propagation_extract(rows[i].bits, &carrier.base, &context);
        if (found != (rows[i].out != NULL))
            fail_msg("\"%s: %s\" was%s taken", rows[i].in[0], rows[i].in[1], found ? "" : " not");
        shim_propagation_inject(rows[i].bits, &context, &headers);
        join(&headers, out);
        assert_string_equal(out, found ? rows[i].out : "");
        assert_int_equal(context.span.is_remote, found);
        shim_context_fini(&context);
        shim_headers_fini(&headers);
    }
}

static void test_first_format_wins(void **state)
{
    (void)state;
    static const char *const lines[][2] = {
        {"x-amzn-trace-id", "Root=1-66666666-666666666666666666666666;Parent=6666666666666666"},
        {"uber-trace-id", "5:5:0:1"},
        {"x-b3-traceid", "44444444444444444444444444444444"},
        {"x-b3-spanid", "4444444444444444"},
        {"b3", "33333333333333333333333333333333-3333333333333333-d"},
        {"traceparent", "00-11111111111111111111111111111111-1111111111111111-01"},
    };
    static const struct {
        unsigned lines;
        uint8_t first; /* of the trace id; 5: the last byte */
    } expected[] = {{6, 0x11}, {5, 0x33}, {4, 0x44}, {2, 0x00}, {1, 0x66}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        struct test_carrier carrier;
        struct shim_context context;
        test_carrier_init(&carrier);
        for (unsigned j = 0; j < expected[i].lines; j++)
            test_carrier_add(&carrier, lines[j][0], lines[j][1]);
        assert_true(shim_propagation_extract(0x3f, &carrier.base, &context));
        assert_int_equal(context.span.trace_id[0], expected[i].first);
        /* The debug flag belongs to the format that won. */
        assert_int_equal(context.carried && context.carried->debug, expected[i].lines == 5);
        shim_context_fini(&context);
    }
}

static void test_jaeger_baggage(void **state)
{
    (void)state;
    struct test_carrier carrier;
    struct shim_context context;
    static struct shim_headers headers;
    char out[1024];
    test_carrier_init(&carrier);
    test_carrier_add(&carrier, "uber-trace-id", T ":" S ":0:3");
    test_carrier_add(&carrier, "UberCtx-key", " a b%20,\xc3\xa9 ");
    test_carrier_add(&carrier, "uberctx-", "no key");
    test_carrier_add(&carrier, "uberctx-w3c", "second");
    test_carrier_add(&carrier, "baggage", "w3c=first;p");
    test_carrier_add(&carrier, "jaeger-baggage", "hand=made, by=me");
    assert_true(shim_propagation_extract(0x3f, &carrier.base, &context));
    assert_str(shim_carried_baggage(context.carried),
               "w3c=first;p,key=a%20b%20%2C%C3%A9,hand=made,by=me");
    assert_true(context.carried->debug);
    shim_propagation_inject(JA, &context, &headers);
    join(&headers, out);
    assert_string_equal(out, "uber-trace-id: " T ":" S ":0:3|uberctx-w3c: first|"
                             "uberctx-key: a%20b%20%2C%C3%A9|uberctx-hand: made|uberctx-by: me");
    assert_false(headers.header[0].is_baggage);
    for (unsigned i = 1; i < 5; i++)
        assert_true(headers.header[i].is_baggage);
    shim_context_fini(&context);
    shim_headers_fini(&headers);
}

/* More entries than there are lines: none of the formats goes short of its own header. */
static void test_all_formats_with_much_baggage(void **state)
{
    (void)state;
    char list[1024] = "";
    for (int i = 0; i < 40; i++)
        sprintf(list + strlen(list), "%sk%d=v", i ? "," : "", i);
    struct shim_context context = {.carried = shim_carried_new(shim_str("a=1"), shim_str(list))};
    static struct shim_headers headers;
    assert_true(shim_traceparent_parse(shim_str("00-" T "-" S "-01"), &context.span));
    shim_propagation_inject(0x3f, &context, &headers);
    assert_int_equal(headers.count, SHIM_HEADERS_MAX);
    static const char *const first[] = {
        "traceparent: ", "tracestate: ",   "baggage: ",       "b3: ",        "X-B3-TraceId: ",
        "X-B3-SpanId: ", "X-B3-Sampled: ", "uber-trace-id: ", "uberctx-k0: "};
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
        assert_memory_equal(headers.header[i].line, first[i], strlen(first[i]));
    assert_memory_equal(headers.header[SHIM_HEADERS_MAX - 1].line, "X-Amzn-Trace-Id: Root=", 22);
    shim_context_fini(&context);
    shim_headers_fini(&headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_and_out),
        cmocka_unit_test(test_first_format_wins),
        cmocka_unit_test(test_jaeger_baggage),
        cmocka_unit_test(test_all_formats_with_much_baggage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
