/* B3 as Zipkin and Envoy speak it: one header ("b3") or several ("X-B3-*"). Both read both, the one
 * header first; they differ in what they write. The debug flag goes on as it came. Where the
 * sampling decision is left to the receiver the span counts as sampled. ParentSpanId is never sent.
 * Any thread. */
#include "base/hex.h"
#include "trace/propagation.h"

static const char *const fields[] = {
    "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", NULL,
};

static bool is_debug(const struct shim_context *context)
{
    return context->carried && context->carried->debug;
}

static bool read_trace_id(struct shim_str text, struct shim_span_context *span)
{
    return (text.len == 16 || text.len == 32) && shim_id_parse(span->trace_id, 16, text);
}

static bool read_span_id(struct shim_str text, struct shim_span_context *span)
{
    return text.len == 16 && shim_id_parse(span->span_id, 8, text);
}

/* {trace}-{span}[-{0|1|d}[-{parent}]] */
static bool extract_one(const struct shim_carrier *carrier, struct shim_span_context *span,
                        bool *ret_debug)
{
    struct shim_str rest, trace_id, span_id, part;
    if (!shim_carrier_single(carrier, shim_str("b3"), &rest))
        return false;
    if (!shim_str_split(&rest, '-', &trace_id) || !shim_str_split(&rest, '-', &span_id) ||
        !read_trace_id(trace_id, span) || !read_span_id(span_id, span))
        return false;
    span->flags = SHIM_TRACE_FLAG_SAMPLED;
    *ret_debug = false;
    if (!shim_str_split(&rest, '-', &part))
        return true;
    if (part.len != 1 || (part.ptr[0] != '0' && part.ptr[0] != '1' && part.ptr[0] != 'd'))
        return false;
    *ret_debug = part.ptr[0] == 'd';
    if (part.ptr[0] == '0')
        span->flags = 0;
    struct shim_span_context parent;
    if (shim_str_split(&rest, '-', &part) && !read_span_id(part, &parent))
        return false;
    return !shim_str_split(&rest, '-', &part);
}

static bool extract_several(const struct shim_carrier *carrier, struct shim_span_context *span,
                            bool *ret_debug)
{
    struct shim_str text;
    if (!shim_carrier_single(carrier, shim_str("x-b3-traceid"), &text) ||
        !read_trace_id(text, span) ||
        !shim_carrier_single(carrier, shim_str("x-b3-spanid"), &text) || !read_span_id(text, span))
        return false;
    *ret_debug = shim_carrier_single(carrier, shim_str("x-b3-flags"), &text) &&
                 shim_str_equal(text, shim_str("1"));
    span->flags = SHIM_TRACE_FLAG_SAMPLED;
    if (*ret_debug || !shim_carrier_single(carrier, shim_str("x-b3-sampled"), &text))
        return true;
    /* "true" and "false" are what early senders wrote. */
    if (shim_str_equal(text, shim_str("0")) || shim_str_equal_nocase(text, shim_str("false")))
        span->flags = 0;
    else if (!shim_str_equal(text, shim_str("1")) && !shim_str_equal_nocase(text, shim_str("true")))
        return false;
    return true;
}

static bool extract(const struct shim_carrier *carrier, struct shim_context *context)
{
    struct shim_span_context span = {.is_remote = true};
    bool debug;
    if (!extract_one(carrier, &span, &debug) && !extract_several(carrier, &span, &debug))
        return false;
    shim_propagation_accept(context, &span, debug);
    return true;
}

static void inject_one(const struct shim_context *context, struct shim_headers *headers)
{
    if (!shim_context_is_valid(context))
        return;
    char *value = shim_headers_add(headers, shim_str("b3"), 32 + 1 + 16 + 1 + 1, false);
    if (!value)
        return;
    char decision = shim_context_is_sampled(context) ? '1' : '0';
    shim_hex_encode(value, context->span.trace_id, 16);
    value[32] = '-';
    shim_hex_encode(value + 33, context->span.span_id, 8);
    value[49] = '-';
    value[50] = is_debug(context) ? 'd' : decision;
}

static void inject_several(const struct shim_context *context, struct shim_headers *headers)
{
    if (!shim_context_is_valid(context) || headers->count + 3 > SHIM_HEADERS_MAX)
        return;
    char *value = shim_headers_add(headers, shim_str("X-B3-TraceId"), 32, false);
    if (!value)
        return;
    shim_hex_encode(value, context->span.trace_id, 16);
    value = shim_headers_add(headers, shim_str("X-B3-SpanId"), 16, false);
    if (!value)
        return;
    shim_hex_encode(value, context->span.span_id, 8);
    /* Debug says "sampled" already: only one of the two is sent. */
    bool debug = is_debug(context);
    value = shim_headers_add(headers, shim_str(debug ? "X-B3-Flags" : "X-B3-Sampled"), 1, false);
    if (value)
        *value = debug || shim_context_is_sampled(context) ? '1' : '0';
}

const struct shim_propagator shim_propagator_b3 = {
    .name = "b3",
    .bit = 1 << 2,
    .fields = fields,
    .inject = inject_one,
    .extract = extract,
};

const struct shim_propagator shim_propagator_b3multi = {
    .name = "b3multi",
    .bit = 1 << 3,
    .fields = fields,
    .inject = inject_several,
    .extract = extract,
};
