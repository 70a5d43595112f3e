/* Protobuf wire format, as far as a span needs it: written forwards into memory that is known to be
 * large enough. Leaf of trace/. Async-signal-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum shim_wire_type {
    SHIM_WIRE_VARINT = 0,
    SHIM_WIRE_FIXED64 = 1,
    SHIM_WIRE_LEN = 2,
    SHIM_WIRE_FIXED32 = 5,
};

/* The tag of a field below 16: one byte. */
#define SHIM_WIRE_TAG(field, type) (uint8_t)((field) << 3 | (type))

/* The most bytes a varint takes. */
#define SHIM_WIRE_VARINT_MAX 10

static inline size_t shim_wire_varint_size(uint64_t value)
{
    return value < 0x80 ? 1 : (size_t)(63 - __builtin_clzll(value)) / 7 + 1;
}

static inline uint8_t *shim_wire_put_varint(uint8_t *p, uint64_t value)
{
    while (value >= 0x80) {
        *p++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *p++ = (uint8_t)value;
    return p;
}

static inline uint8_t *shim_wire_put_bytes(uint8_t *p, const void *bytes, size_t len)
{
    memcpy(p, bytes, len);
    return p + len;
}

/* Fixed-width values are little-endian on the wire, as on every machine this is built for. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "fixed64 is written as it lies in memory");

static inline uint8_t *shim_wire_put_fixed64(uint8_t *p, uint64_t value)
{
    return shim_wire_put_bytes(p, &value, sizeof(value));
}

static inline uint8_t *shim_wire_put_fixed32(uint8_t *p, uint32_t value)
{
    return shim_wire_put_bytes(p, &value, sizeof(value));
}

/* Reads a varint; NULL when it does not end before `end`. */
static inline const uint8_t *shim_wire_get_varint(const uint8_t *p, const uint8_t *end,
                                                  uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; p < end && shift < 64; shift += 7) {
        uint8_t byte = *p++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return p;
        }
    }
    return NULL;
}

/* One field of a message. */
struct shim_wire_field {
    uint64_t number;
    enum shim_wire_type type;
    const uint8_t *begin; /* with its tag */
    const uint8_t *value; /* LEN: the contents; FIXED: the bytes; VARINT: equal to `end` */
    const uint8_t *end;
};

/* Steps to the next field: *data points behind it. False at the end (*data == end), and where the
 * bytes are no message. */
static inline bool shim_wire_next_field(const uint8_t **data, const uint8_t *end,
                                        struct shim_wire_field *ret_field)
{
    uint64_t tag, len = 0;
    const uint8_t *p = *data < end ? shim_wire_get_varint(*data, end, &tag) : NULL;
    if (!p)
        return false;
    enum shim_wire_type type = tag & 7;
    if (type == SHIM_WIRE_FIXED64)
        len = 8;
    else if (type == SHIM_WIRE_FIXED32)
        len = 4;
    else if (type == SHIM_WIRE_VARINT || type == SHIM_WIRE_LEN)
        p = shim_wire_get_varint(p, end, &len);
    else
        return false;
    if (type == SHIM_WIRE_VARINT)
        len = 0;
    if (!p || len > (size_t)(end - p))
        return false;
    *ret_field = (struct shim_wire_field){tag >> 3, type, *data, p, p + len};
    *data = p + len;
    return true;
}
