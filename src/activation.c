/* Hidden layers: bias + activation, and delta * derivative + bias gradient.
 *
 * Fused: everything that touches the chunk's (n_out, batch) matrix between two products. Not fused:
 * the products themselves. Derivatives come from the activation a, never from z (article P3), so z
 * is overwritten and no second exp is computed.
 */
#include "vector_math.h"
#include "vectors.h"

FM_INLINE real activate(real z, const int function)
{
    switch (function) {
    case FM_SIGMOID: return vsigmoid(z);
    case FM_TANH: return vtanh(z);
    case FM_RELU: return z < 0 ? REAL_C(0.0) : z; /* keeps NaN */
    default: return z;
    }
}

/* f'(z) as a function of a = f(z). */
FM_INLINE real derivative(real a, const int function)
{
    switch (function) {
    case FM_SIGMOID: return a * (REAL_C(1.0) - a);
    case FM_TANH: return REAL_C(1.0) - a * a;
    case FM_RELU: return a > 0 ? REAL_C(1.0) : REAL_C(0.0);
    default: return REAL_C(1.0);
    }
}

/* Whole vectors, without a tail: what is in the padding is dropped afterwards. */
FM_INLINE void activate_samples(real *a, ptrdiff_t stride, const real *bias, ptrdiff_t n_out,
                                ptrdiff_t batch, const int function)
{
    for (ptrdiff_t r = 0; r < batch; r++) {
        real *row = a + r * stride;
        if (bias) {
            FM_SIMD
            for (ptrdiff_t j = 0; j < stride; j++)
                row[j] = activate(row[j] + bias[j], function);
        } else {
            FM_SIMD
            for (ptrdiff_t j = 0; j < stride; j++)
                row[j] = activate(row[j], function);
        }
        for (ptrdiff_t j = n_out; j < stride; j++)
            row[j] = 0;
    }
}

void FM_NAME(bias_activation)(real *a, ptrdiff_t stride, const real *bias, ptrdiff_t n_out,
                              ptrdiff_t batch, int function)
{
    switch (function) {
    case FM_SIGMOID: activate_samples(a, stride, bias, n_out, batch, FM_SIGMOID); break;
    case FM_TANH: activate_samples(a, stride, bias, n_out, batch, FM_TANH); break;
    case FM_RELU: activate_samples(a, stride, bias, n_out, batch, FM_RELU); break;
    default: activate_samples(a, stride, bias, n_out, batch, FM_IDENTITY);
    }
}

FM_INLINE void backward(real *delta, const real *a, ptrdiff_t n, const int function)
{
    FM_SIMD
    for (ptrdiff_t i = 0; i < n; i++)
        delta[i] *= derivative(a[i], function);
}

void FM_NAME(activation_backward)(real *delta, const real *a, ptrdiff_t n, int function)
{
    switch (function) {
    case FM_SIGMOID: backward(delta, a, n, FM_SIGMOID); break;
    case FM_TANH: backward(delta, a, n, FM_TANH); break;
    case FM_RELU: backward(delta, a, n, FM_RELU); break;
    default: break;
    }
}

#define SUMMED 4 /* vectors of columns that are summed at once */

void FM_NAME(column_sums)(real *sum_out, const real *delta, ptrdiff_t stride, ptrdiff_t n,
                          ptrdiff_t batch, int accumulate)
{
    for (ptrdiff_t begin = 0; begin < n; begin += SUMMED * LANES) {
        const ptrdiff_t width = n - begin < SUMMED * LANES ? n - begin : SUMMED * LANES;
        vec sum[SUMMED] = {0};
        real total[SUMMED * LANES];
        for (ptrdiff_t r = 0; r < batch; r++) {
            const real *row = delta + r * stride + begin;
            UNROLL
            for (int v = 0; v < SUMMED; v++)
                if (v * LANES < width)
                    sum[v] += load(row + v * LANES);
        }
        for (int v = 0; v < SUMMED; v++)
            store(total + v * LANES, sum[v]);
        for (ptrdiff_t j = 0; j < width; j++)
            sum_out[begin + j] = accumulate ? sum_out[begin + j] + total[j] : total[j];
    }
}

/* --- The output layer of a prediction, feature-major ----------------------------------------- */

FM_INLINE void activate_features(real *a, ptrdiff_t stride, const real *bias, ptrdiff_t n_out,
                                 ptrdiff_t batch, const int function)
{
    for (ptrdiff_t j = 0; j < n_out; j++) {
        real *row = a + j * stride;
        FM_SIMD
        for (ptrdiff_t r = 0; r < batch; r++)
            row[r] = activate(row[r] + bias[j], function);
    }
}

/* Softmax of SOFTMAX_TILE samples at a time: e^(z - max) / sum, sums kept in two small arrays. */
#define SOFTMAX_TILE 64

static void softmax_tile(real *a, ptrdiff_t stride, const real *bias, ptrdiff_t n_out,
                         ptrdiff_t batch)
{
    real peak[SOFTMAX_TILE], total[SOFTMAX_TILE];
    for (ptrdiff_t r = 0; r < batch; r++) {
        peak[r] = -REAL_MAX;
        total[r] = 0;
    }
    for (ptrdiff_t j = 0; j < n_out; j++) {
        real *row = a + j * stride;
        const real b = bias[j];
        FM_SIMD
        for (ptrdiff_t r = 0; r < batch; r++) {
            row[r] += b;
            peak[r] = row[r] > peak[r] ? row[r] : peak[r];
        }
    }
    for (ptrdiff_t j = 0; j < n_out; j++) {
        real *row = a + j * stride;
        FM_SIMD
        for (ptrdiff_t r = 0; r < batch; r++) {
            row[r] = vexp(row[r] - peak[r]);
            total[r] += row[r];
        }
    }
    for (ptrdiff_t j = 0; j < n_out; j++) {
        real *row = a + j * stride;
        FM_SIMD
        for (ptrdiff_t r = 0; r < batch; r++)
            row[r] /= total[r];
    }
}

void FM_NAME(output_activation)(real *a, ptrdiff_t stride, const real *bias, ptrdiff_t n_out,
                                ptrdiff_t batch, int function)
{
    switch (function) {
    case FM_SIGMOID: activate_features(a, stride, bias, n_out, batch, FM_SIGMOID); break;
    case FM_TANH: activate_features(a, stride, bias, n_out, batch, FM_TANH); break;
    case FM_RELU: activate_features(a, stride, bias, n_out, batch, FM_RELU); break;
    case FM_SOFTMAX:
        for (ptrdiff_t r = 0; r < batch; r += SOFTMAX_TILE) {
            const ptrdiff_t rest = batch - r;
            softmax_tile(a + r, stride, bias, n_out, rest < SOFTMAX_TILE ? rest : SOFTMAX_TILE);
        }
        break;
    default: activate_features(a, stride, bias, n_out, batch, FM_IDENTITY);
    }
}

#define APPLY(name)                                                                                \
    void FM_NAME(apply_##name)(real * out, const real *x, ptrdiff_t n)                             \
    {                                                                                              \
        FM_SIMD                                                                                    \
        for (ptrdiff_t i = 0; i < n; i++)                                                          \
            out[i] = v##name(x[i]);                                                                \
    }
APPLY(exp)
APPLY(log)
APPLY(sigmoid)
APPLY(tanh)
APPLY(softplus)
