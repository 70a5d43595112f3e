/* The six standard samplers. Decides from ids and parent alone. Any thread, async-signal-safe but
 * for the tracestate that a probability sampler may have to add. */
#pragma once

#include "trace/context.h"

#include <stdint.h>

struct shim_sampler {
    uint32_t kind; /* enum shim_sampler_kind of config.h, by value */
    double ratio;  /* 0..1, for the traceidratio kinds */
    /* private, made by init */
    uint64_t threshold;      /* 56 bits; a span is sampled when its randomness R >= threshold */
    char threshold_text[24]; /* "th:…", "" when the ratio is 1 or 0 */
    struct shim_carried
        *root; /* tracestate "ot=th:…" of a sampled root that carries nothing else */
};

/* A kind that is none of the six samples like parentbased_always_on. Allocates for a ratio between
 * 0 and 1. */
void shim_sampler_init(struct shim_sampler *sampler, uint32_t kind, double ratio);
void shim_sampler_fini(struct shim_sampler *sampler);

/* `context` is that of the new span: its trace id is set, its carried is the parent's (or NULL).
 * `parent`: NULL for a root. Returns whether to sample; for a probability decision it may put
 * another `carried` into *context, owning a reference (ot=th:…, tracestate-probability-sampling).
 */
bool shim_sampler_decide(const struct shim_sampler *sampler, const struct shim_span_context *parent,
                         struct shim_context *context);
