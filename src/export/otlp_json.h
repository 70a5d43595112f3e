/* OTLP in JSON (OTLP 1.11, "JSON Protobuf Encoding"): an ExportTraceServiceRequest on one line,
 * built span by span into memory of the caller's. Knows no file. Exporter thread only. */
#pragma once

#include "base/buf.h"
#include "export/record_read.h"
#include "trace/resource.h"

#include <stdbool.h>

/* Begins a request; appends to what is in `buf`. False: the resource does not fit. */
bool shim_otlp_json_begin(struct shim_buf *buf, const struct shim_resource *resource);

/* Adds a span; `first`: the request has none yet. False: it does not fit, and `buf` is as it was
 * before. Room for the end is always kept. */
bool shim_otlp_json_add(struct shim_buf *buf, const Otlp__Span *span, bool first);

/* Ends the request and its line. */
void shim_otlp_json_end(struct shim_buf *buf);
