/* A finished span as it lies in a chunk: field 2 of ScopeSpans in protobuf wire format (tag 0x12, a
 * length of exactly three bytes, the Span message; opentelemetry/proto/trace/v1), so that a run of
 * records is the inside of a request. Field order is free, scalars may repeat (the last wins),
 * lengths may be padded. One field is ours and never leaves the process: the addresses of a call
 * stack. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SHIM_RECORD_TAG  0x12
#define SHIM_RECORD_HEAD 4 /* bytes before the Span message */

/* bytes: return addresses, innermost first, 8 bytes each in host order. */
#define SHIM_RECORD_FIELD_STACK 1000

/* Steps through records: *data points behind the record afterwards. Returns the Span message and
 * its length, or NULL at the end (or where the bytes are no record). */
static inline const uint8_t *shim_record_next(const uint8_t **data, const uint8_t *end,
                                              size_t *ret_len)
{
    const uint8_t *p = *data;
    if ((size_t)(end - p) < SHIM_RECORD_HEAD || p[0] != SHIM_RECORD_TAG)
        return NULL;
    size_t len = (p[1] & 0x7fu) | (size_t)(p[2] & 0x7f) << 7 | (size_t)(p[3] & 0x7f) << 14;
    p += SHIM_RECORD_HEAD;
    if (len > (size_t)(end - p))
        return NULL;
    *data = p + len;
    *ret_len = len;
    return p;
}
