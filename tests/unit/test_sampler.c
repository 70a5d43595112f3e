/* The six samplers: who decides, what a ratio means in 56 bits, and what it writes into tracestate.
 */
#include "test_cmocka.h"

#include "config/config.h"
#include "trace/sampler.h"

#include <stdio.h>

/* A context whose trace id ends in these 56 bits. */
static struct shim_context context_of(uint64_t random, const char *tracestate, const char *baggage)
{
    struct shim_context context = {0};
    context.span.trace_id[0] = 0xff;
    context.span.trace_id[8] = 0xff; /* not part of R */
    for (unsigned i = 0; i < 7; i++)
        context.span.trace_id[15 - i] = (uint8_t)(random >> (8 * i));
    context.carried = shim_carried_new(shim_str(tracestate), shim_str(baggage));
    return context;
}

static void test_who_decides(void **state)
{
    (void)state;
    /* kind, root, parent not sampled, parent sampled; the ratio is 0 */
    static const struct {
        enum shim_sampler_kind kind;
        bool root, unsampled, sampled;
    } rows[] = {
        {SHIM_SAMPLER_ALWAYS_ON, true, true, true},
        {SHIM_SAMPLER_ALWAYS_OFF, false, false, false},
        {SHIM_SAMPLER_TRACEIDRATIO, false, false, false},
        {SHIM_SAMPLER_PARENTBASED_ALWAYS_ON, true, false, true},
        {SHIM_SAMPLER_PARENTBASED_ALWAYS_OFF, false, false, true},
        {SHIM_SAMPLER_PARENTBASED_TRACEIDRATIO, false, false, true},
    };
    const struct shim_span_context unsampled = {.flags = SHIM_TRACE_FLAG_RANDOM};
    const struct shim_span_context sampled = {.flags = SHIM_TRACE_FLAG_SAMPLED};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct shim_sampler sampler;
        shim_sampler_init(&sampler, rows[i].kind, 0.0);
        struct shim_context context = context_of(UINT64_C(0xffffffffffffff), "a=1", "k=v");
        struct shim_carried *carried = context.carried;
        assert_int_equal(shim_sampler_decide(&sampler, NULL, &context), rows[i].root);
        assert_int_equal(shim_sampler_decide(&sampler, &unsampled, &context), rows[i].unsampled);
        assert_int_equal(shim_sampler_decide(&sampler, &sampled, &context), rows[i].sampled);
        assert_ptr_equal(context.carried, carried);
        shim_context_fini(&context);
        shim_sampler_fini(&sampler);
    }
}

static void test_threshold(void **state)
{
    (void)state;
    const uint64_t whole = UINT64_C(1) << 56;
    static const struct {
        double ratio;
        const char *text;
    } rows[] = {
        {1.0, ""},
        {2.0, ""},
        {0.0, ""},
        {-1.0, ""},
        {__builtin_nan(""), ""},
        {0.5, "th:8"},
        {0.25, "th:c"},
        {0.75, "th:4"},
        {1.0 / 256, "th:ff"},
        {1e-30, ""}, /* rounds to none */
        {0.1, "th:e6666666666666"},
        {1.0 / ((double)(UINT64_C(1) << 56)), "th:ffffffffffffff"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct shim_sampler sampler;
        shim_sampler_init(&sampler, SHIM_SAMPLER_TRACEIDRATIO, rows[i].ratio);
        assert_string_equal(sampler.threshold_text, rows[i].text);
        bool all = sampler.ratio >= 1;
        /* At the threshold, and one below it. */
        struct shim_context context = context_of(sampler.threshold, "", "");
        if (sampler.threshold < whole)
            assert_true(shim_sampler_decide(&sampler, NULL, &context));
        shim_context_fini(&context);
        context = context_of(sampler.threshold - 1, "", "");
        if (!all)
            assert_false(shim_sampler_decide(&sampler, NULL, &context));
        shim_context_fini(&context);
        shim_sampler_fini(&sampler);
    }
}

static char long_ot[300], long_state[600], short_state[600];

static void test_tracestate(void **state)
{
    (void)state;
    memset(long_ot, 'x', 240);
    snprintf(long_state, sizeof(long_state), "ot=rv:ffffffffffffff;%s", long_ot);
    snprintf(short_state, sizeof(short_state), "ot=th:8;rv:ffffffffffffff");
    static const struct {
        const char *before;
        bool sampled;
        const char *after;
    } rows[] = {
        /* R of the id is 0x90…, T is 0x80… */
        {"", true, "ot=th:8"},
        {"a=1,b=2", true, "ot=th:8,a=1,b=2"},
        {"a=1,ot=th:4,b=2", true, "ot=th:8,a=1,b=2"},
        {"ot=rv:00000000000001,a=1", false, "ot=rv:00000000000001,a=1"},
        {"ot=rv:80000000000000", true, "ot=th:8;rv:80000000000000"},
        {"ot=th:1;rv:7fffffffffffff;zz:1,a=1", false, "ot=rv:7fffffffffffff;zz:1,a=1"},
        {"a=1,ot=th:1;rv:00000000000000", false, "ot=rv:00000000000000,a=1"},
        {"ot=zz:1;th:1;rv:90000000000000", true, "ot=th:8;zz:1;rv:90000000000000"},
        {"ot=rv:0", true, "ot=th:8;rv:0"}, /* cannot be read: the id counts */
        {"ot=rv:0000000000000A", true, "ot=th:8;rv:0000000000000A"}, /* likewise */
        {long_state, true, short_state},                             /* over 256 characters */
    };
    struct shim_sampler sampler;
    shim_sampler_init(&sampler, SHIM_SAMPLER_PARENTBASED_TRACEIDRATIO, 0.5);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int with_baggage = 0; with_baggage < 2; with_baggage++) {
            const char *baggage = with_baggage ? "k=v;p" : "";
            struct shim_context context =
                context_of(UINT64_C(0x90000000000000), rows[i].before, baggage);
            assert_int_equal(shim_sampler_decide(&sampler, NULL, &context), rows[i].sampled);
            assert_str(shim_carried_tracestate(context.carried), rows[i].after);
            assert_str(shim_carried_baggage(context.carried), baggage);
            shim_context_fini(&context);
        }
    }
    shim_sampler_fini(&sampler);
}

