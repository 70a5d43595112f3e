/* OTLP as JSON: the exact text of a span that has everything, and that what comes out stays JSON
 * for bytes, numbers and sizes that nobody meant. */
#include "export/otlp_json.h"
#include "record_build.h"
#include "trace/record.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct shim_resource resource = {
    .count = 3,
    .attribute = {{"service.name", "sh\"op", 0, 0},
                  {"process.pid", NULL, 4242, 0},
                  {"process.command_args", "a\0\0b c", 0, 3}},
};

#define HEAD                                                                                       \
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":["                                          \
    "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"sh\\\"op\"}},"                         \
    "{\"key\":\"process.pid\",\"value\":{\"intValue\":\"4242\"}},"                                 \
    "{\"key\":\"process.command_args\",\"value\":{\"arrayValue\":{\"values\":["                    \
    "{\"stringValue\":\"a\"},{\"stringValue\":\"\"},{\"stringValue\":\"b c\"}]}}}]},"              \
    "\"scopeSpans\":[{\"scope\":{\"name\":\"otelshim\",\"version\":\"0.1.0\"},\"spans\":["
#define TAIL                                                                                       \
    "],\"schemaUrl\":\"https://opentelemetry.io/schemas/1.44.0\"}],"                               \
    "\"schemaUrl\":\"https://opentelemetry.io/schemas/1.44.0\"}]}\n"

static Otlp__Span *unpacked(const Otlp__Span *span)
{
    struct records records = {0};
    const uint8_t *data;
    const uint8_t *message;
    Otlp__Span *copy;
    size_t len = 0;

    records_add(&records, span);
    data = records.data;
    message = shim_record_next(&data, records.data + records.len, &len);
    assert_non_null(message);
    copy = shim_record_unpack(message, len);
    records_fini(&records);
    return copy;
}

/* The whole line of one span; the caller frees it. */
static char *line_of(const Otlp__Span *span)
{
    size_t size = 1 << 20;
    char *line = malloc(size);
    Otlp__Span *copy = unpacked(span);
    struct shim_buf buf;

    assert_non_null(line);
    assert_non_null(copy);
    shim_buf_init(&buf, line, size);
    assert_true(shim_otlp_json_begin(&buf, &resource));
    assert_true(shim_otlp_json_add(&buf, copy, true));
    shim_otlp_json_end(&buf);
    assert_false(buf.truncated);
    otlp__span__free_unpacked(copy, NULL);
    return line;
}

/* What the line says about one attribute's value. */
static void says_value(Otlp__AnyValue *value, const char *expected)
{
    Otlp__Span span = OTLP__SPAN__INIT;
    Otlp__KeyValue pair = OTLP__KEY_VALUE__INIT;
    Otlp__KeyValue *pairs = &pair;
    char *line;
    char *begin;

    pair.key = (char *)"k";
    pair.value = value;
    span.n_attributes = 1;
    span.attributes = &pairs;
    line = line_of(&span);
    begin = strstr(line, "\"key\":\"k\",\"value\":");
    assert_non_null(begin);
    begin += strlen("\"key\":\"k\",\"value\":");
    *strstr(begin, "}]}],\"schemaUrl\"") = '\0';
    assert_string_equal(begin, expected);
    free(line);
}

static void says_string(const char *text, const char *expected)
{
    Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;

    value.value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    value.string_value = (char *)text;
    says_value(&value, expected);
}

static void says_double(double number, const char *expected)
{
    Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;

    value.value_case = OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE;
    value.double_value = number;
    says_value(&value, expected);
}

