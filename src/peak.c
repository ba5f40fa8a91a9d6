/* As many multiply-adds as the processor can do: sums that do not wait for each other. */
#include "vectors.h"

/* A multiply-add takes four cycles, and two begin in each: eight sums would do. */
#define SUMS 12

ptrdiff_t FM_NAME(multiply_adds)(real *sums, ptrdiff_t n_rounds)
{
    const vec half = (vec){0} + REAL_C(0.5), one = (vec){0} + REAL_C(1.0);
    vec sum[SUMS];
    UNROLL
    for (int i = 0; i < SUMS; i++)
        sum[i] = load(sums + i * LANES);
    for (ptrdiff_t round = 0; round < n_rounds; round++)
        UNROLL
        for (int i = 0; i < SUMS; i++)
            sum[i] = sum[i] * half + one;
    UNROLL
    for (int i = 0; i < SUMS; i++)
        store(sums + i * LANES, sum[i]);
    return SUMS * LANES;
}
