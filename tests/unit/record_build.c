/* Makes records for tests of the exporter. */
#include "record_build.h"

#include "trace/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EPOCH_NS 1700000000000000000u

void records_add(struct records *records, const Otlp__Span *span)
{
    size_t len = otlp__span__get_packed_size(span);
    uint8_t *record;

    assert_true(len < 1u << 21);
    records->data = realloc(records->data, records->len + SHIM_RECORD_HEAD + len);
    assert_non_null(records->data);
    record = records->data + records->len;
    record[0] = SHIM_RECORD_TAG;
    record[1] = (uint8_t)(len | 0x80);
    record[2] = (uint8_t)(len >> 7 | 0x80);
    record[3] = (uint8_t)(len >> 14);
    otlp__span__pack(span, record + SHIM_RECORD_HEAD);
    records->len += SHIM_RECORD_HEAD + len;
    records->spans++;
}

void records_add_spec(struct records *records, const struct span_spec *spec)
{
    Otlp__Span span = OTLP__SPAN__INIT;
    Otlp__Status status = OTLP__STATUS__INIT;
    Otlp__AnyValue value[8];
    Otlp__KeyValue pair[8];
    Otlp__KeyValue *pairs[8];
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t parent_id[8];

    memset(trace_id, spec->trace, sizeof(trace_id));
    memset(span_id, spec->id, sizeof(span_id));
    memset(parent_id, spec->parent, sizeof(parent_id));
    span.trace_id = (ProtobufCBinaryData){sizeof(trace_id), trace_id};
    span.span_id = (ProtobufCBinaryData){sizeof(span_id), span_id};
    if (spec->parent)
        span.parent_span_id = (ProtobufCBinaryData){sizeof(parent_id), parent_id};
    span.name = (char *)spec->name;
    span.kind = spec->kind;
    span.start_time_unix_nano = EPOCH_NS + spec->start_us * 1000;
    span.end_time_unix_nano = EPOCH_NS + spec->end_us * 1000;
    span.flags = 0x103 | (spec->parent_is_remote ? 0x200 : 0);
    status.code = 2;
    if (spec->failed)
        span.status = &status;
    span.attributes = pairs;
    for (size_t i = 0; i < 8 && spec->attributes[2 * i]; i++) {
        const char *text = spec->attributes[2 * i + 1];
        otlp__any_value__init(&value[i]);
        otlp__key_value__init(&pair[i]);
        if (text[0] == '#') {
            value[i].value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
            value[i].int_value = atoll(text + 1);
        } else {
            value[i].value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
            value[i].string_value = (char *)text;
        }
        pair[i].key = (char *)spec->attributes[2 * i];
        pair[i].value = &value[i];
        pairs[i] = &pair[i];
        span.n_attributes = i + 1;
    }
    records_add(records, &span);
}

struct shim_batch records_batch(struct records *records)
{
    records->piece = (struct shim_batch_piece){records->data, records->len};
    return (struct shim_batch){
        .piece = &records->piece, .piece_count = 1, .bytes = records->len, .spans = records->spans};
}

void records_fini(struct records *records)
{
    free(records->data);
    *records = (struct records){0};
}
