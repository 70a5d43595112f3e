/* Random ids for spans: xoshiro256** per thread, seeded through SipHash-2-4 keyed by the kernel's
 * AT_RANDOM, so that ids which leave the process tell nothing of that secret (it makes the stack
 * canary too). Leaf. No system call: a seccomp filter may forbid them. */
#pragma once

#include <stdint.h>

struct shim_random {
    uint64_t state[4];
};

/* A sequence of its own for each `stream`; `salt` tells processes that share AT_RANDOM by fork
 * apart. */
void shim_random_seed(struct shim_random *random, uint64_t stream, uint64_t salt);

static inline uint64_t shim_random_rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* One thread at a time. */
static inline uint64_t shim_random_next(struct shim_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = shim_random_rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = shim_random_rotate(s[3], 45);
    return result;
}
