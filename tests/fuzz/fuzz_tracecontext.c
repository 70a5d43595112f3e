/* traceparent on the first line, tracestate headers on the others. */
#include "fuzz_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_state(struct shim_str list)
{
    char again[8192];
    size_t len = shim_tracestate_normalise(again, sizeof(again), list);
    CHECK(list.len <= sizeof(again));
    CHECK(shim_str_equal(shim_str_n(again, len), list));
    struct shim_str rest = list, member;
    unsigned count = 0;
    while (shim_str_split(&rest, ',', &member))
        count++;
    CHECK(count <= 32);
    char edited[8192 + 8];
    struct shim_str value;
    len = shim_tracestate_set(edited, sizeof(edited), list, shim_str("ot"), shim_str("th:8"));
    CHECK(len <= list.len + 8);
    CHECK(shim_tracestate_get(shim_str_n(edited, len), shim_str("ot"), &value));
    CHECK(shim_str_equal(value, shim_str("th:8")));
    len = shim_tracestate_set(edited, sizeof(edited), list, shim_str("ot"), shim_str(""));
    CHECK(!shim_tracestate_get(shim_str_n(edited, len), shim_str("ot"), &value));
}

static void check_cut(struct shim_str input)
{
    for (size_t cap = 0; cap < 600; cap += 37) {
        char *out = malloc(cap + 1); /* exact, so that the sanitizer sees one byte too many */
        CHECK(out);
        out = realloc(out, cap ? cap : 1);
        CHECK(out);
        size_t len = shim_tracestate_normalise(out, cap, input);
        CHECK(len <= cap);
        len = shim_tracestate_set(out, cap, input, shim_str("key"), shim_str("value"));
        CHECK(len <= cap);
        free(out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shim_str input = shim_str_n((const char *)data, size);
    struct shim_str first;
    struct test_carrier carrier;
    struct shim_context context;
    struct shim_span_context span;
    if (!shim_str_split(&input, '\n', &first))
        return 0;
    bool valid = shim_traceparent_parse(shim_str_trim(first), &span);
    fuzz_carrier(&carrier, "tracestate", input);
    test_carrier_add_n(&carrier, shim_str("traceparent"), first);
    if (carrier.count == sizeof(carrier.pair) / sizeof(carrier.pair[0]))
        return 0;
    CHECK(shim_propagation_extract(1, &carrier.base, &context) == valid);
    CHECK(shim_context_is_valid(&context) == valid);
    CHECK(valid || !context.carried);
    if (valid) {
        CHECK((span.flags & ~3) == 0);
        CHECK(memcmp(span.trace_id, context.span.trace_id, 16) == 0);
        check_state(shim_carried_tracestate(context.carried));
        fuzz_check_round_trip(1, &context);
    }
    check_cut(input);
    shim_context_fini(&context);
    return 0;
}
