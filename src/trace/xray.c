/* AWS X-Ray: "X-Amzn-Trace-Id: Root=1-{8 hex}-{24 hex};Parent={16 hex};Sampled={0|1|?}". Other
 * fields (Self, Lineage) are not passed on. Without Parent, as load balancers send it, there is no
 * span to be a parent. Where the decision is left to the receiver the span counts as sampled. Any
 * thread; allocates nothing. */
#include "base/hex.h"
#include "trace/propagation.h"

static const char *const fields[] = {"x-amzn-trace-id", NULL};

static bool read_root(struct shim_str text, struct shim_span_context *span)
{
    if (text.len != 35 || text.ptr[0] != '1' || text.ptr[1] != '-' || text.ptr[10] != '-')
        return false;
    char digits[32];
    memcpy(digits, text.ptr + 2, 8);
    memcpy(digits + 8, text.ptr + 11, 24);
    return shim_id_parse(span->trace_id, 16, shim_str_n(digits, sizeof(digits)));
}

static bool extract(const struct shim_carrier *carrier, struct shim_context *context)
{
    struct shim_span_context span = {.is_remote = true, .flags = SHIM_TRACE_FLAG_SAMPLED};
    struct shim_str rest, part;
    bool has_root = false, has_parent = false;
    if (!shim_carrier_single(carrier, shim_str("x-amzn-trace-id"), &rest))
        return false;
    while (shim_str_split(&rest, ';', &part)) {
        struct shim_str value = part;
        struct shim_str key;
        if (!shim_str_split(&value, '=', &key))
            continue;
        key = shim_str_trim(key);
        value = shim_str_trim(value);
        if (shim_str_equal(key, shim_str("Root"))) {
            if (has_root || !read_root(value, &span))
                return false;
            has_root = true;
        } else if (shim_str_equal(key, shim_str("Parent"))) {
            if (has_parent || value.len != 16 || !shim_id_parse(span.span_id, 8, value))
                return false;
            has_parent = true;
        } else if (shim_str_equal(key, shim_str("Sampled"))) {
            if (value.len != 1 || !memchr("01?", value.ptr[0], 3))
                return false;
            span.flags = value.ptr[0] == '0' ? 0 : SHIM_TRACE_FLAG_SAMPLED;
        }
    }
    if (!has_root || !has_parent)
        return false;
    shim_propagation_accept(context, &span, false);
    return true;
}

static void inject(const struct shim_context *context, struct shim_headers *headers)
{
    static const char form[] =
        "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0";
    if (!shim_context_is_valid(context))
        return;
    char *value = shim_headers_add(headers, shim_str("X-Amzn-Trace-Id"), sizeof(form) - 1, false);
    if (!value)
        return;
    memcpy(value, form, sizeof(form) - 1);
    shim_hex_encode(value + 7, context->span.trace_id, 4);
    shim_hex_encode(value + 16, context->span.trace_id + 4, 12);
    shim_hex_encode(value + 48, context->span.span_id, 8);
    value[73] = shim_context_is_sampled(context) ? '1' : '0';
}

const struct shim_propagator shim_propagator_xray = {
    .name = "xray",
    .bit = 1 << 5,
    .fields = fields,
    .inject = inject,
    .extract = extract,
};
