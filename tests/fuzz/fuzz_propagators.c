/* Whole sets of headers, lines "name: value", read by all formats, by each alone, and by what the
 * first byte chooses; then sampled by ratio, sent, and read again. */
#include "fuzz_check.h"

#include "trace/sampler.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sampler(uint32_t kind, struct shim_context *context)
{
    struct shim_sampler sampler;
    shim_sampler_init(&sampler, kind, 0.5);
    struct shim_str value;
    struct shim_str old_baggage = shim_carried_baggage(context->carried);
    struct shim_carried *old = shim_carried_ref(context->carried);
    bool sampled = shim_sampler_decide(&sampler, &context->span, context);
    CHECK(shim_str_equal(shim_carried_baggage(context->carried), old_baggage));
    if (kind == 2 && sampled) {
        CHECK(
            shim_tracestate_get(shim_carried_tracestate(context->carried), shim_str("ot"), &value));
        CHECK(value.len <= 256);
        CHECK(value.len >= 4 && memcmp(value.ptr, "th:8", 4) == 0);
    }
    if (kind != 2)
        CHECK(context->carried == old);
    shim_carried_unref(old);
    shim_sampler_fini(&sampler);
}

static void check(uint32_t bits, uint32_t kind, const struct test_carrier *carrier)
{
    struct shim_context context;
    bool found = shim_propagation_extract(bits, &carrier->base, &context);
    CHECK(found == shim_context_is_valid(&context));
    CHECK(found == context.span.is_remote);
    if (found)
        check_sampler(kind, &context);
    fuzz_check_round_trip(bits, &context);
    shim_context_fini(&context);
    CHECK(!context.carried);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct test_carrier carrier;
    fuzz_carrier(&carrier, NULL, shim_str_n((const char *)data + 1, size - 1));
    uint32_t kind = data[0] % 6;
    check(0x3f, kind, &carrier);
    check(data[0] & 0x3f, kind, &carrier);
    for (uint32_t bit = 1; bit <= 0x20; bit <<= 1)
        check(bit, kind, &carrier);
    for (unsigned i = 0; i < carrier.count; i++)
        shim_propagation_is_field(carrier.pair[i].name);
    return 0;
}