static void test_whole_span(void **state)
{
    uint8_t ids[16] = {0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff};
    Otlp__Span span = OTLP__SPAN__INIT;
    Otlp__Event event = OTLP__EVENT__INIT;
    Otlp__Event *events = &event;
    Otlp__Link link = OTLP__LINK__INIT;
    Otlp__Link *links = &link;
    Otlp__Status status = OTLP__STATUS__INIT;
    Otlp__AnyValue truth = OTLP__ANY_VALUE__INIT;
    Otlp__KeyValue pair = OTLP__KEY_VALUE__INIT;
    Otlp__KeyValue *pairs = &pair;
    char *line;

    (void)state;
    truth.value_case = OTLP__ANY_VALUE__VALUE_BOOL_VALUE;
    pair.key = (char *)"ok";
    pair.value = &truth;
    span.trace_id = link.trace_id = (ProtobufCBinaryData){16, ids};
    span.span_id = link.span_id = (ProtobufCBinaryData){8, ids};
    span.parent_span_id = (ProtobufCBinaryData){8, ids + 8};
    span.trace_state = link.trace_state = (char *)"a=b";
    span.name = event.name = (char *)"GET";
    span.kind = 3;
    span.start_time_unix_nano = event.time_unix_nano = 1700000000000000001;
    span.end_time_unix_nano = UINT64_MAX;
    span.n_attributes = event.n_attributes = link.n_attributes = 1;
    span.attributes = event.attributes = link.attributes = &pairs;
    span.n_events = span.n_links = 1;
    span.events = &events;
    span.links = &links;
    span.dropped_attributes_count = span.dropped_events_count = span.dropped_links_count = 7;
    event.dropped_attributes_count = link.dropped_attributes_count = 8;
    span.flags = 0x103;
    link.flags = 0x301;
    status.code = 2;
    status.message = (char *)"no\nway";
    span.status = &status;
    line = line_of(&span);
    assert_string_equal(
        line,
        HEAD "{\"traceId\":\"ab0102030405060708090a0b0c0d0eff\",\"spanId\":\"ab01020304050607\","
             "\"parentSpanId\":\"08090a0b0c0d0eff\",\"traceState\":\"a=b\",\"flags\":259,"
             "\"name\":\"GET\",\"kind\":3,\"startTimeUnixNano\":\"1700000000000000001\","
             "\"endTimeUnixNano\":\"18446744073709551615\","
             "\"attributes\":[{\"key\":\"ok\",\"value\":{\"boolValue\":false}}],"
             "\"droppedAttributesCount\":7,"
             "\"events\":[{\"timeUnixNano\":\"1700000000000000001\",\"name\":\"GET\","
             "\"attributes\":[{\"key\":\"ok\",\"value\":{\"boolValue\":false}}],"
             "\"droppedAttributesCount\":8}],\"droppedEventsCount\":7,"
             "\"links\":[{\"traceId\":\"ab0102030405060708090a0b0c0d0eff\","
             "\"spanId\":\"ab01020304050607\",\"traceState\":\"a=b\","
             "\"attributes\":[{\"key\":\"ok\",\"value\":{\"boolValue\":false}}],"
             "\"droppedAttributesCount\":8,\"flags\":769}],\"droppedLinksCount\":7,"
             "\"status\":{\"code\":2,\"message\":\"no\\u000away\"}}" TAIL);
    free(line);
}

/* The stack's addresses are ours alone. */
static void test_private_field_stays_here(void **state)
{
    Otlp__Span span = OTLP__SPAN__INIT;
    uint8_t stack[16] = {1};
    char *line;

    (void)state;
    span.call_stack = (ProtobufCBinaryData){sizeof(stack), stack};
    line = line_of(&span);
    assert_string_equal(line, HEAD "{\"traceId\":\"\",\"spanId\":\"\",\"name\":\"\",\"kind\":0,"
                                   "\"startTimeUnixNano\":\"0\",\"endTimeUnixNano\":\"0\"}" TAIL);
    free(line);
}

