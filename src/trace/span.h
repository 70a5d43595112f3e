/* The life of a span: started with ids and a parent, filled with attributes, ended into its
 * thread's chunk as a finished OTLP record (record.h). No malloc, no lock that waits, no system
 * call on the way (the clock is the vDSO's). A span runs in a slot of 1 KiB and moves to a chunk of
 * its own when it outgrows that. */
#pragma once

#include "base/slab.h"
#include "base/str.h"
#include "trace/context.h"
#include "trace/thread.h"

enum shim_span_kind {
    SHIM_SPAN_INTERNAL = 1,
    SHIM_SPAN_SERVER,
    SHIM_SPAN_CLIENT,
    SHIM_SPAN_PRODUCER,
    SHIM_SPAN_CONSUMER,
};

enum shim_span_status { SHIM_STATUS_UNSET, SHIM_STATUS_OK, SHIM_STATUS_ERROR };

#define SHIM_SPAN_SLOT 1024

/* One thread at a time may change a span; who wants to end it meanwhile leaves that to the holder.
 */
#define SHIM_SPAN_HELD       1u
#define SHIM_SPAN_END_WANTED 2u

struct shim_span {
    struct shim_slot slot;
    /* generation << 32 | flags; the generation is odd while the span runs */
    _Atomic uint64_t state;
    uint8_t kind, status;
    bool recording; /* false: only its ids count, or it is the parent's that this process was forked
                       from */
    bool status_has_text; /* the whole status is in the data */
    bool has_parent, parent_is_remote;
    uint16_t attribute_count, event_count, link_count;
    uint16_t attributes_dropped, events_dropped, links_dropped;
    uint64_t keys; /* a bit for each attribute's key: one whose bit is not set is not there */
    uint8_t parent_span_id[8];
    struct shim_span_context context;
    uint64_t start_ns;        /* CLOCK_MONOTONIC */
    struct shim_chunk *chunk; /* NULL: data is inline_data */
    uint32_t used, room;
    uint8_t *data; /* fields of the Span message: name, trace_state, attributes, events, links */
    uint8_t inline_data[];
};

/* The most bytes that the fields take which a span's end adds to its data. */
#define SHIM_SPAN_HEAD_MAX 96

#define SHIM_SPAN_INLINE_ROOM (SHIM_SPAN_SLOT - sizeof(struct shim_span))

/* Starts a span below `parent` (without a valid span in it: a new trace). Always fills *ret_context
 * with what is current inside it and what is to be sent along; the caller ends that with
 * shim_context_fini. NULL when there is no room for it: then *ret_context is a copy of the parent,
 * so that nothing links to a span that will never arrive. A span that is not sampled is returned
 * too (not recording). `name` is copied. */
struct shim_span *shim_span_start(struct shim_thread *thread, enum shim_span_kind kind,
                                  struct shim_str name, const struct shim_context *parent,
                                  struct shim_context *ret_context);

/* The running span behind a reference, held for the caller until shim_span_release; NULL when it
 * has ended, is not recording or is held by another thread for too long. */
struct shim_span *shim_span_hold(struct shim_span_ref ref);
void shim_span_release(struct shim_span *span);

/* Attributes of a span that the caller holds or alone knows. `span` NULL or not recording: nothing.
 * Texts are made valid UTF-8 and cut to the limits; what does not fit is counted in
 * dropped_attributes_count. Keys are given once per span by the caller's design; where that is not
 * certain, shim_span_remove_attribute comes first. */
void shim_span_add_str_n(struct shim_span *span, const char *key, size_t key_len,
                         struct shim_str value);
void shim_span_add_int_n(struct shim_span *span, const char *key, size_t key_len, int64_t value);
void shim_span_add_double_n(struct shim_span *span, const char *key, size_t key_len, double value);
void shim_span_add_bool_n(struct shim_span *span, const char *key, size_t key_len, bool value);
/* An array of one text, as captured headers are. */
void shim_span_add_str_array_n(struct shim_span *span, const char *key, size_t key_len,
                               const struct shim_str *values, unsigned count);
/* Attributes encoded beforehand by shim_span_encode_str: `count` of them. */
void shim_span_add_encoded(struct shim_span *span, const uint8_t *bytes, size_t len,
                           unsigned count);
/* Takes the attribute of that key out, if it is there. */
void shim_span_remove_attribute(struct shim_span *span, struct shim_str key);

#define shim_span_add_str(span, key, value) shim_span_add_str_n(span, key, sizeof(key) - 1, value)
#define shim_span_add_int(span, key, value) shim_span_add_int_n(span, key, sizeof(key) - 1, value)
#define shim_span_add_double(span, key, value)                                                     \
    shim_span_add_double_n(span, key, sizeof(key) - 1, value)
#define shim_span_add_bool(span, key, value) shim_span_add_bool_n(span, key, sizeof(key) - 1, value)

/* One attribute in wire format, for values that stay the same over many spans. The bytes written,
 * 0: no room. */
size_t shim_span_encode_str(uint8_t *dst, size_t cap, struct shim_str key, struct shim_str value);
size_t shim_span_encode_int(uint8_t *dst, size_t cap, struct shim_str key, int64_t value);

void shim_span_set_name(struct shim_span *span, struct shim_str name);
/* description: "" when the attributes say it all. */
void shim_span_set_status(struct shim_span *span, enum shim_span_status status,
                          struct shim_str description);
void shim_span_add_link(struct shim_span *span, const struct shim_context *target);
/* An event without attributes; the time as shim_span_now gives it. */
void shim_span_add_event(struct shim_span *span, struct shim_str name, uint64_t unix_ns);
/* The addresses of a call stack (SHIM_RECORD_FIELD_STACK). False: no room. */
bool shim_span_add_stack(struct shim_span *span, void *const *frames, unsigned count);

/* Nanoseconds since the epoch, as spans are stamped. */
uint64_t shim_span_now(void);

/* Ends the span, records it and gives the slot back. The reference may be stale: then it has been
 * ended before. */
void shim_span_end_ref(struct shim_thread *thread, struct shim_span_ref ref);
/* The same for one that the caller holds. */
void shim_span_end_held(struct shim_thread *thread, struct shim_span *span);

/* Whether the span behind the reference has ended. No reference at all counts as ended. */
bool shim_span_ref_has_ended(struct shim_span_ref ref);
