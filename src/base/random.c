/* Seeds the generators of span ids. Knows nothing but AT_RANDOM. Any thread, async-signal-safe. */
#include "base/random.h"

#include <string.h>
#include <sys/auxv.h>

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = shim_random_rotate(v[1], 13) ^ v[0];
    v[0] = shim_random_rotate(v[0], 32);
    v[2] += v[3];
    v[3] = shim_random_rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = shim_random_rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = shim_random_rotate(v[1], 17) ^ v[2];
    v[2] = shim_random_rotate(v[2], 32);
}

/* SipHash-2-4 of whole 64-bit words (Aumasson, Bernstein 2012). */
static uint64_t sip_hash(const uint64_t key[2], const uint64_t *words, unsigned count)
{
    uint64_t v[4] = {
        key[0] ^ 0x736f6d6570736575u,
        key[1] ^ 0x646f72616e646f6du,
        key[0] ^ 0x6c7967656e657261u,
        key[1] ^ 0x7465646279746573u,
    };
    for (unsigned i = 0; i <= count; i++) {
        uint64_t word = i < count ? words[i] : (uint64_t)count << 59;
        v[3] ^= word;
        sip_round(v);
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void shim_random_seed(struct shim_random *random, uint64_t stream, uint64_t salt)
{
    uint64_t key[2] = {0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u};
    const void *kernel_bytes = (const void *)getauxval(AT_RANDOM);
    if (kernel_bytes)
        memcpy(key, kernel_bytes, sizeof(key));
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t words[3] = {stream, salt, i};
        random->state[i] = sip_hash(key, words, 3);
    }
    if (!(random->state[0] | random->state[1] | random->state[2] | random->state[3]))
        random->state[0] = 1; /* the one state that the generator cannot leave */
}
