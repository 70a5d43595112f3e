/* What the formats share when they read: one value where only one may be, ids of any length, who
 * wins, and lists that are put together from several headers. Only for the propagators themselves.
 * Any thread, async-signal-safe but for allocation where said. */
#pragma once

#include "trace/out.h"
#include "trace/propagator.h"

/* The trimmed value of a header that is there exactly once; false: absent, or ambiguous. */
bool shim_carrier_single(const struct shim_carrier *carrier, struct shim_str name,
                         struct shim_str *ret_value);

/* 1 to 2 * len hex digits of either case, zero-padded on the left; false: no such, or all zero. */
bool shim_id_parse(uint8_t *ret_id, size_t len, struct shim_str digits);

/* Takes a span context that a format found, unless another format was before: true when taken.
 * `debug` is carried along (malloc; without memory it is left out). */
bool shim_propagation_accept(struct shim_context *context, const struct shim_span_context *span,
                             bool debug);

/* Joins the tracestate headers and puts the list into what *context carries; nothing when one
 * member is malformed or there are more than 32. Allocates. */
void shim_tracestate_extract(const struct shim_carrier *carrier, struct shim_context *context);

/* Adds baggage to what a context carries: begin, any number of adds, end. Members over the limits
 * are left out. */
struct shim_baggage_builder {
    struct shim_carried *carried; /* owned until end */
    struct shim_out out;
    unsigned count;
    unsigned old_count;
};

/* `room`: how much text will be added at most. Allocates; false: no memory, and there is nothing to
 * end. */
bool shim_baggage_begin(struct shim_baggage_builder *builder, const struct shim_carried *from,
                        size_t room);
/* All well-formed members of a list as received. */
void shim_baggage_add_list(struct shim_baggage_builder *builder, struct shim_str list);
/* One member; bytes that may not stand in a value are encoded, escapes that are there stay. Not
 * when the key is there already, or is no token. */
void shim_baggage_add_encoded(struct shim_baggage_builder *builder, struct shim_str key,
                              struct shim_str value);
/* Into the context, when something was added. True: it was. */
bool shim_baggage_end(struct shim_baggage_builder *builder, struct shim_context *context);
