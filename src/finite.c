/* Are all numbers finite? A comparison that is false for NaN as well as for infinity. */
#include "real.h"

int FM_NAME(all_finite)(const real *x, ptrdiff_t n)
{
    int wrong = 0;
    FM_SIMD_SUM(wrong)
    for (ptrdiff_t i = 0; i < n; i++)
        wrong += !(REAL_ABS(x[i]) <= REAL_MAX);
    return wrong == 0;
}
