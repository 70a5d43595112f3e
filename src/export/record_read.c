/* Unpacks records. protobuf-c recurses as deep as the message nests, so the depth is checked
 * before: a record of 32 KB could otherwise ask for megabytes of stack. Knows no sink. Exporter
 * thread only. */
#include "export/record_read.h"

#include "trace/wire.h"

#include <stdbool.h>
#include <string.h>

/* Some fifteen lists in lists: far more than anybody's attributes, and 40 KB of stack. */
#define DEPTH_MAX 32

enum message { SPAN, EVENT, LINK, KEY_VALUE, ANY_VALUE, ARRAY, KEY_VALUE_LIST, LEAF };

/* Which message stands in a field of a message. */
static enum message message_in(enum message outer, uint64_t field)
{
    static const struct {
        enum message outer;
        uint64_t field;
        enum message inner;
    } nesting[] = {
        {SPAN, 9, KEY_VALUE},           {SPAN, 11, EVENT},     {SPAN, 13, LINK},
        {EVENT, 3, KEY_VALUE},          {LINK, 4, KEY_VALUE},  {KEY_VALUE, 2, ANY_VALUE},
        {ANY_VALUE, 5, ARRAY},          {ARRAY, 1, ANY_VALUE}, {ANY_VALUE, 6, KEY_VALUE_LIST},
        {KEY_VALUE_LIST, 1, KEY_VALUE},
    };

    for (size_t i = 0; i < sizeof(nesting) / sizeof(nesting[0]); i++) {
        if (nesting[i].outer == outer && nesting[i].field == field)
            return nesting[i].inner;
    }
    return LEAF;
}

static bool depth_is_fine(enum message message, const uint8_t *data, const uint8_t *end,
                          unsigned depth)
{
    if (depth > DEPTH_MAX)
        return false;
    struct shim_wire_field field;
    while (shim_wire_next_field(&data, end, &field)) {
        enum message inner = field.type == SHIM_WIRE_LEN ? message_in(message, field.number) : LEAF;
        if (inner != LEAF && !depth_is_fine(inner, field.value, field.end, depth + 1))
            return false;
    }
    return data == end;
}

Otlp__Span *shim_record_unpack(const uint8_t *message, size_t len)
{
    if (!depth_is_fine(SPAN, message, message + len, 0))
        return NULL;
    return otlp__span__unpack(NULL, len, message);
}

const Otlp__AnyValue *shim_record_attribute(const Otlp__Span *span, const char *key)
{
    for (size_t i = span->n_attributes; i-- > 0;) {
        const Otlp__KeyValue *attribute = span->attributes[i];
        if (attribute->key && strcmp(attribute->key, key) == 0)
            return attribute->value;
    }
    return NULL;
}

const char *shim_record_text(const Otlp__Span *span, const char *key)
{
    const Otlp__AnyValue *value = shim_record_attribute(span, key);
    if (!value || value->value_case != OTLP__ANY_VALUE__VALUE_STRING_VALUE)
        return NULL;
    return value->string_value;
}

int64_t shim_record_number(const Otlp__Span *span, const char *key, int64_t otherwise)
{
    const Otlp__AnyValue *value = shim_record_attribute(span, key);
    if (!value || value->value_case != OTLP__ANY_VALUE__VALUE_INT_VALUE)
        return otherwise;
    return value->int_value;
}
