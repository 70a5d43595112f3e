/* The six standard samplers, and what a decision by ratio writes into tracestate (OpenTelemetry,
 * "TraceState: Probability Sampling"): "ot=th:…", so that receivers can count what a sampled span
 * stands for. Knows no configuration but its two values. Any thread; only a decision by ratio may
 * allocate. */
#include "trace/sampler.h"

#include "base/hex.h"
#include "trace/out.h"
#include "trace/propagator.h"

#define RANDOM_BITS   56
#define RANDOM_DIGITS 14
#define OT_MAX        256 /* characters in the value of "ot" */

/* The values of enum shim_sampler_kind. */
enum {
    ALWAYS_ON,
    ALWAYS_OFF,
    TRACEIDRATIO,
    PARENTBASED_ALWAYS_ON,
    PARENTBASED_ALWAYS_OFF,
    PARENTBASED_TRACEIDRATIO,
};

static const struct shim_str ot = {"ot", 2};

/* The member "ot": its two known parts and the list of the others is what remains of `text`. */
struct ot_value {
    struct shim_str text;
    uint64_t random;
    struct shim_str random_text; /* "rv:…", "" when there is none that can be read */
    bool has_threshold;
};

void shim_sampler_init(struct shim_sampler *sampler, uint32_t kind, double ratio)
{
    const uint64_t whole = UINT64_C(1) << RANDOM_BITS;
    *sampler = (struct shim_sampler){.kind = kind, .ratio = ratio};
    if (!(ratio > 0))
        sampler->ratio = 0;
    else if (ratio > 1)
        sampler->ratio = 1;
    sampler->threshold = whole - (uint64_t)(sampler->ratio * (double)whole + 0.5);
    if (sampler->threshold == 0 || sampler->threshold == whole)
        return;

    uint8_t bytes[RANDOM_DIGITS / 2];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(sampler->threshold >> (8 * (sizeof(bytes) - 1 - i)));
    memcpy(sampler->threshold_text, "th:", 3);
    shim_hex_encode(sampler->threshold_text + 3, bytes, sizeof(bytes));
    size_t len = 3 + RANDOM_DIGITS;
    while (sampler->threshold_text[len - 1] == '0')
        len--;
    sampler->threshold_text[len] = '\0';

    char root[32];
    len = shim_tracestate_set(root, sizeof(root), shim_str(""), ot,
                              shim_str(sampler->threshold_text));
    sampler->root = shim_carried_new(shim_str_n(root, len), shim_str(""));
}

void shim_sampler_fini(struct shim_sampler *sampler)
{
    shim_carried_unref(sampler->root);
    sampler->root = NULL;
}

static bool is_part(struct shim_str part, const char *key)
{
    return part.len > 3 && memcmp(part.ptr, key, 3) == 0;
}

static bool read_random(struct shim_str part, uint64_t *ret_random)
{
    uint8_t bytes[RANDOM_DIGITS / 2];
    if (!is_part(part, "rv:") || part.len != 3 + RANDOM_DIGITS ||
        !shim_hex_decode(bytes, part.ptr + 3, sizeof(bytes)))
        return false;
    *ret_random = 0;
    for (size_t i = 0; i < sizeof(bytes); i++)
        *ret_random = *ret_random << 8 | bytes[i];
    return true;
}

/* Randomness is the explicit one of the trace, else the last 56 bits of its id. */
static struct ot_value read_ot(const struct shim_context *context)
{
    struct ot_value value = {0};
    for (size_t i = 9; i < sizeof(context->span.trace_id); i++)
        value.random = value.random << 8 | context->span.trace_id[i];
    struct shim_str tracestate = shim_carried_tracestate(context->carried);
    if (tracestate.len == 0)
        return value;
    if (!shim_tracestate_get(tracestate, ot, &value.text))
        return value;
    struct shim_str rest = value.text;
    struct shim_str part;
    while (shim_str_split(&rest, ';', &part)) {
        if (is_part(part, "th:"))
            value.has_threshold = true;
        else if (value.random_text.len == 0 && read_random(part, &value.random))
            value.random_text = part;
    }
    return value;
}

/* The new value of "ot": the threshold (or none), then all else that was there. */
static void write_ot(struct shim_out *out, const struct ot_value *old, struct shim_str threshold)
{
    struct shim_str rest = old->text;
    struct shim_str part;
    shim_out_add(out, threshold);
    while (shim_str_split(&rest, ';', &part)) {
        if (part.len == 0 || is_part(part, "th:"))
            continue;
        if (out->len > 0)
            shim_out_add_char(out, ';');
        shim_out_add(out, part);
    }
    if (!out->truncated)
        return;
    /* Too long: what others put there goes, the randomness of the trace stays. */
    shim_out_rewind(out, 0);
    shim_out_add(out, threshold);
    if (threshold.len > 0 && old->random_text.len > 0)
        shim_out_add_char(out, ';');
    shim_out_add(out, old->random_text);
}

/* Without memory the old list stays. */
static void put_ot(struct shim_context *context, const struct ot_value *old, const char *threshold)
{
    char memory[OT_MAX];
    struct shim_out value = {.data = memory, .cap = sizeof(memory)};
    write_ot(&value, old, shim_str(threshold));

    struct shim_str tracestate = shim_carried_tracestate(context->carried);
    struct shim_str baggage = shim_carried_baggage(context->carried);
    size_t cap = ot.len + 1 + value.len + 1 + tracestate.len;
    struct shim_carried *carried = shim_carried_alloc(cap + baggage.len);
    if (!carried)
        return;
    size_t len =
        shim_tracestate_set(carried->text, cap, tracestate, ot, shim_str_n(value.data, value.len));
    carried->tracestate = shim_str_n(carried->text, len);
    if (baggage.len > 0)
        memcpy(carried->text + len, baggage.ptr, baggage.len);
    carried->baggage = shim_str_n(carried->text + len, baggage.len);
    carried->debug = context->carried && context->carried->debug;
    shim_context_take_carried(context, carried);
}

static bool decide_by_ratio(const struct shim_sampler *sampler, struct shim_context *context)
{
    struct ot_value old = read_ot(context);
    bool sampled = old.random >= sampler->threshold;
    if (!sampled) {
        /* The parent's threshold says that the trace was kept here. */
        if (old.has_threshold)
            put_ot(context, &old, "");
        return false;
    }
    if (sampler->threshold_text[0] == '\0')
        return true;
    if (!context->carried && sampler->root)
        context->carried = shim_carried_ref(sampler->root);
    else
        put_ot(context, &old, sampler->threshold_text);
    return true;
}

bool shim_sampler_decide(const struct shim_sampler *sampler, const struct shim_span_context *parent,
                         struct shim_context *context)
{
    switch (sampler->kind) {
    case ALWAYS_ON:
        return true;
    case ALWAYS_OFF:
        return false;
    case TRACEIDRATIO:
        return decide_by_ratio(sampler, context);
    default:
        break;
    }
    if (parent)
        return (parent->flags & SHIM_TRACE_FLAG_SAMPLED) != 0;
    if (sampler->kind == PARENTBASED_TRACEIDRATIO)
        return decide_by_ratio(sampler, context);
    return sampler->kind != PARENTBASED_ALWAYS_OFF;
}
