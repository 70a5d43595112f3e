/* W3C Trace Context, Level 2: traceparent and tracestate. What tracestate may contain is in
 * tracestate.c. Injecting is on the path of every request: two fixed copies and hex digits, no
 * malloc of its own. Any thread. */
#include "base/hex.h"
#include "trace/propagation.h"

#define KNOWN_FLAGS (SHIM_TRACE_FLAG_SAMPLED | SHIM_TRACE_FLAG_RANDOM)

static const char *const fields[] = {"traceparent", "tracestate", NULL};

void shim_traceparent_format(char *dst, const struct shim_span_context *span)
{
    uint8_t flags = span->flags & KNOWN_FLAGS;
    memcpy(dst, "00-", 3);
    shim_hex_encode(dst + 3, span->trace_id, 16);
    dst[35] = '-';
    shim_hex_encode(dst + 36, span->span_id, 8);
    dst[52] = '-';
    shim_hex_encode(dst + 53, &flags, 1);
}

bool shim_traceparent_parse(struct shim_str value, struct shim_span_context *ret_span)
{
    static const uint8_t zero[16];
    struct shim_span_context span = {.is_remote = true};
    const char *p = value.ptr;
    uint8_t version, flags;
    if (value.len < SHIM_TRACEPARENT_LEN || !shim_hex_decode(&version, p, 1) || version == 0xff)
        return false;
    /* What later versions append begins with a dash; version 00 ends here. */
    if (value.len > SHIM_TRACEPARENT_LEN && (version == 0 || p[SHIM_TRACEPARENT_LEN] != '-'))
        return false;
    if (p[2] != '-' || p[35] != '-' || p[52] != '-')
        return false;
    if (!shim_hex_decode(span.trace_id, p + 3, 16) || !shim_hex_decode(span.span_id, p + 36, 8) ||
        !shim_hex_decode(&flags, p + 53, 1))
        return false;
    if (memcmp(span.trace_id, zero, 16) == 0 || memcmp(span.span_id, zero, 8) == 0)
        return false;
    span.flags = flags & KNOWN_FLAGS;
    *ret_span = span;
    return true;
}

static void inject(const struct shim_context *context, struct shim_headers *headers)
{
    if (!shim_context_is_valid(context))
        return;
    char *value =
        shim_headers_add(headers, shim_str_n("traceparent", 11), SHIM_TRACEPARENT_LEN, false);
    if (!value)
        return;
    shim_traceparent_format(value, &context->span);
    struct shim_str tracestate = shim_carried_tracestate(context->carried);
    if (tracestate.len == 0)
        return;
    value = shim_headers_add(headers, shim_str_n("tracestate", 10), tracestate.len, false);
    if (value)
        memcpy(value, tracestate.ptr, tracestate.len);
}

static bool extract(const struct shim_carrier *carrier, struct shim_context *context)
{
    struct shim_str value;
    struct shim_span_context span;
    if (!shim_carrier_single(carrier, shim_str("traceparent"), &value) ||
        !shim_traceparent_parse(value, &span))
        return false;
    if (shim_propagation_accept(context, &span, false))
        shim_tracestate_extract(carrier, context);
    return true;
}

const struct shim_propagator shim_propagator_tracecontext = {
    .name = "tracecontext",
    .bit = 1 << 0,
    .fields = fields,
    .inject = inject,
    .extract = extract,
};
