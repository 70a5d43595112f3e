/* What travels: the ids of a span (W3C Trace Context Level 2), tracestate and baggage; and what a
 * thread keeps beside them to know which span that is. Values; copied freely. No library, no
 * network. */
#pragma once

#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SHIM_TRACE_FLAG_SAMPLED 0x01
#define SHIM_TRACE_FLAG_RANDOM  0x02

struct shim_span_context {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags;
    bool is_remote; /* it came from another process */
};

/* What travels beside the ids: immutable, shared by reference. Allocated by malloc as one block. */
struct shim_carried {
    atomic_uint refs;
    bool debug; /* B3 and Jaeger: asked to be kept whatever it costs; sent on as such */
    struct shim_str tracestate; /* normalised list, "" when none */
    struct shim_str baggage;    /* normalised list, "" when none */
    char text[];
};

/* Take NULL: what an absent one carries. Borrowed. */
static inline struct shim_str shim_carried_tracestate(const struct shim_carried *carried)
{
    return carried ? carried->tracestate : shim_str_n(NULL, 0);
}

static inline struct shim_str shim_carried_baggage(const struct shim_carried *carried)
{
    return carried ? carried->baggage : shim_str_n(NULL, 0);
}

/* Room for `room` bytes of text, both lists still empty: the caller writes `text` and points them
 * into it before anybody else sees the block. NULL: no memory. */
struct shim_carried *shim_carried_alloc(size_t room);

/* Copies both texts. NULL when both are empty or there is no memory. The caller owns one reference.
 */
struct shim_carried *shim_carried_new(struct shim_str tracestate, struct shim_str baggage);

/* Both take NULL. ref returns its argument. */
struct shim_carried *shim_carried_ref(struct shim_carried *carried);
void shim_carried_unref(struct shim_carried *carried);

/* A live span without owning it: stale once its generation has passed. All zero: none. */
struct shim_span_ref {
    uint32_t slot; /* 1-based */
    uint32_t generation;
};

struct shim_context {
    struct shim_span_context span;
    struct shim_carried *carried;    /* NULL: neither tracestate nor baggage */
    struct shim_span_ref live;       /* the span itself, while it runs in this process */
    struct shim_span_ref local_root; /* the first span of this trace in this process */
};

/* Whether there is a span to be a parent. A context without one can still carry baggage. */
static inline bool shim_context_is_valid(const struct shim_context *context)
{
    static const uint8_t zero[8];
    return memcmp(context->span.span_id, zero, sizeof(zero)) != 0;
}

static inline bool shim_context_is_sampled(const struct shim_context *context)
{
    return (context->span.flags & SHIM_TRACE_FLAG_SAMPLED) != 0;
}

/* A copy holds its own reference on `carried`; fini gives it back and clears the context. */
void shim_context_copy(struct shim_context *ret_copy, const struct shim_context *context);
void shim_context_fini(struct shim_context *context);

/* Puts `carried` (NULL: nothing) in the place of what the context carries; takes the caller's
 * reference. */
void shim_context_take_carried(struct shim_context *context, struct shim_carried *carried);
