/* Attributes, links and events of a running span, in wire format (KeyValue and AnyValue of
 * common/v1). Knows no library. The thread that holds the span; async-signal-safe. */
#include "base/utf8.h"
#include "trace/record.h"
#include "trace/recorder.h"
#include "trace/span.h"
#include "trace/wire.h"

#define TAG_NAME      SHIM_WIRE_TAG(5, SHIM_WIRE_LEN)
#define TAG_ATTRIBUTE SHIM_WIRE_TAG(9, SHIM_WIRE_LEN)
#define TAG_EVENT     SHIM_WIRE_TAG(11, SHIM_WIRE_LEN)
#define TAG_LINK      SHIM_WIRE_TAG(13, SHIM_WIRE_LEN)
#define TAG_STATUS    SHIM_WIRE_TAG(15, SHIM_WIRE_LEN)

/* KeyValue */
#define TAG_KEY   SHIM_WIRE_TAG(1, SHIM_WIRE_LEN)
#define TAG_VALUE SHIM_WIRE_TAG(2, SHIM_WIRE_LEN)
/* AnyValue */
#define TAG_STRING SHIM_WIRE_TAG(1, SHIM_WIRE_LEN)
#define TAG_BOOL   SHIM_WIRE_TAG(2, SHIM_WIRE_VARINT)
#define TAG_INT    SHIM_WIRE_TAG(3, SHIM_WIRE_VARINT)
#define TAG_DOUBLE SHIM_WIRE_TAG(4, SHIM_WIRE_FIXED64)
#define TAG_ARRAY  SHIM_WIRE_TAG(5, SHIM_WIRE_LEN)

/* Moves the span's data to a chunk of its own. */
static bool grow(struct shim_span *span, size_t need)
{
    if (span->chunk || span->used + need > SHIM_CHUNK_ROOM)
        return false;
    struct shim_chunk *chunk = shim_pool_take(&shim_recorder.pool);
    if (!chunk)
        return false;
    memcpy(chunk->data, span->data, span->used);
    span->chunk = chunk;
    span->data = chunk->data;
    /* The finished record must fit a chunk: its head is written in front of the data. */
    span->room = SHIM_CHUNK_ROOM - SHIM_RECORD_HEAD - SHIM_SPAN_HEAD_MAX;
    return span->used + need <= span->room;
}

/* Room for `need` bytes at the end of the span's data, NULL: none. */
static inline uint8_t *claim(struct shim_span *span, size_t need)
{
    if (span->used + need > span->room && !grow(span, need))
        return NULL;
    uint8_t *p = span->data + span->used;
    span->used += (uint32_t)need;
    return p;
}

static void drop_attributes(struct shim_span *span, unsigned count)
{
    span->attributes_dropped = (uint16_t)(span->attributes_dropped + count);
    shim_count(&shim_recorder.counters, SHIM_COUNTER_ATTRIBUTES_DROPPED, count);
}

/* The size of a field of type LEN with a tag of one byte. */
static inline size_t field_size(size_t len)
{
    return 1 + shim_wire_varint_size(len) + len;
}

static inline uint8_t *put_head(uint8_t *p, uint8_t tag, size_t len)
{
    *p++ = tag;
    return shim_wire_put_varint(p, len);
}

/* Begins an attribute whose AnyValue takes `value_size` bytes. */
static inline uint8_t *put_key(uint8_t *p, const char *key, size_t key_len, size_t value_size)
{
    p = put_head(p, TAG_ATTRIBUTE, field_size(key_len) + field_size(value_size));
    p = put_head(p, TAG_KEY, key_len);
    p = shim_wire_put_bytes(p, key, key_len);
    return put_head(p, TAG_VALUE, value_size);
}

/* Cheap and good enough: keys of one span differ in length or in these letters. */
static inline uint64_t key_bit(const char *key, size_t key_len)
{
    size_t mixed =
        key_len ? key_len * 7 + (uint8_t)key[key_len - 1] * 3u + (uint8_t)key[key_len / 2] : 0;
    return UINT64_C(1) << (mixed & 63);
}

/* As put_key, in room of the span's; NULL when a limit says no. */
static inline uint8_t *begin_attribute(struct shim_span *span, const char *key, size_t key_len,
                                       size_t value_size)
{
    if (span->attribute_count >= shim_recorder.limits.attribute_count) {
        drop_attributes(span, 1);
        return NULL;
    }
    uint8_t *p = claim(span, field_size(field_size(key_len) + field_size(value_size)));
    if (!p) {
        drop_attributes(span, 1);
        return NULL;
    }
    span->attribute_count++;
    span->keys |= key_bit(key, key_len);
    return put_key(p, key, key_len, value_size);
}