static void test_strings(void **state)
{
    (void)state;
    says_string("", "{\"stringValue\":\"\"}");
    says_string("a\"b\\c/", "{\"stringValue\":\"a\\\"b\\\\c/\"}");
    says_string("\x01\t\x1f\x7f", "{\"stringValue\":\"\\u0001\\u0009\\u001f\\u007f\"}");
    says_string("zażółć €😀", "{\"stringValue\":\"zażółć €😀\"}");
    says_string("\xff"
                "a\xc3",
                "{\"stringValue\":\"\\ufffda\\ufffd\"}");
    says_string("\xed\xa0\x80", "{\"stringValue\":\"\\ufffd\\ufffd\\ufffd\"}");
    says_string("\xc0\xaf\xe2\x82", "{\"stringValue\":\"\\ufffd\\ufffd\\ufffd\\ufffd\"}");
}

static void test_doubles(void **state)
{
    (void)state;
    says_double(0.1, "{\"doubleValue\":0.1}");
    says_double(1.0 / 3.0, "{\"doubleValue\":0.33333333333333331}");
    says_double(-2, "{\"doubleValue\":-2}");
    says_double(1e300, "{\"doubleValue\":1e+300}");
    says_double(NAN, "{\"doubleValue\":\"NaN\"}");
    says_double(INFINITY, "{\"doubleValue\":\"Infinity\"}");
    says_double(-INFINITY, "{\"doubleValue\":\"-Infinity\"}");
}

/* A locale that has nothing but a decimal comma, made on the spot by libc-bin's localedef (its
 * character map comes from the package locales). */
static void make_comma_locale(const char *directory)
{
    char text[600];
    FILE *source;

    snprintf(text, sizeof(text), "%s/source", directory);
    source = fopen(text, "w");
    assert_non_null(source);
    fputs("LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \"\"\ngrouping -1\nEND LC_NUMERIC\n",
          source);
    assert_int_equal(fclose(source), 0);
    snprintf(text, sizeof(text), "localedef -c -i %s/source %s/comma >%s/log 2>&1", directory,
             directory, directory);
    assert_int_not_equal(system(text), -1); /* it warns, and ends with 1, for what is left out */
}

static void test_doubles_where_the_host_writes_commas(void **state)
{
    char directory[] = "/tmp/otelshim-test-XXXXXX";
    char text[100];

    (void)state;
    assert_non_null(mkdtemp(directory));
    make_comma_locale(directory);
    setenv("LOCPATH", directory, 1);
    assert_non_null(setlocale(LC_NUMERIC, "comma"));
    snprintf(text, sizeof(text), "%.1f", 0.5);
    assert_string_equal(text, "0,5");
    says_double(0.5, "{\"doubleValue\":0.5}");
    snprintf(text, sizeof(text), "%.1f", 0.5); /* the host's locale is as it was */
    assert_string_equal(text, "0,5");
    setlocale(LC_NUMERIC, "C");
    unsetenv("LOCPATH");
    snprintf(text, sizeof(text), "rm -r %s", directory);
    assert_int_equal(system(text), 0);
}

static void test_other_values(void **state)
{
    Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;
    Otlp__AnyValue number = OTLP__ANY_VALUE__INIT;
    Otlp__AnyValue *items[] = {&number, &number};
    Otlp__ArrayValue array = OTLP__ARRAY_VALUE__INIT;
    Otlp__KeyValue pair = OTLP__KEY_VALUE__INIT;
    Otlp__KeyValue *pairs[] = {&pair};
    Otlp__KeyValueList list = OTLP__KEY_VALUE_LIST__INIT;

    (void)state;
    says_value(&value, "{}");
    number.value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
    number.int_value = INT64_MIN;
    says_value(&number, "{\"intValue\":\"-9223372036854775808\"}");
    value.value_case = OTLP__ANY_VALUE__VALUE_ARRAY_VALUE;
    value.array_value = &array;
    says_value(&value, "{\"arrayValue\":{\"values\":[]}}");
    number.int_value = 5;
    array.values = items;
    array.n_values = 2;
    says_value(&value, "{\"arrayValue\":{\"values\":[{\"intValue\":\"5\"},{\"intValue\":\"5\"}]}}");
    pair.key = (char *)"x";
    pair.value = &number;
    list.values = pairs;
    list.n_values = 1;
    value.value_case = OTLP__ANY_VALUE__VALUE_KVLIST_VALUE;
    value.kvlist_value = &list;
    says_value(&value,
               "{\"kvlistValue\":{\"values\":[{\"key\":\"x\",\"value\":{\"intValue\":\"5\"}}]}}");
}

