/* The output functions, feature-major: one text for training (output.c) and prediction
 * (activation.c), so that both give the same bits. Training wants more than the outputs and gets it
 * from the same loops; where it is not wanted, a NULL that is known to the compiler removes it.
 *
 * a (n_out, batch): in z without bias, out the activation. Softmax and the monotone outputs work on
 * at most TILE samples, which stay in the first-level cache from loop to loop.
 */
#ifndef FASTMLP_OUTPUT_FUNCTIONS_H
#define FASTMLP_OUTPUT_FUNCTIONS_H

#include "vector_math.h"

#define TILE 64

/* Largest finite summand of a loss: TILE of them, weighted, add up to a finite number. */
#define LOSS_CAP (REAL_MAX / 4096)

/* f(z) of the functions that take every output by itself. */
FM_INLINE real output_of(real z, const int function)
{
    return function == FM_SIGMOID ? vsigmoid(z) : function == FM_EXPONENTIAL ? vexp(z) : z;
}

/* z = a + bias in place; peak_out[r] = max_j z. */
FM_INLINE void add_bias_find_peak(real *a, real *peak_out, const real *bias, ptrdiff_t stride,
                                  ptrdiff_t n_out, ptrdiff_t batch)
{
    for (ptrdiff_t r = 0; r < batch; r++)
        peak_out[r] = -REAL_MAX;
    for (ptrdiff_t j = 0; j < n_out; j++) {
        real *z = a + j * stride;
        const real b = bias[j];
        FM_SIMD
        for (ptrdiff_t r = 0; r < batch; r++) {
            z[r] += b;
            peak_out[r] = z[r] > peak_out[r] ? z[r] : peak_out[r];
        }
    }
}

/* a = e^(z - max) / sum, z = a + bias, of up to TILE samples. The quotient is a product with
 * 1 / sum, except where `divides`: runs with a custom loss keep the last bit they always had. Unless
 * targets y is NULL, the cross entropy of each sample goes to cost_out, and sum(y) to mass_out. */
FM_INLINE void softmax_tile(real *a, real *cost_out, real *mass_out, const real *bias,
                            const real *targets, ptrdiff_t stride, ptrdiff_t n_out, ptrdiff_t batch,
                            const int divides)
{
    real peak[TILE], total[TILE];
    add_bias_find_peak(a, peak, bias, stride, n_out, batch);
    for (ptrdiff_t r = 0; r < batch; r++) {
        total[r] = 0;
        if (targets)
            cost_out[r] = mass_out[r] = 0;
    }
    for (ptrdiff_t j = 0; j < n_out; j++) {
        real *row = a + j * stride;
        const real *y = targets ? targets + j * stride : NULL;
        FM_SIMD
        for (ptrdiff_t r = 0; r < batch; r++) {
            real shifted = row[r] - peak[r];
            shifted = shifted < -LOSS_CAP ? -LOSS_CAP : shifted;
            if (targets) {
                cost_out[r] -= y[r] * shifted;
                mass_out[r] += y[r];
            }
            row[r] = vexp(shifted);
            total[r] += row[r];
        }
    }
    FM_SIMD
    for (ptrdiff_t r = 0; r < batch; r++) {
        if (targets) {
            cost_out[r] += mass_out[r] * vlog(total[r]);
            cost_out[r] = total[r] == total[r] ? cost_out[r] : total[r];
        }
        total[r] = divides ? total[r] : REAL_C(1.0) / total[r];
    }
    for (ptrdiff_t j = 0; j < n_out; j++) {
        real *row = a + j * stride;
        FM_SIMD
        for (ptrdiff_t r = 0; r < batch; r++)
            row[r] = divides ? row[r] / total[r] : row[r] * total[r];
    }
}

/* Outputs that cannot cross, z = a + bias: a_0 = z_0, a_j = a_{j-1} + softplus(z_j). Unless it is
 * NULL, derivative_out = da_j/dz_j: 1 for j = 0, else sigmoid(z_j). */
FM_INLINE void monotone_tile(real *a, real *derivative_out, const real *bias, ptrdiff_t stride,
                             ptrdiff_t n_out, ptrdiff_t batch)
{
    for (ptrdiff_t j = 0; j < n_out; j++) {
        real *row = a + j * stride;
        real *derivative = derivative_out ? derivative_out + j * stride : NULL;
        const real *below = j ? row - stride : row;
        const real b = bias[j];
        FM_SIMD
        for (ptrdiff_t r = 0; r < batch; r++) {
            const real z = row[r] + b;
            if (derivative_out)
                derivative[r] = j ? vsigmoid(z) : REAL_C(1.0);
            row[r] = j ? below[r] + vsoftplus(z) : z;
        }
    }
}

#endif