static inline struct shim_str cut_value(struct shim_str value)
{
    uint32_t limit = shim_recorder.limits.attribute_value_length;
    return value.len <= limit ? value : shim_utf8_prefix(value, value.len, limit);
}

void shim_span_add_str_n(struct shim_span *span, const char *key, size_t key_len,
                         struct shim_str value)
{
    if (!span || !span->recording)
        return;
    value = cut_value(value);
    uint8_t *p = begin_attribute(span, key, key_len, field_size(value.len));
    if (!p)
        return;
    p = put_head(p, TAG_STRING, value.len);
    shim_utf8_copy((char *)p, value);
}

void shim_span_add_int_n(struct shim_span *span, const char *key, size_t key_len, int64_t value)
{
    if (!span || !span->recording)
        return;
    uint8_t *p = begin_attribute(span, key, key_len, 1 + shim_wire_varint_size((uint64_t)value));
    if (!p)
        return;
    *p++ = TAG_INT;
    shim_wire_put_varint(p, (uint64_t)value);
}

void shim_span_add_double_n(struct shim_span *span, const char *key, size_t key_len, double value)
{
    if (!span || !span->recording)
        return;
    uint8_t *p = begin_attribute(span, key, key_len, 1 + sizeof(value));
    if (!p)
        return;
    *p++ = TAG_DOUBLE;
    memcpy(p, &value, sizeof(value));
}

void shim_span_add_bool_n(struct shim_span *span, const char *key, size_t key_len, bool value)
{
    if (!span || !span->recording)
        return;
    uint8_t *p = begin_attribute(span, key, key_len, 2);
    if (!p)
        return;
    *p++ = TAG_BOOL;
    *p = value;
}

void shim_span_add_str_array_n(struct shim_span *span, const char *key, size_t key_len,
                               const struct shim_str *values, unsigned count)
{
    if (!span || !span->recording)
        return;
    size_t array_size = 0;
    for (unsigned i = 0; i < count; i++)
        array_size += field_size(field_size(cut_value(values[i]).len));
    uint8_t *p = begin_attribute(span, key, key_len, field_size(array_size));
    if (!p)
        return;
    p = put_head(p, TAG_ARRAY, array_size);
    for (unsigned i = 0; i < count; i++) {
        struct shim_str value = cut_value(values[i]);
        p = put_head(p, SHIM_WIRE_TAG(1, SHIM_WIRE_LEN), field_size(value.len));
        p = put_head(p, TAG_STRING, value.len);
        shim_utf8_copy((char *)p, value);
        p += value.len;
    }
}

void shim_span_add_encoded(struct shim_span *span, const uint8_t *bytes, size_t len, unsigned count)
{
    if (!span || !span->recording || len == 0)
        return;
    uint8_t *p = span->attribute_count + count <= shim_recorder.limits.attribute_count
                     ? claim(span, len)
                     : NULL;
    if (!p) {
        drop_attributes(span, count);
        return;
    }
    span->attribute_count = (uint16_t)(span->attribute_count + count);
    span->keys = UINT64_MAX; /* whichever they are */
    memcpy(p, bytes, len);
}

size_t shim_span_encode_str(uint8_t *dst, size_t cap, struct shim_str key, struct shim_str value)
{
    value = cut_value(value);
    size_t value_size = field_size(value.len);
    size_t size = field_size(field_size(key.len) + field_size(value_size));
    if (size > cap)
        return 0;
    uint8_t *p = put_key(dst, key.ptr, key.len, value_size);
    p = put_head(p, TAG_STRING, value.len);
    shim_utf8_copy((char *)p, value);
    return size;
}

size_t shim_span_encode_int(uint8_t *dst, size_t cap, struct shim_str key, int64_t value)
{
    size_t value_size = 1 + shim_wire_varint_size((uint64_t)value);
    size_t size = field_size(field_size(key.len) + field_size(value_size));
    if (size > cap)
        return 0;
    uint8_t *p = put_key(dst, key.ptr, key.len, value_size);
    *p++ = TAG_INT;
    shim_wire_put_varint(p, (uint64_t)value);
    return size;
}

/* Whether the KeyValue at p has this key. The span's data is ours, so it is well-formed. */
static bool has_key(const uint8_t *p, struct shim_str key)
{
    uint64_t len = 0;
    p = shim_wire_get_varint(p + 1, p + 1 + SHIM_WIRE_VARINT_MAX, &len);
    return len == key.len && memcmp(p, key.ptr, key.len) == 0;
}

