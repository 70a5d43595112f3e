/* One interface for all formats of trace context. Outbound: inject writes header lines; inbound:
 * extract reads them from a carrier. Each format is one file: tracecontext.c, baggage.c, b3.c,
 * jaeger.c, xray.c. Any thread, async-signal-safe but for what extract allocates (shim_carried). */
#pragma once

#include "trace/context.h"

#define SHIM_HEADERS_MAX   16 /* nine when all formats are on, the rest for uberctx- */
#define SHIM_HEADERS_SPACE 384

/* One header as text "name: value" with a NUL behind it. */
struct shim_header {
    char *line;
    uint32_t name_len;
    uint32_t len;    /* of the line; the value begins at name_len + 2 */
    bool is_baggage; /* it carries baggage: other rules on where it may go */
};

/* The headers of one request. `space` holds the lines; when they do not fit (tracestate, baggage),
 * `extra` is malloced. Reused from request to request. Zero-initialised is empty. */
struct shim_headers {
    unsigned count;
    struct shim_header header[SHIM_HEADERS_MAX];
    size_t used; /* of the memory in use */
    char *extra; /* NULL, or extra_cap bytes owned by this */
    size_t extra_cap;
    char space[SHIM_HEADERS_SPACE];
};

void shim_headers_fini(struct shim_headers *headers);

/* Room for a line of `line_len` characters, its name copied in front as "name: ". Returns where the
 * value goes (line_len - name_len - 2 characters, which the caller writes; the NUL is set already),
 * or NULL: no room or no memory. Lines written before stay valid by index, not by pointer. */
char *shim_headers_add(struct shim_headers *headers, struct shim_str name, size_t value_len,
                       bool is_baggage);

/* The headers that came with a request, in order, duplicates included. What it gives stays readable
 * and unchanged until extract returns. */
struct shim_carrier {
    /* The index'th value of the header of that name (without case); false: no such. */
    bool (*get)(const struct shim_carrier *carrier, struct shim_str name, unsigned index,
                struct shim_str *ret_value);
    /* Every header in turn, for formats with a name prefix (uberctx-); false: past the last. */
    bool (*each)(const struct shim_carrier *carrier, unsigned index, struct shim_str *ret_name,
                 struct shim_str *ret_value);
};

struct shim_propagator {
    const char *name;          /* as in OTEL_PROPAGATORS */
    uint32_t bit;              /* shim_propagator_bit */
    const char *const *fields; /* lower-case header names it writes or reads, NULL-terminated; one
                                * that ends in '-' is a prefix */
    void (*inject)(const struct shim_context *context, struct shim_headers *headers);
    /* Fills what it finds into *context (a valid span set before is kept, baggage is added): true
     * when it found something valid of its own. */
    bool (*extract)(const struct shim_carrier *carrier, struct shim_context *context);
};

extern const struct shim_propagator shim_propagator_tracecontext, shim_propagator_baggage,
    shim_propagator_b3, shim_propagator_b3multi, shim_propagator_jaeger, shim_propagator_xray;

/* All of them, in the order in which they inject; NULL-terminated. */
extern const struct shim_propagator *const shim_propagators[];

/* Writes the headers of all propagators in `bits`, after emptying `headers`. */
void shim_propagation_inject(uint32_t bits, const struct shim_context *context,
                             struct shim_headers *headers);

/* Reads with all propagators in `bits`; the caller ends *ret_context with shim_context_fini. True
 * when a valid span context was found. */
bool shim_propagation_extract(uint32_t bits, const struct shim_carrier *carrier,
                              struct shim_context *ret_context);

/* Whether a header of this name belongs to any known format (also to those not configured): an
 * application that sends one keeps it, and no second one is sent. */
bool shim_propagation_is_field(struct shim_str name);

/* traceparent, W3C Trace Context Level 2, section 3.2. Reads a value, trimmed of spaces and tabs.
 */
bool shim_traceparent_parse(struct shim_str value, struct shim_span_context *ret_span);
#define SHIM_TRACEPARENT_LEN 55
/* Writes SHIM_TRACEPARENT_LEN characters, no NUL. */
void shim_traceparent_format(char *dst, const struct shim_span_context *span);

/* tracestate, section 3.3: joins nothing, normalises one joined value: members trimmed, empty ones
 * left out. Writes at most cap bytes; returns the length, 0 when a member is malformed, there are
 * more than 32, or nothing is left. When it must cut to cap: members over 128 characters go first,
 * then from the right. */
size_t shim_tracestate_normalise(char *dst, size_t cap, struct shim_str value);
/* The value of the member with this key; false: none. */
bool shim_tracestate_get(struct shim_str tracestate, struct shim_str key,
                         struct shim_str *ret_value);
/* Puts key=value leftmost and takes an older member of that key out; as normalise for cap. */
size_t shim_tracestate_set(char *dst, size_t cap, struct shim_str tracestate, struct shim_str key,
                           struct shim_str value);

#define SHIM_BAGGAGE_MAX 8192
/* W3C Baggage: checks and normalises: at most 64 members and SHIM_BAGGAGE_MAX bytes, what is more
 * is left out from the right; malformed members are left out. Writes at most cap bytes; returns the
 * length. */
size_t shim_baggage_normalise(char *dst, size_t cap, struct shim_str value);
/* Steps through the members: key and value as encoded, without properties. */
bool shim_baggage_next(struct shim_str *rest, struct shim_str *ret_key, struct shim_str *ret_value);
/* Percent-decodes value; returns the length, at most cap. */
size_t shim_baggage_decode(char *dst, size_t cap, struct shim_str value);
/* Puts key=value (value percent-encoded by this; NULL ptr: removes the key); returns the length, 0
 * when empty. */
size_t shim_baggage_set(char *dst, size_t cap, struct shim_str baggage, struct shim_str key,
                        struct shim_str value);
