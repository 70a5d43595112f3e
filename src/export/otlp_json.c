/* Writes OTLP as JSON: ids in lower-case hex, enums as integers, names in lowerCamelCase, 64-bit
 * integers as strings. What comes out is valid JSON in UTF-8 whatever bytes the strings hold, and
 * whatever the host's locale is. Knows no file and no network. Exporter thread only. */
#include "export/otlp_json.h"

#include "base/version.h"
#include "export/text.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SCHEMA_URL "https://opentelemetry.io/schemas/1.44.0"

static const char request_end[] =
    "],\"schemaUrl\":\"" SCHEMA_URL "\"}],\"schemaUrl\":\"" SCHEMA_URL "\"}]}\n";

static void add_value(struct shim_buf *buf, const Otlp__AnyValue *value);

static void add_escaped(struct shim_buf *buf, unsigned char c)
{
    shim_buf_add_text(buf, "\\u00");
    shim_buf_add_hex(buf, &c, 1);
}

/* Runs of characters that need nothing are copied at once. */
static void add_string(struct shim_buf *buf, const char *text)
{
    struct shim_str rest = shim_str(text);
    size_t plain = 0;

    shim_buf_add_char(buf, '"');
    while (plain < rest.len) {
        unsigned char c = (unsigned char)rest.ptr[plain];
        size_t len = shim_text_sequence(rest.ptr + plain, rest.len - plain);

        if (len > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            plain += len;
            continue;
        }
        shim_buf_add(buf, shim_str_n(rest.ptr, plain));
        if (len == 0)
            shim_buf_add_text(buf, "\\ufffd");
        else if (c == '"' || c == '\\') {
            shim_buf_add_char(buf, '\\');
            shim_buf_add_char(buf, (char)c);
        } else
            add_escaped(buf, c);
        rest.ptr += plain + 1;
        rest.len -= plain + 1;
        plain = 0;
    }
    shim_buf_add(buf, rest);
    shim_buf_add_char(buf, '"');
}

/* `name` comes with its quotes, colon and, unless it is an object's first, its comma. */
static void add_text_field(struct shim_buf *buf, const char *name, const char *text)
{
    shim_buf_add_text(buf, name);
    add_string(buf, text);
}

static void add_hex_field(struct shim_buf *buf, const char *name, ProtobufCBinaryData bytes)
{
    shim_buf_add_text(buf, name);
    shim_buf_add_char(buf, '"');
    shim_buf_add_hex(buf, bytes.data, bytes.len);
    shim_buf_add_char(buf, '"');
}

static void add_u64_field(struct shim_buf *buf, const char *name, uint64_t value)
{
    shim_buf_add_text(buf, name);
    shim_buf_add_char(buf, '"');
    shim_buf_add_u64(buf, value);
    shim_buf_add_char(buf, '"');
}

static void add_count_field(struct shim_buf *buf, const char *name, uint32_t count)
{
    if (count == 0)
        return;
    shim_buf_add_text(buf, name);
    shim_buf_add_u64(buf, count);
}

/* The host may have set a locale whose decimal point is a comma; ours is this thread's alone. */
static void add_double(struct shim_buf *buf, double value)
{
    char text[32];
    locale_t c_locale;
    locale_t before;

    if (isnan(value)) {
        shim_buf_add_text(buf, "\"NaN\"");
        return;
    }
    if (isinf(value)) {
        shim_buf_add_text(buf, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        return;
    }
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0) {
        shim_buf_add_char(buf, '0');
        return;
    }
    before = uselocale(c_locale);
    snprintf(text, sizeof(text), "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof(text), "%.17g", value);
    uselocale(before);
    freelocale(c_locale);
    shim_buf_add_text(buf, text);
}

static void add_base64(struct shim_buf *buf, ProtobufCBinaryData bytes)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    shim_buf_add_char(buf, '"');
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t three = (uint32_t)bytes.data[i] << 16;
        if (left > 1)
            three |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            three |= bytes.data[i + 2];
        shim_buf_add_char(buf, digit[three >> 18]);
        shim_buf_add_char(buf, digit[three >> 12 & 63]);
        shim_buf_add_char(buf, left > 1 ? digit[three >> 6 & 63] : '=');
        shim_buf_add_char(buf, left > 2 ? digit[three & 63] : '=');
    }
    shim_buf_add_char(buf, '"');
}