/* Takes the first field with that tag (and, for an attribute, that key) out of the data. */
static bool remove_field(struct shim_span *span, uint8_t tag, struct shim_str key)
{
    const uint8_t *end = span->data + span->used;
    for (uint8_t *field = span->data; field < end;) {
        uint64_t len = 0; /* every field in the data is of type LEN */
        const uint8_t *body = shim_wire_get_varint(field + 1, end, &len);
        uint8_t *next = field + (body - field) + len;
        if (*field == tag && (tag != TAG_ATTRIBUTE || has_key(body, key))) {
            memmove(field, next, (size_t)(end - next));
            span->used -= (uint32_t)(next - field);
            return true;
        }
        field = next;
    }
    return false;
}

void shim_span_remove_attribute(struct shim_span *span, struct shim_str key)
{
    if (!span || !span->recording || !(span->keys & key_bit(key.ptr, key.len)))
        return;
    if (remove_field(span, TAG_ATTRIBUTE, key))
        span->attribute_count--;
}

void shim_span_set_name(struct shim_span *span, struct shim_str name)
{
    if (!span || !span->recording)
        return;
    uint8_t *p = claim(span, field_size(name.len));
    if (!p)
        return;
    p = put_head(p, TAG_NAME, name.len);
    shim_utf8_copy((char *)p, name);
}

void shim_span_set_status(struct shim_span *span, enum shim_span_status status,
                          struct shim_str description)
{
    if (!span || !span->recording)
        return;
    span->status = (uint8_t)status;
    if (span->status_has_text)
        remove_field(span, TAG_STATUS, shim_str(""));
    span->status_has_text = false;
    if (status != SHIM_STATUS_ERROR || description.len == 0)
        return;
    /* Whole, code included: decoders differ in what they make of a message that comes in parts. */
    uint8_t *p = claim(span, field_size(field_size(description.len) + 2));
    if (!p)
        return;
    span->status_has_text = true;
    p = put_head(p, TAG_STATUS, field_size(description.len) + 2);
    *p++ = SHIM_WIRE_TAG(3, SHIM_WIRE_VARINT);
    *p++ = (uint8_t)status;
    p = put_head(p, SHIM_WIRE_TAG(2, SHIM_WIRE_LEN), description.len);
    shim_utf8_copy((char *)p, description);
}

void shim_span_add_link(struct shim_span *span, const struct shim_context *target)
{
    if (!span || !span->recording || !shim_context_is_valid(target))
        return;
    struct shim_str state = target->carried ? target->carried->tracestate : shim_str("");
    size_t size = field_size(16) + field_size(8) + (state.len ? field_size(state.len) : 0) + 5;
    uint8_t *p =
        span->link_count < shim_recorder.limits.link_count ? claim(span, field_size(size)) : NULL;
    if (!p) {
        span->links_dropped++;
        return;
    }
    span->link_count++;
    p = put_head(p, TAG_LINK, size);
    p = put_head(p, SHIM_WIRE_TAG(1, SHIM_WIRE_LEN), 16);
    p = shim_wire_put_bytes(p, target->span.trace_id, 16);
    p = put_head(p, SHIM_WIRE_TAG(2, SHIM_WIRE_LEN), 8);
    p = shim_wire_put_bytes(p, target->span.span_id, 8);
    if (state.len) {
        p = put_head(p, SHIM_WIRE_TAG(3, SHIM_WIRE_LEN), state.len);
        p = shim_wire_put_bytes(p, state.ptr, state.len);
    }
    *p++ = SHIM_WIRE_TAG(6, SHIM_WIRE_FIXED32);
    shim_wire_put_fixed32(p, target->span.flags | 0x100u | (target->span.is_remote ? 0x200u : 0));
}

void shim_span_add_event(struct shim_span *span, struct shim_str name, uint64_t unix_ns)
{
    if (!span || !span->recording)
        return;
    size_t size = 9 + field_size(name.len);
    uint8_t *p =
        span->event_count < shim_recorder.limits.event_count ? claim(span, field_size(size)) : NULL;
    if (!p) {
        span->events_dropped++;
        return;
    }
    span->event_count++;
    p = put_head(p, TAG_EVENT, size);
    *p++ = SHIM_WIRE_TAG(1, SHIM_WIRE_FIXED64);
    p = shim_wire_put_fixed64(p, unix_ns);
    p = put_head(p, SHIM_WIRE_TAG(2, SHIM_WIRE_LEN), name.len);
    shim_utf8_copy((char *)p, name);
}

bool shim_span_add_stack(struct shim_span *span, void *const *frames, unsigned count)
{
    size_t len = count * sizeof(*frames);
    uint64_t tag = SHIM_RECORD_FIELD_STACK << 3 | SHIM_WIRE_LEN;
    uint8_t *p = claim(span, shim_wire_varint_size(tag) + shim_wire_varint_size(len) + len);
    if (!p)
        return false;
    p = shim_wire_put_varint(p, tag);
    p = shim_wire_put_varint(p, len);
    shim_wire_put_bytes(p, frames, len);
    return true;
}
