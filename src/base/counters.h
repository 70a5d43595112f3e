/* What happened to the spans, counted by reason: the accounting that reaches the user. One instance
 * per process, shared with the exporter object. Leaf. Any thread, async-signal-safe. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* X(name, text): text is what a user reads. */
#define SHIM_COUNTERS(X)                                                                           \
    X(SPANS_STARTED, "spans started")                                                              \
    X(SPANS_UNSAMPLED, "spans not sampled")                                                        \
    X(SPANS_RECORDED, "spans recorded")                                                            \
    X(SPANS_EXPORTED, "spans exported")                                                            \
    X(SPANS_REJECTED, "spans rejected by the collector")                                           \
    X(SPANS_NO_EXPORTER, "spans dropped: OTEL_TRACES_EXPORTER=none")                               \
    X(DROPPED_QUEUE_FULL, "spans dropped: memory limit reached")                                   \
    X(DROPPED_NO_SLOT, "spans dropped: too many in flight")                                        \
    X(DROPPED_UNREACHABLE, "spans dropped: no connection to the collector")                        \
    X(DROPPED_TIMEOUT, "spans dropped: the collector did not answer in time")                      \
    X(DROPPED_REFUSED, "spans dropped: the collector answered with an error")                      \
    X(DROPPED_BAD_RESPONSE, "spans dropped: the collector's answer could not be read")             \
    X(DROPPED_IO, "spans dropped: the file could not be written")                                  \
    X(DROPPED_DAMAGED, "spans dropped: their records were damaged in memory")                      \
    X(DROPPED_AT_EXIT, "spans dropped: not sent before the process ended")                         \
    X(DROPPED_NO_MODULE, "spans dropped: libotelshim-exporter.so missing or of another build")     \
    X(ATTRIBUTES_DROPPED, "attributes dropped: over a limit")                                      \
    X(HANDLES_UNKNOWN, "calls on handles whose creation was not seen")                             \
    X(INJECT_STOOD_DOWN, "requests sent without trace context")                                    \
    X(SCOPES_DROPPED, "scopes too deep to follow")                                                 \
    X(THREADS_DROPPED, "threads not followed: no memory")                                          \
    X(STACKS_DROPPED, "call stacks not taken")                                                     \
    X(EXPORT_REQUESTS, "export requests sent")

#define SHIM_COUNTER_ENUM(name, text) SHIM_COUNTER_##name,
enum shim_counter { SHIM_COUNTERS(SHIM_COUNTER_ENUM) SHIM_COUNTER_COUNT };
#undef SHIM_COUNTER_ENUM

struct shim_counters {
    _Atomic uint64_t value[SHIM_COUNTER_COUNT];
};

static inline void shim_count(struct shim_counters *counters, enum shim_counter which, uint64_t n)
{
    atomic_fetch_add_explicit(&counters->value[which], n, memory_order_relaxed);
}

static inline uint64_t shim_counted(struct shim_counters *counters, enum shim_counter which)
{
    return atomic_load_explicit(&counters->value[which], memory_order_relaxed);
}

/* The user's text of a counter; static. */
const char *shim_counter_text(enum shim_counter which);
