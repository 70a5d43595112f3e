/* Borrowed text, and the texts of the counters. */
#include "test_cmocka.h"

#include "base/counters.h"
#include "base/str.h"

#include <errno.h>

static void test_equal_nocase(void **state)
{
    (void)state;
    assert_true(shim_str_equal_nocase(shim_str("TraceParent"), shim_str("traceparent")));
    assert_false(shim_str_equal_nocase(shim_str("traceparent"), shim_str("traceparen")));
    /* '[' and '{', '@' and '`' differ by the bit that makes letters upper case. */
    assert_false(shim_str_equal_nocase(shim_str("["), shim_str("{")));
    assert_false(shim_str_equal_nocase(shim_str("@"), shim_str("`")));
    assert_false(shim_str_equal_nocase(shim_str("\xc9"), shim_str("\xe9")));
    assert_true(shim_str_equal_nocase(shim_str_n(NULL, 0), shim_str("")));
}

static void test_starts_nocase(void **state)
{
    (void)state;
    assert_true(shim_str_starts_nocase(shim_str("HTTPS://x"), shim_str("https:")));
    assert_true(shim_str_starts_nocase(shim_str("x"), shim_str("")));
    assert_false(shim_str_starts_nocase(shim_str("htt"), shim_str("http")));
    assert_false(shim_str_starts_nocase(shim_str("ftp://"), shim_str("http")));
}

static void test_trim(void **state)
{
    (void)state;
    assert_str(shim_str_trim(shim_str(" \t a b\t ")), "a b");
    assert_str(shim_str_trim(shim_str(" \t ")), "");
    assert_str(shim_str_trim(shim_str("\na\r")), "\na\r");
    assert_str(shim_str_trim(shim_str_n(NULL, 0)), "");
}

static void expect_parts(const char *text, char separator, const char *const *expected)
{
    struct shim_str rest = shim_str(text);
    struct shim_str part;
    while (*expected) {
        assert_true(shim_str_split(&rest, separator, &part));
        assert_str(part, *expected++);
    }
    assert_false(shim_str_split(&rest, separator, &part));
    assert_false(shim_str_split(&rest, separator, &part));
}

static void test_split(void **state)
{
    (void)state;
    expect_parts("a,b", ',', (const char *const[]){"a", "b", NULL});
    expect_parts(" a , ", ',', (const char *const[]){" a ", " ", NULL});
    expect_parts("a,", ',', (const char *const[]){"a", "", NULL});
    expect_parts(",a", ',', (const char *const[]){"", "a", NULL});
    expect_parts(",", ',', (const char *const[]){"", "", NULL});
    expect_parts(",,", ',', (const char *const[]){"", "", "", NULL});
    expect_parts("a", ',', (const char *const[]){"a", NULL});
    expect_parts("", ',', (const char *const[]){NULL});
}

/* An empty part is an ordinary empty text: split again, it has no parts. */
static void test_split_of_empty_part(void **state)
{
    (void)state;
    struct shim_str rest = shim_str("a,");
    struct shim_str part, inner;
    assert_true(shim_str_split(&rest, ',', &part));
    assert_true(shim_str_split(&rest, ',', &part));
    assert_int_equal(part.len, 0);
    assert_false(shim_str_split(&part, ';', &inner));
}

static void test_to_u64(void **state)
{
    (void)state;
    unsigned long long value = 7;
    assert_int_equal(shim_str_to_u64(shim_str("0"), &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(shim_str_to_u64(shim_str("18446744073709551615"), &value), 0);
    assert_true(value == UINT64_MAX);
    value = 7;
    assert_int_equal(shim_str_to_u64(shim_str("18446744073709551616"), &value), -ERANGE);
    assert_int_equal(shim_str_to_u64(shim_str("99999999999999999999999"), &value), -ERANGE);
    assert_int_equal(shim_str_to_u64(shim_str("99999999999999999999999x"), &value), -EINVAL);
    const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1.0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(shim_str_to_u64(shim_str(bad[i]), &value), -EINVAL);
    assert_int_equal(value, 7);
}

static void test_counters(void **state)
{
    (void)state;
    static struct shim_counters counters;
    shim_count(&counters, SHIM_COUNTER_SPANS_STARTED, 2);
    shim_count(&counters, SHIM_COUNTER_SPANS_STARTED, 3);
    assert_int_equal(shim_counted(&counters, SHIM_COUNTER_SPANS_STARTED), 5);
    assert_int_equal(shim_counted(&counters, SHIM_COUNTER_SPANS_EXPORTED), 0);
    assert_string_equal(shim_counter_text(SHIM_COUNTER_SPANS_STARTED), "spans started");
    assert_string_equal(shim_counter_text(SHIM_COUNTER_EXPORT_REQUESTS), "export requests sent");
    for (unsigned i = 0; i < SHIM_COUNTER_COUNT; i++)
        assert_true(strlen(shim_counter_text((enum shim_counter)i)) > 0);
    assert_string_equal(shim_counter_text(SHIM_COUNTER_COUNT), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_nocase), cmocka_unit_test(test_starts_nocase),
        cmocka_unit_test(test_trim),         cmocka_unit_test(test_split),
        cmocka_unit_test(test_to_u64),       cmocka_unit_test(test_split_of_empty_part),
        cmocka_unit_test(test_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