static void add_key_values(struct shim_buf *buf, size_t count, Otlp__KeyValue *const *list)
{
    shim_buf_add_char(buf, '[');
    for (size_t i = 0; i < count; i++) {
        add_text_field(buf, i > 0 ? ",{\"key\":" : "{\"key\":", list[i]->key);
        shim_buf_add_text(buf, ",\"value\":");
        add_value(buf, list[i]->value);
        shim_buf_add_char(buf, '}');
    }
    shim_buf_add_char(buf, ']');
}

static void add_array(struct shim_buf *buf, const Otlp__ArrayValue *array)
{
    shim_buf_add_text(buf, "{\"values\":[");
    for (size_t i = 0; i < array->n_values; i++) {
        if (i > 0)
            shim_buf_add_char(buf, ',');
        add_value(buf, array->values[i]);
    }
    shim_buf_add_text(buf, "]}");
}

/* Recursion is as deep as the value, which shim_record_unpack has bounded. */
static void add_value(struct shim_buf *buf, const Otlp__AnyValue *value)
{
    shim_buf_add_char(buf, '{');
    switch (value ? value->value_case : OTLP__ANY_VALUE__VALUE__NOT_SET) {
    case OTLP__ANY_VALUE__VALUE_STRING_VALUE:
        add_text_field(buf, "\"stringValue\":", value->string_value);
        break;
    case OTLP__ANY_VALUE__VALUE_BOOL_VALUE:
        shim_buf_add_text(buf, value->bool_value ? "\"boolValue\":true" : "\"boolValue\":false");
        break;
    case OTLP__ANY_VALUE__VALUE_INT_VALUE:
        shim_buf_add_text(buf, "\"intValue\":\"");
        shim_buf_add_i64(buf, value->int_value);
        shim_buf_add_char(buf, '"');
        break;
    case OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE:
        shim_buf_add_text(buf, "\"doubleValue\":");
        add_double(buf, value->double_value);
        break;
    case OTLP__ANY_VALUE__VALUE_ARRAY_VALUE:
        shim_buf_add_text(buf, "\"arrayValue\":");
        add_array(buf, value->array_value);
        break;
    case OTLP__ANY_VALUE__VALUE_KVLIST_VALUE:
        shim_buf_add_text(buf, "\"kvlistValue\":{\"values\":");
        add_key_values(buf, value->kvlist_value->n_values, value->kvlist_value->values);
        shim_buf_add_char(buf, '}');
        break;
    case OTLP__ANY_VALUE__VALUE_BYTES_VALUE:
        shim_buf_add_text(buf, "\"bytesValue\":");
        add_base64(buf, value->bytes_value);
        break;
    default:
        break;
    }
    shim_buf_add_char(buf, '}');
}

static void add_attributes(struct shim_buf *buf, size_t count, Otlp__KeyValue *const *list)
{
    if (count == 0)
        return;
    shim_buf_add_text(buf, ",\"attributes\":");
    add_key_values(buf, count, list);
}

static void add_events(struct shim_buf *buf, const Otlp__Span *span)
{
    if (span->n_events == 0)
        return;
    shim_buf_add_text(buf, ",\"events\":[");
    for (size_t i = 0; i < span->n_events; i++) {
        const Otlp__Event *event = span->events[i];
        add_u64_field(buf,
                      i > 0 ? ",{\"timeUnixNano\":" : "{\"timeUnixNano\":", event->time_unix_nano);
        add_text_field(buf, ",\"name\":", event->name);
        add_attributes(buf, event->n_attributes, event->attributes);
        add_count_field(buf, ",\"droppedAttributesCount\":", event->dropped_attributes_count);
        shim_buf_add_char(buf, '}');
    }
    shim_buf_add_char(buf, ']');
}

static void add_links(struct shim_buf *buf, const Otlp__Span *span)
{
    if (span->n_links == 0)
        return;
    shim_buf_add_text(buf, ",\"links\":[");
    for (size_t i = 0; i < span->n_links; i++) {
        const Otlp__Link *link = span->links[i];
        add_hex_field(buf, i > 0 ? ",{\"traceId\":" : "{\"traceId\":", link->trace_id);
        add_hex_field(buf, ",\"spanId\":", link->span_id);
        if (link->trace_state[0])
            add_text_field(buf, ",\"traceState\":", link->trace_state);
        add_attributes(buf, link->n_attributes, link->attributes);
        add_count_field(buf, ",\"droppedAttributesCount\":", link->dropped_attributes_count);
        add_count_field(buf, ",\"flags\":", link->flags);
        shim_buf_add_char(buf, '}');
    }
    shim_buf_add_char(buf, ']');
}