static void test_full_list(void **state)
{
    (void)state;
    char list[256] = "", expected[256] = "ot=th:8";
    for (int i = 0; i < 32; i++) {
        char member[16];
        snprintf(member, sizeof(member), "%sk%d=v", i ? "," : "", i);
        strcat(list, member);
        if (i < 31) {
            snprintf(member, sizeof(member), ",k%d=v", i);
            strcat(expected, member);
        }
    }
    struct shim_sampler sampler;
    shim_sampler_init(&sampler, SHIM_SAMPLER_TRACEIDRATIO, 0.5);
    struct shim_context context = context_of(UINT64_C(0xff000000000000), list, "");
    assert_true(shim_sampler_decide(&sampler, NULL, &context));
    assert_str(shim_carried_tracestate(context.carried), expected);
    shim_context_fini(&context);
    shim_sampler_fini(&sampler);
}

/* The list of a plain root is one block for all of them. */
static void test_root_is_shared(void **state)
{
    (void)state;
    struct shim_sampler sampler;
    shim_sampler_init(&sampler, SHIM_SAMPLER_TRACEIDRATIO, 0.5);
    struct shim_context a = context_of(UINT64_C(0xff000000000000), "", "");
    struct shim_context b = a, copy;
    assert_true(shim_sampler_decide(&sampler, NULL, &a));
    assert_true(shim_sampler_decide(&sampler, NULL, &b));
    assert_ptr_equal(a.carried, b.carried);
    shim_context_copy(&copy, &a);
    assert_int_equal(atomic_load(&a.carried->refs), 4);
    shim_sampler_fini(&sampler);
    shim_context_fini(&a);
    shim_context_fini(&b);
    assert_int_equal(atomic_load(&copy.carried->refs), 1);
    assert_str(shim_carried_tracestate(copy.carried), "ot=th:8");
    shim_context_fini(&copy);
    assert_null(copy.carried);
}

static void test_share_of_random_ids(void **state)
{
    (void)state;
    struct shim_sampler sampler;
    shim_sampler_init(&sampler, SHIM_SAMPLER_TRACEIDRATIO, 0.1);
    unsigned sampled = 0;
    uint64_t x = 88172645463325252u; /* xorshift64: the same sequence every time */
    for (int i = 0; i < 100000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        struct shim_context context = context_of(x >> 8, "", "");
        sampled += shim_sampler_decide(&sampler, NULL, &context);
        shim_context_fini(&context);
    }
    assert_in_range(sampled, 9500, 10500);
    shim_sampler_fini(&sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_decides),    cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_tracestate),     cmocka_unit_test(test_full_list),
        cmocka_unit_test(test_root_is_shared), cmocka_unit_test(test_share_of_random_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
