/* Valid UTF-8 out of anything: every kind of bad byte, at every place of a word. */
#include "test_cmocka.h"

#include "base/utf8.h"

struct row {
    const char *text;
    const char *copied;
};

static const struct row rows[] = {
    {"", ""},
    {"plain ASCII of some length", "plain ASCII of some length"},
    {"\xc3\xa9", "\xc3\xa9"},                 /* U+00E9 */
    {"\xe2\x82\xac", "\xe2\x82\xac"},         /* U+20AC */
    {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"}, /* U+1F600 */
    {"\xed\x9f\xbf", "\xed\x9f\xbf"},         /* U+D7FF, the last before the surrogates */
    {"\xee\x80\x80", "\xee\x80\x80"},         /* U+E000 */
    {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"}, /* U+10FFFF */
    {"\xe9", "?"},                            /* Latin-1 */
    {"caf\xe9 au lait", "caf? au lait"},
    {"\x80", "?"},
    {"\xc0\x80", "??"},           /* overlong NUL */
    {"\xc1\xbf", "??"},           /* overlong */
    {"\xe0\x9f\xbf", "???"},      /* overlong */
    {"\xf0\x8f\xbf\xbf", "????"}, /* overlong */
    {"\xed\xa0\x80", "???"},      /* U+D800 */
    {"\xed\xbf\xbf", "???"},      /* U+DFFF */
    {"\xf4\x90\x80\x80", "????"}, /* U+110000 */
    {"\xf5\x80\x80\x80", "????"},
    {"\xff\xfe", "??"},
    {"\xe2\x82", "??"}, /* cut */
    {"\xf0\x9f\x98", "???"},
    {"\xe2\x82\xc3\xa9", "??\xc3\xa9"},
    {"\xc3\xa9\xa9", "\xc3\xa9?"},
};

/* Each row alone and moved along, so that it lies at each place relative to the words. */
static void test_copy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t before = 0; before < 20; before++) {
            char text[96], expected[96], copied[96];
            memset(text, 'x', sizeof(text));
            memset(expected, 'x', sizeof(expected));
            memset(copied, 'y', sizeof(copied));
            size_t len = strlen(rows[i].text);
            assert_int_equal(len, strlen(rows[i].copied));
            memcpy(text + before, rows[i].text, len);
            memcpy(expected + before, rows[i].copied, len);
            for (size_t behind = 0; behind < 12; behind++) {
                size_t whole = before + len + behind;
                shim_utf8_copy(copied, shim_str_n(text, whole));
                assert_memory_equal(copied, expected, whole);
                assert_int_equal(copied[whole], 'y');
                assert_true(shim_utf8_is_valid(shim_str_n(copied, whole)));
                assert_int_equal(shim_utf8_is_valid(shim_str_n(text, whole)),
                                 strcmp(rows[i].text, rows[i].copied) == 0);
                memset(copied, 'y', sizeof(copied));
            }
        }
    }
}

static void test_prefix(void **state)
{
    (void)state;
    struct shim_str text = shim_str("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"); /* 1 2 3 4 1 */
    const size_t cut[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t max = 0; max < sizeof(cut) / sizeof(cut[0]); max++)
        assert_int_equal(shim_utf8_prefix(text, max, SIZE_MAX).len, cut[max]);
    const size_t by_chars[] = {0, 1, 3, 6, 10, 11, 11};
    for (size_t max = 0; max < sizeof(by_chars) / sizeof(by_chars[0]); max++)
        assert_int_equal(shim_utf8_prefix(text, SIZE_MAX, max).len, by_chars[max]);
    assert_int_equal(shim_utf8_prefix(text, 5, 1).len, 1);
    assert_int_equal(shim_utf8_prefix(text, 5, 3).len, 3);
    /* Bytes that are no sequence count one each, and may be cut anywhere. */
    struct shim_str bad = shim_str("\xe2\x82\xe2\x82\x82\x82");
    assert_int_equal(shim_utf8_prefix(bad, 1, SIZE_MAX).len, 1);
    assert_int_equal(shim_utf8_prefix(bad, 4, SIZE_MAX).len, 2);
    assert_int_equal(shim_utf8_prefix(bad, SIZE_MAX, 3).len, 5);
    assert_int_equal(shim_utf8_prefix(shim_str_n(NULL, 0), 3, 3).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
