/* A carrier made of a table, for the tests and fuzzers of the propagators. */
#pragma once

#include "trace/propagator.h"

struct test_pair {
    struct shim_str name;
    struct shim_str value;
};

struct test_carrier {
    struct shim_carrier base; /* first */
    unsigned count;
    struct test_pair pair[160];
};

static bool test_carrier_get(const struct shim_carrier *carrier, struct shim_str name,
                             unsigned index, struct shim_str *ret_value)
{
    const struct test_carrier *self = (const struct test_carrier *)carrier;
    for (unsigned i = 0; i < self->count; i++) {
        if (shim_str_equal_nocase(self->pair[i].name, name) && index-- == 0) {
            *ret_value = self->pair[i].value;
            return true;
        }
    }
    return false;
}

static bool test_carrier_each(const struct shim_carrier *carrier, unsigned index,
                              struct shim_str *ret_name, struct shim_str *ret_value)
{
    const struct test_carrier *self = (const struct test_carrier *)carrier;
    if (index >= self->count)
        return false;
    *ret_name = self->pair[index].name;
    *ret_value = self->pair[index].value;
    return true;
}

static inline void test_carrier_init(struct test_carrier *carrier)
{
    carrier->base = (struct shim_carrier){test_carrier_get, test_carrier_each};
    carrier->count = 0;
}

static inline void test_carrier_add_n(struct test_carrier *carrier, struct shim_str name,
                                      struct shim_str value)
{
    if (carrier->count < sizeof(carrier->pair) / sizeof(carrier->pair[0]))
        carrier->pair[carrier->count++] = (struct test_pair){name, value};
}

static inline void test_carrier_add(struct test_carrier *carrier, const char *name,
                                    const char *value)
{
    test_carrier_add_n(carrier, shim_str(name), shim_str(value));
}
