/* What every fuzzer of the propagators checks and how it cuts its input into headers. */
#pragma once

#include "../unit/test_carrier.h"
#include "check.h"

#include <stdint.h>
#include <stdlib.h>

/* Lines "name: value", or values alone that go to the given name. */
static inline void fuzz_carrier(struct test_carrier *carrier, const char *name,
                                struct shim_str input)
{
    struct shim_str line;
    test_carrier_init(carrier);
    while (shim_str_split(&input, '\n', &line)) {
        const char *colon = name || line.len == 0 ? NULL : memchr(line.ptr, ':', line.len);
        size_t name_len = colon ? (size_t)(colon - line.ptr) : 0;
        if (name)
            test_carrier_add_n(carrier, shim_str(name), line);
        else if (colon)
            test_carrier_add_n(carrier, shim_str_n(line.ptr, name_len),
                               shim_str_n(colon + 1, line.len - name_len - 1));
    }
}

/* Nothing that could end a header line or begin another. */
static inline void fuzz_check_line(const struct shim_header *header)
{
    CHECK(strlen(header->line) == header->len);
    CHECK(header->len >= header->name_len + 2);
    CHECK(memcmp(header->line + header->name_len, ": ", 2) == 0);
    for (uint32_t i = 0; i < header->len; i++)
        CHECK(header->line[i] >= 0x20 && header->line[i] < 0x7f);
    CHECK(memchr(header->line, ':', header->name_len) == NULL);
    CHECK(shim_propagation_is_field(shim_str_n(header->line, header->name_len)));
}

/* What was read, sent and read again is the same. */
static inline void fuzz_check_round_trip(uint32_t bits, const struct shim_context *context)
{
    struct shim_headers headers;
    struct test_carrier carrier;
    struct shim_context again;
    headers.extra = NULL;
    shim_propagation_inject(bits, context, &headers);
    test_carrier_init(&carrier);
    for (unsigned i = 0; i < headers.count; i++) {
        struct shim_header *header = &headers.header[i];
        fuzz_check_line(header);
        test_carrier_add_n(
            &carrier, shim_str_n(header->line, header->name_len),
            shim_str_n(header->line + header->name_len + 1, header->len - header->name_len - 1));
    }
    bool found = shim_propagation_extract(bits, &carrier.base, &again);
    CHECK(found == shim_context_is_valid(context));
    CHECK(memcmp(again.span.trace_id, context->span.trace_id, 16) == 0);
    CHECK(memcmp(again.span.span_id, context->span.span_id, 8) == 0);
    CHECK(shim_context_is_sampled(&again) == shim_context_is_sampled(context));
    shim_context_fini(&again);
    shim_headers_fini(&headers);
}
