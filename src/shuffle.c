/* The order of an epoch: 0 .. n - 1 mixed by Fisher and Yates' algorithm (Knuth, TAOCP 2, 3.4.2 P).
 *
 * Random numbers are SplitMix64 (Steele, Lea and Flood, 2014), reduced to a range by the upper half of
 * a product (Lemire, 2019, without the rejection: its bias is below n / 2^64). The partners of a
 * block are drawn first and fetched, because a large array is not in the cache.
 */
#include "fastmlp.h"

#define BLOCK 32

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t upper_half(uint64_t a, uint64_t b)
{
    const uint64_t a_low = (uint32_t)a, a_high = a >> 32, b_low = (uint32_t)b, b_high = b >> 32;
    const uint64_t middle = a_high * b_low + (a_low * b_low >> 32);
    return a_high * b_high + (middle >> 32) + ((a_low * b_high + (uint32_t)middle) >> 32);
}

void fm_permutation(ptrdiff_t *out, ptrdiff_t n, uint64_t seed)
{
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = i;
    for (ptrdiff_t last = n - 1; last > 0; last -= BLOCK) {
        const ptrdiff_t n_swaps = last < BLOCK ? last : BLOCK;
        ptrdiff_t partner[BLOCK];
        for (ptrdiff_t i = 0; i < n_swaps; i++) {
            partner[i] = (ptrdiff_t)upper_half(next_random(&seed), (uint64_t)(last - i + 1));
            __builtin_prefetch(out + partner[i], 1);
        }
        for (ptrdiff_t i = 0; i < n_swaps; i++) {
            const ptrdiff_t kept = out[last - i];
            out[last - i] = out[partner[i]];
            out[partner[i]] = kept;
        }
    }
}
