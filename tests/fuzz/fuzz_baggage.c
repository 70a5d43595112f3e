/* Baggage headers, one a line: reading, normalising, editing, decoding. */
#include "fuzz_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned count_members(struct shim_str list)
{
    struct shim_str key, value;
    unsigned count = 0;
    while (shim_baggage_next(&list, &key, &value)) {
        CHECK(key.len > 0);
        count++;
    }
    return count;
}

/* A key that is set is found with its value, whatever bytes that has. */
static void check_edit(struct shim_str list, struct shim_str plain)
{
    static char edited[SHIM_BAGGAGE_MAX], decoded[SHIM_BAGGAGE_MAX];
    struct shim_str key, value;
    size_t len = shim_baggage_set(edited, sizeof(edited), list, shim_str("fuzz-key"), plain);
    struct shim_str rest = shim_str_n(edited, len);
    bool found = false;
    while (shim_baggage_next(&rest, &key, &value)) {
        if (!shim_str_equal(key, shim_str("fuzz-key")))
            continue;
        size_t decoded_len = shim_baggage_decode(decoded, sizeof(decoded), value);
        found = shim_str_equal(shim_str_n(decoded, decoded_len), plain);
    }
    bool has_room = list.len + 10 + 3 * plain.len <= SHIM_BAGGAGE_MAX && count_members(list) < 64;
    CHECK(found || !has_room);
    len = shim_baggage_set(edited, sizeof(edited), list, shim_str("fuzz-key"), shim_str_n(NULL, 0));
    rest = shim_str_n(edited, len);
    while (shim_baggage_next(&rest, &key, &value))
        CHECK(!shim_str_equal(key, shim_str("fuzz-key")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char again[SHIM_BAGGAGE_MAX];
    struct shim_str input = shim_str_n((const char *)data, size);
    struct test_carrier carrier;
    struct shim_context context;
    fuzz_carrier(&carrier, "baggage", input);
    CHECK(!shim_propagation_extract(2, &carrier.base, &context));
    struct shim_str list = shim_carried_baggage(context.carried);
    CHECK(list.len <= SHIM_BAGGAGE_MAX);
    CHECK(count_members(list) <= 64);
    CHECK((list.len == 0) == (context.carried == NULL));
    size_t len = shim_baggage_normalise(again, sizeof(again), list);
    CHECK(shim_str_equal(shim_str_n(again, len), list));
    fuzz_check_round_trip(2, &context);
    struct shim_str plain = shim_str_n(input.ptr ? input.ptr : "", input.len / 2);
    check_edit(list, plain.ptr ? plain : shim_str(""));
    for (size_t cap = 0; cap < 200; cap += 13) {
        char *out = malloc(cap ? cap : 1);
        CHECK(out);
        CHECK(shim_baggage_normalise(out, cap, input) <= cap);
        CHECK(shim_baggage_set(out, cap, input, shim_str("k"), plain) <= cap);
        CHECK(shim_baggage_decode(out, cap, input) <= cap);
        free(out);
    }
    shim_context_fini(&context);
    return 0;
}
