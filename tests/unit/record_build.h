/* Makes records for tests of the exporter: by protobuf-c, so by other code than what records spans
 * in a process. Fails the running test when there is no memory. */
#pragma once

#include "export/sink.h"
#include "otlp.pb-c.h"

#include <stdbool.h>

struct records {
    uint8_t *data;
    size_t len;
    uint32_t spans;
    struct shim_batch_piece piece;
};

/* What a span is made from; each id is one byte, repeated. 0: no parent. Attributes: key, value,
 * key, value,
 * ..., NULL; a value that begins with '#' is an integer. */
struct span_spec {
    uint8_t trace;
    uint8_t id;
    uint8_t parent;
    const char *name;
    int kind;
    uint64_t start_us;
    uint64_t end_us;
    bool parent_is_remote;
    bool failed;
    const char *attributes[16];
};

/* Appends a record with whatever `span` says. */
void records_add(struct records *records, const Otlp__Span *span);
void records_add_spec(struct records *records, const struct span_spec *spec);

/* As a batch of one piece; borrows from `records`. */
struct shim_batch records_batch(struct records *records);
void records_fini(struct records *records);
