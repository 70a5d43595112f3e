/* Finished spans as protobuf-c structures, for the sinks that show them to people. Knows no sink.
 * Exporter thread only. */
#pragma once

#include "otlp.pb-c.h"

#include <stddef.h>
#include <stdint.h>

/* Unpacks the Span message of a record. NULL: it is none, its values are nested too deeply, or
 * there is no memory. The caller frees it with otlp__span__free_unpacked(span, NULL). */
Otlp__Span *shim_record_unpack(const uint8_t *message, size_t len);

/* The value of the attribute (the last one, should a key be there twice); NULL: no such. Borrowed.
 */
const Otlp__AnyValue *shim_record_attribute(const Otlp__Span *span, const char *key);

/* The same, of text and of integers only: NULL, or `otherwise`, for all else. */
const char *shim_record_text(const Otlp__Span *span, const char *key);
int64_t shim_record_number(const Otlp__Span *span, const char *key, int64_t otherwise);
