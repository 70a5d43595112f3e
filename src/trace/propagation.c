/* The table of all formats of trace context, what they share, and the lines they write into. Which
 * of them are in use is told by the caller. Knows no library and no socket. Any thread,
 * async-signal-safe but for malloc when lines outgrow their space or something is carried beside
 * the ids. */
#include "trace/propagation.h"

#include "base/hex.h"

#include <stdlib.h>

const struct shim_propagator *const shim_propagators[] = {
    &shim_propagator_tracecontext, /* traceparent, tracestate (W3C)       */
    &shim_propagator_baggage,      /* baggage (W3C)                       */
    &shim_propagator_b3,           /* b3, one header (Zipkin)             */
    &shim_propagator_b3multi,      /* x-b3-*, several headers (Zipkin)    */
    &shim_propagator_jaeger,       /* uber-trace-id, uberctx-* (Jaeger)   */
    &shim_propagator_xray,         /* x-amzn-trace-id (AWS X-Ray)         */
    NULL,
};

void shim_headers_fini(struct shim_headers *headers)
{
    free(headers->extra);
    headers->extra = NULL;
    headers->extra_cap = 0;
    headers->count = 0;
    headers->used = 0;
}

/* Moves the lines to a block of at least `size` bytes. */
static bool grow(struct shim_headers *headers, size_t size)
{
    size_t cap = 2 * SHIM_HEADERS_SPACE;
    while (cap < size)
        cap *= 2;
    char *memory = malloc(cap);
    if (!memory)
        return false;
    char *old = headers->extra ? headers->extra : headers->space;
    memcpy(memory, old, headers->used);
    for (unsigned i = 0; i < headers->count; i++)
        headers->header[i].line = memory + (headers->header[i].line - old);
    free(headers->extra);
    headers->extra = memory;
    headers->extra_cap = cap;
    return true;
}

char *shim_headers_add(struct shim_headers *headers, struct shim_str name, size_t value_len,
                       bool is_baggage)
{
    if (headers->count >= SHIM_HEADERS_MAX || value_len > UINT32_MAX / 4)
        return NULL;
    size_t len = name.len + 2 + value_len;
    size_t cap = headers->extra ? headers->extra_cap : sizeof(headers->space);
    if (len + 1 > cap - headers->used && !grow(headers, headers->used + len + 1))
        return NULL;
    char *line = (headers->extra ? headers->extra : headers->space) + headers->used;
    memcpy(line, name.ptr, name.len);
    line[name.len] = ':';
    line[name.len + 1] = ' ';
    line[len] = '\0';
    headers->used += len + 1;
    headers->header[headers->count++] = (struct shim_header){
        .line = line,
        .name_len = (uint32_t)name.len,
        .len = (uint32_t)len,
        .is_baggage = is_baggage,
    };
    return line + name.len + 2;
}

bool shim_carrier_single(const struct shim_carrier *carrier, struct shim_str name,
                         struct shim_str *ret_value)
{
    struct shim_str value, second;
    if (!carrier->get(carrier, name, 0, &value) || carrier->get(carrier, name, 1, &second))
        return false;
    *ret_value = shim_str_trim(value);
    return true;
}

bool shim_id_parse(uint8_t *ret_id, size_t len, struct shim_str digits)
{
    char padded[32];
    uint8_t id[16];
    size_t width = 2 * len;
    if (width > sizeof(padded) || digits.len == 0 || digits.len > width)
        return false;
    memset(padded, '0', width - digits.len);
    memcpy(padded + width - digits.len, digits.ptr, digits.len);
    if (!shim_hex_decode_nocase(id, padded, len))
        return false;
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++)
        any |= id[i];
    if (any != 0)
        memcpy(ret_id, id, len);
    return any != 0;
}

bool shim_propagation_accept(struct shim_context *context, const struct shim_span_context *span,
                             bool debug)
{
    if (shim_context_is_valid(context))
        return false;
    context->span = *span;
    if (!debug)
        return true;
    struct shim_str tracestate = shim_carried_tracestate(context->carried);
    struct shim_str baggage = shim_carried_baggage(context->carried);
    struct shim_carried *carried = shim_carried_new(tracestate, baggage);
    if (!carried && tracestate.len == 0 && baggage.len == 0)
        carried = shim_carried_alloc(0);
    if (carried) {
        carried->debug = true;
        shim_context_take_carried(context, carried);
    }
    return true;
}

void shim_propagation_inject(uint32_t bits, const struct shim_context *context,
                             struct shim_headers *headers)
{
    headers->count = 0;
    headers->used = 0;
    for (const struct shim_propagator *const *p = shim_propagators; *p; p++) {
        if (bits & (*p)->bit)
            (*p)->inject(context, headers);
    }
}

bool shim_propagation_extract(uint32_t bits, const struct shim_carrier *carrier,
                              struct shim_context *ret_context)
{
    *ret_context = (struct shim_context){0};
    for (const struct shim_propagator *const *p = shim_propagators; *p; p++) {
        if (bits & (*p)->bit)
            (*p)->extract(carrier, ret_context);
    }
    return shim_context_is_valid(ret_context);
}

static bool is_field_of(const struct shim_propagator *propagator, struct shim_str name)
{
    for (const char *const *field = propagator->fields; *field; field++) {
        struct shim_str known = shim_str(*field);
        bool is_prefix = known.ptr[known.len - 1] == '-';
        if (is_prefix ? shim_str_starts_nocase(name, known) : shim_str_equal_nocase(name, known))
            return true;
    }
    return false;
}

bool shim_propagation_is_field(struct shim_str name)
{
    for (const struct shim_propagator *const *p = shim_propagators; *p; p++) {
        if (is_field_of(*p, name))
            return true;
    }
    return false;
}
