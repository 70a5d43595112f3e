/* Jaeger's own format: "uber-trace-id: {trace}:{span}:{parent}:{flags}", baggage as one header
 * "uberctx-{key}" an entry, and "jaeger-baggage" as people send it by hand. Ids may lack leading
 * zeros. The parent's place is always sent as 0. Any thread; allocates for baggage only. */
#include "base/hex.h"
#include "trace/propagation.h"

#define FLAG_SAMPLED 0x01
#define FLAG_DEBUG   0x02

#define VALUE_MAX 160 /* 32 + 16 + 16 + 2 digits and three separators, escaped or not */

static const char *const fields[] = {"uber-trace-id", "uberctx-", "jaeger-baggage", NULL};

static bool read_span(struct shim_str rest, struct shim_span_context *span, bool *ret_debug)
{
    struct shim_str trace_id, span_id, parent, flags, more;
    if (!shim_str_split(&rest, ':', &trace_id) || !shim_str_split(&rest, ':', &span_id) ||
        !shim_str_split(&rest, ':', &parent) || !shim_str_split(&rest, ':', &flags) ||
        shim_str_split(&rest, ':', &more))
        return false;
    if (!shim_id_parse(span->trace_id, 16, trace_id) || !shim_id_parse(span->span_id, 8, span_id))
        return false;
    char digits[2] = {'0', '0'};
    uint8_t bits;
    if (flags.len == 0 || flags.len > 2)
        return false;
    memcpy(digits + 2 - flags.len, flags.ptr, flags.len);
    if (!shim_hex_decode_nocase(&bits, digits, 1))
        return false;
    span->flags = bits & FLAG_SAMPLED ? SHIM_TRACE_FLAG_SAMPLED : 0;
    *ret_debug = (bits & (FLAG_SAMPLED | FLAG_DEBUG)) == (FLAG_SAMPLED | FLAG_DEBUG);
    return true;
}

static bool extract_span(const struct shim_carrier *carrier, struct shim_context *context)
{
    struct shim_span_context span = {.is_remote = true};
    struct shim_str value;
    char plain[VALUE_MAX];
    bool debug;
    if (!shim_carrier_single(carrier, shim_str("uber-trace-id"), &value))
        return false;
    /* Several clients escape the colons. */
    if (value.len > sizeof(plain))
        return false;
    size_t len = shim_baggage_decode(plain, sizeof(plain), value);
    if (!read_span(shim_str_n(plain, len), &span, &debug))
        return false;
    shim_propagation_accept(context, &span, debug);
    return true;
}

static bool extract_baggage(const struct shim_carrier *carrier, struct shim_context *context)
{
    const struct shim_str prefix = shim_str("uberctx-");
    struct shim_str name, value;
    struct shim_baggage_builder builder;
    size_t room = 0;
    for (unsigned i = 0; carrier->each(carrier, i, &name, &value); i++) {
        if (shim_str_starts_nocase(name, prefix))
            room += name.len + 3 * value.len + 1;
    }
    for (unsigned i = 0; carrier->get(carrier, shim_str("jaeger-baggage"), i, &value); i++)
        room += value.len + 1;
    if (room == 0 || !shim_baggage_begin(&builder, context->carried, room))
        return false;
    for (unsigned i = 0; carrier->each(carrier, i, &name, &value); i++) {
        if (shim_str_starts_nocase(name, prefix)) {
            struct shim_str key = shim_str_n(name.ptr + prefix.len, name.len - prefix.len);
            shim_baggage_add_encoded(&builder, key, shim_str_trim(value));
        }
    }
    for (unsigned i = 0; carrier->get(carrier, shim_str("jaeger-baggage"), i, &value); i++)
        shim_baggage_add_list(&builder, value);
    return shim_baggage_end(&builder, context);
}

static bool extract(const struct shim_carrier *carrier, struct shim_context *context)
{
    bool has_span = extract_span(carrier, context);
    bool has_baggage = extract_baggage(carrier, context);
    return has_span || has_baggage;
}

/* Properties have no place here. As many entries as there is room for, one header left for who
 * comes after. */
static void inject_baggage(const struct shim_context *context, struct shim_headers *headers)
{
    struct shim_str rest = shim_carried_baggage(context->carried);
    struct shim_str key, value;
    while (headers->count + 1 < SHIM_HEADERS_MAX && shim_baggage_next(&rest, &key, &value)) {
        char memory[128];
        struct shim_out name = {.data = memory, .cap = sizeof(memory)};
        shim_out_add(&name, shim_str("uberctx-"));
        shim_out_add(&name, key);
        if (name.truncated)
            continue;
        char *dst = shim_headers_add(headers, shim_str_n(name.data, name.len), value.len, true);
        if (dst && value.len > 0)
            memcpy(dst, value.ptr, value.len);
    }
}

static void inject(const struct shim_context *context, struct shim_headers *headers)
{
    if (shim_context_is_valid(context)) {
        char *value = shim_headers_add(headers, shim_str("uber-trace-id"),
                                       32 + 1 + 16 + 1 + 1 + 1 + 1, false);
        if (!value)
            return;
        bool debug = context->carried && context->carried->debug;
        char decision = shim_context_is_sampled(context) ? '1' : '0';
        shim_hex_encode(value, context->span.trace_id, 16);
        value[32] = ':';
        shim_hex_encode(value + 33, context->span.span_id, 8);
        memcpy(value + 49, ":0:", 3);
        value[52] = debug ? '3' : decision;
    }
    inject_baggage(context, headers);
}

const struct shim_propagator shim_propagator_jaeger = {
    .name = "jaeger",
    .bit = 1 << 4,
    .fields = fields,
    .inject = inject,
    .extract = extract,
};
