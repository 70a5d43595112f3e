/* Hexadecimal both ways for all bytes, and the bounded text builder at its bounds. */
#include "test_cmocka.h"

#include "base/buf.h"
#include "base/hex.h"

#include <stdio.h>

static void test_hex_all_bytes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        char expected[3], text[3] = "zz", upper[3];
        uint8_t byte = (uint8_t)i, back = (uint8_t)~i;
        snprintf(expected, sizeof(expected), "%02x", i);
        snprintf(upper, sizeof(upper), "%02X", i);
        shim_hex_encode(text, &byte, 1);
        assert_string_equal(text, expected);
        assert_true(shim_hex_decode(&back, text, 1));
        assert_int_equal(back, i);
        back = (uint8_t)~i;
        assert_true(shim_hex_decode_nocase(&back, upper, 1));
        assert_int_equal(back, i);
        assert_int_equal(shim_hex_decode(&back, upper, 1), strcmp(upper, expected) == 0);
    }
}

static void test_hex_bad_digits(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        bool upper = c >= 'A' && c <= 'F';
        uint8_t byte;
        char high[2] = {(char)c, '0'}, low[2] = {'0', (char)c};
        assert_int_equal(shim_hex_decode(&byte, high, 1), digit);
        assert_int_equal(shim_hex_decode(&byte, low, 1), digit);
        assert_int_equal(shim_hex_decode_nocase(&byte, high, 1), digit || upper);
        assert_int_equal(shim_hex_decode_nocase(&byte, low, 1), digit || upper);
    }
}

static void test_buf_bounds(void **state)
{
    (void)state;
    char memory[8];
    struct shim_buf buf;
    shim_buf_init(&buf, memory, sizeof(memory));
    assert_string_equal(memory, "");
    shim_buf_add_text(&buf, "abcd");
    shim_buf_add_char(&buf, 'e');
    shim_buf_add(&buf, shim_str_n(NULL, 0));
    shim_buf_add_text(&buf, "fg");
    assert_string_equal(memory, "abcdefg");
    assert_false(buf.truncated);
    shim_buf_add_char(&buf, 'h');
    assert_true(buf.truncated);
    assert_string_equal(memory, "abcdefg");
    assert_int_equal(buf.len, 7);

    shim_buf_init(&buf, memory, 4);
    shim_buf_add_text(&buf, "long text");
    assert_true(buf.truncated);
    assert_string_equal(memory, "lon");

    shim_buf_init(&buf, memory, 1);
    shim_buf_add_u64(&buf, 1);
    assert_true(buf.truncated);
    assert_string_equal(memory, "");
}

static void test_buf_numbers(void **state)
{
    (void)state;
    const int64_t numbers[] = {0, 9, 10, -1, 1234567890, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char memory[32], expected[32];
        struct shim_buf buf;
        shim_buf_init(&buf, memory, sizeof(memory));
        shim_buf_add_i64(&buf, numbers[i]);
        snprintf(expected, sizeof(expected), "%lld", (long long)numbers[i]);
        assert_string_equal(memory, expected);
    }
    char memory[32];
    struct shim_buf buf;
    shim_buf_init(&buf, memory, sizeof(memory));
    shim_buf_add_u64(&buf, UINT64_MAX);
    assert_string_equal(memory, "18446744073709551615");
}

static void test_buf_hex(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x00, 0xab, 0xff};
    char memory[8];
    struct shim_buf buf;
    shim_buf_init(&buf, memory, sizeof(memory));
    shim_buf_add_hex(&buf, bytes, sizeof(bytes));
    assert_string_equal(memory, "00abff");
    assert_false(buf.truncated);
    shim_buf_add_hex(&buf, bytes, sizeof(bytes));
    assert_string_equal(memory, "00abff0");
    assert_true(buf.truncated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex_all_bytes), cmocka_unit_test(test_hex_bad_digits),
        cmocka_unit_test(test_buf_bounds),    cmocka_unit_test(test_buf_numbers),
        cmocka_unit_test(test_buf_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
