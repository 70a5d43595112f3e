/* A place where finished spans go: OTLP over HTTP, the console, a file. The worker gives each batch
 * to each configured sink. Exporter thread only. */
#pragma once

#include "base/counters.h"
#include "config/config.h"
#include "trace/resource.h"

#include <stddef.h>
#include <stdint.h>

/* Runs of whole records (trace/record.h), borrowed for the call. */
struct shim_batch_piece {
    const uint8_t *data;
    size_t len;
};

struct shim_batch {
    const struct shim_batch_piece *piece;
    unsigned piece_count;
    size_t bytes;
    uint32_t spans;
};

/* What became of a batch: exported + rejected + dropped = batch->spans. */
struct shim_sink_result {
    uint32_t exported;
    uint32_t rejected; /* partial success: the collector took the request but not these */
    uint32_t dropped;
    enum shim_counter drop_reason; /* valid when dropped > 0 */
    char message[256];             /* for the log; "" when there is nothing to say */
};

struct shim_sink_environment {
    const struct shim_config *config;
    const struct shim_resource *resource;
    struct shim_counters *counters;
    void (*wait_at_exit)(void); /* exporter.h: to be called after a library that registers exit
                                   handlers was loaded */
    _Atomic uint32_t *phase;    /* set to CONNECTING / SENDING / IDLE by sinks that use a network */
};

struct shim_sink {
    const char *name;
    /* Never blocks longer than the configured timeouts. The result says the rest. */
    void (*send)(struct shim_sink *sink, const struct shim_batch *batch,
                 struct shim_sink_result *ret_result);
    /* What was held back (the console's unfinished traces) goes out now. May be NULL. */
    void (*flush)(struct shim_sink *sink);
    void (*free)(struct shim_sink *sink);
};

/* Each returns a new sink, or NULL with a line in `ret_message` (256 bytes) that says why not.
 * Beside a sink it may hold a warning for the log: the caller empties it first. `environment` is
 * borrowed and outlives the sink. */
struct shim_sink *shim_sink_otlp_new(const struct shim_sink_environment *environment,
                                     char *ret_message);
struct shim_sink *shim_sink_console_new(const struct shim_sink_environment *environment,
                                        char *ret_message);
struct shim_sink *shim_sink_file_new(const struct shim_sink_environment *environment,
                                     char *ret_message);