/* RFC 4648, section 10. */
static void test_bytes(void **state)
{
    static const char *const expected[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE="};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;
        char text[64];

        value.value_case = OTLP__ANY_VALUE__VALUE_BYTES_VALUE;
        value.bytes_value = (ProtobufCBinaryData){i, (uint8_t *)"foobar"};
        snprintf(text, sizeof(text), "{\"bytesValue\":\"%s\"}", expected[i]);
        says_value(&value, text);
    }
}

/* At every size of buffer: a span is in as a whole or not at all, and the end always has room. */
static void test_span_that_does_not_fit(void **state)
{
    Otlp__Span span = OTLP__SPAN__INIT;
    Otlp__Span *copy;
    char memory[2048];
    char *whole;
    size_t fitted = 0;

    (void)state;
    span.name = (char *)"a name";
    whole = line_of(&span);
    copy = unpacked(&span);
    for (size_t size = 1; size < sizeof(memory); size++) {
        struct shim_buf buf;
        size_t before;

        memset(memory, 'x', sizeof(memory));
        shim_buf_init(&buf, memory, size);
        if (!shim_otlp_json_begin(&buf, &resource)) {
            assert_int_equal(buf.len, 0);
            continue;
        }
        before = buf.len;
        if (!shim_otlp_json_add(&buf, copy, true)) {
            assert_int_equal(buf.len, before);
            shim_otlp_json_end(&buf);
            assert_string_equal(memory, HEAD TAIL);
        } else {
            shim_otlp_json_end(&buf);
            assert_string_equal(memory, whole);
            fitted++;
        }
        assert_false(buf.truncated);
        if (size < sizeof(memory) - 1)
            assert_int_equal(memory[size], 'x');
    }
    assert_int_equal(fitted, sizeof(memory) - 1 - strlen(whole));
    otlp__span__free_unpacked(copy, NULL);
    free(whole);
}

static void test_deep_values_are_refused(void **state)
{
    enum { LEVELS = 40 };
    Otlp__AnyValue value[LEVELS];
    Otlp__AnyValue *inner[LEVELS];
    Otlp__ArrayValue array[LEVELS];
    Otlp__KeyValue pair = OTLP__KEY_VALUE__INIT;
    Otlp__KeyValue *pairs = &pair;
    Otlp__Span span = OTLP__SPAN__INIT;
    Otlp__Span *copy;

    (void)state;
    for (int i = 0; i < LEVELS; i++) {
        otlp__any_value__init(&value[i]);
        otlp__array_value__init(&array[i]);
        if (i == 0)
            continue;
        inner[i] = &value[i - 1];
        array[i].n_values = 1;
        array[i].values = &inner[i];
        value[i].value_case = OTLP__ANY_VALUE__VALUE_ARRAY_VALUE;
        value[i].array_value = &array[i];
    }
    pair.key = (char *)"k";
    span.n_attributes = 1;
    span.attributes = &pairs;
    pair.value = &value[LEVELS - 1];
    assert_null(unpacked(&span));
    pair.value = &value[15];
    copy = unpacked(&span);
    assert_non_null(copy);
    otlp__span__free_unpacked(copy, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_span),
        cmocka_unit_test(test_private_field_stays_here),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_doubles_where_the_host_writes_commas),
        cmocka_unit_test(test_other_values),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_span_that_does_not_fit),
        cmocka_unit_test(test_deep_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