static void add_status(struct shim_buf *buf, const Otlp__Status *status)
{
    if (!status || (status->code == 0 && !status->message[0]))
        return;
    shim_buf_add_text(buf, ",\"status\":{\"code\":");
    shim_buf_add_i64(buf, status->code);
    if (status->message[0])
        add_text_field(buf, ",\"message\":", status->message);
    shim_buf_add_char(buf, '}');
}

static void add_span(struct shim_buf *buf, const Otlp__Span *span)
{
    add_hex_field(buf, "{\"traceId\":", span->trace_id);
    add_hex_field(buf, ",\"spanId\":", span->span_id);
    if (span->parent_span_id.len > 0)
        add_hex_field(buf, ",\"parentSpanId\":", span->parent_span_id);
    if (span->trace_state[0])
        add_text_field(buf, ",\"traceState\":", span->trace_state);
    add_count_field(buf, ",\"flags\":", span->flags);
    add_text_field(buf, ",\"name\":", span->name);
    shim_buf_add_text(buf, ",\"kind\":");
    shim_buf_add_i64(buf, span->kind);
    add_u64_field(buf, ",\"startTimeUnixNano\":", span->start_time_unix_nano);
    add_u64_field(buf, ",\"endTimeUnixNano\":", span->end_time_unix_nano);
    add_attributes(buf, span->n_attributes, span->attributes);
    add_count_field(buf, ",\"droppedAttributesCount\":", span->dropped_attributes_count);
    add_events(buf, span);
    add_count_field(buf, ",\"droppedEventsCount\":", span->dropped_events_count);
    add_links(buf, span);
    add_count_field(buf, ",\"droppedLinksCount\":", span->dropped_links_count);
    add_status(buf, span->status);
    shim_buf_add_char(buf, '}');
}

/* Whether what was added fits together with the request's end; if not, it is taken back. */
static bool keep(struct shim_buf *buf, size_t mark)
{
    if (!buf->truncated && buf->cap - buf->len >= sizeof(request_end))
        return true;
    buf->len = mark;
    buf->data[mark] = '\0';
    buf->truncated = false;
    return false;
}

static void add_resource_value(struct shim_buf *buf,
                               const struct shim_resource_attribute *attribute)
{
    const char *text = attribute->text;

    if (!text) {
        shim_buf_add_text(buf, "{\"intValue\":\"");
        shim_buf_add_i64(buf, attribute->number);
        shim_buf_add_text(buf, "\"}");
        return;
    }
    if (attribute->items == 0) {
        add_text_field(buf, "{\"stringValue\":", text);
        shim_buf_add_char(buf, '}');
        return;
    }
    shim_buf_add_text(buf, "{\"arrayValue\":{\"values\":[");
    for (unsigned i = 0; i < attribute->items; i++) {
        add_text_field(buf, i > 0 ? ",{\"stringValue\":" : "{\"stringValue\":", text);
        shim_buf_add_char(buf, '}');
        text += strlen(text) + 1;
    }
    shim_buf_add_text(buf, "]}}");
}

bool shim_otlp_json_begin(struct shim_buf *buf, const struct shim_resource *resource)
{
    size_t mark = buf->len;

    shim_buf_add_text(buf, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    for (unsigned i = 0; i < resource->count; i++) {
        const struct shim_resource_attribute *attribute = &resource->attribute[i];
        add_text_field(buf, i > 0 ? ",{\"key\":" : "{\"key\":", attribute->key);
        shim_buf_add_text(buf, ",\"value\":");
        add_resource_value(buf, attribute);
        shim_buf_add_char(buf, '}');
    }
    shim_buf_add_text(buf, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"" SHIM_NAME
                           "\",\"version\":\"" SHIM_VERSION "\"},\"spans\":[");
    return keep(buf, mark);
}

bool shim_otlp_json_add(struct shim_buf *buf, const Otlp__Span *span, bool first)
{
    size_t mark = buf->len;

    if (!first)
        shim_buf_add_char(buf, ',');
    add_span(buf, span);
    return keep(buf, mark);
}

void shim_otlp_json_end(struct shim_buf *buf)
{
    shim_buf_add_text(buf, request_end);
}
