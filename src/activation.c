/* Hidden layers: bias + activation, and delta * derivative + bias gradient.
 *
 * Fused: everything that touches the chunk's (n_out, batch) matrix between two products. Not fused:
 * the products themselves. Derivatives come from the activation a, never from z (article P3), so z
 * is overwritten and no second exp is computed.
 */
#include "vector_math.h"

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

FM_INLINE void activate_rows(real *a, ptrdiff_t stride, const real *bias, ptrdiff_t bias_stride,
                             ptrdiff_t n_out, ptrdiff_t batch, const int function)
{
    for (ptrdiff_t j = 0; j < n_out; j++) {
        real *row = a + j * stride;
        const real b = bias[j * bias_stride];
        FM_SIMD
        for (ptrdiff_t r = 0; r < batch; r++)
            row[r] = activate(row[r] + b, function);
    }
}

/* Softmax of SOFTMAX_TILE samples at a time: e^(z - max) / sum, sums kept in two small arrays. */
#define SOFTMAX_TILE 64

static void softmax_tile(real *a, ptrdiff_t stride, const real *bias, ptrdiff_t bias_stride,
                         ptrdiff_t n_out, ptrdiff_t batch)
{
    real peak[SOFTMAX_TILE], total[SOFTMAX_TILE];
    for (ptrdiff_t r = 0; r < batch; r++) {
        peak[r] = -REAL_MAX;
        total[r] = 0;
    }
    for (ptrdiff_t j = 0; j < n_out; j++) {
        real *row = a + j * stride;
        const real b = bias[j * bias_stride];
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

void FM_NAME(bias_activation)(real *a, ptrdiff_t stride, const real *bias, ptrdiff_t bias_stride,
                              ptrdiff_t n_out, ptrdiff_t batch, int function)
{
    switch (function) {
    case FM_SIGMOID:
        activate_rows(a, stride, bias, bias_stride, n_out, batch, FM_SIGMOID);
        break;
    case FM_TANH:
        activate_rows(a, stride, bias, bias_stride, n_out, batch, FM_TANH);
        break;
    case FM_RELU:
        activate_rows(a, stride, bias, bias_stride, n_out, batch, FM_RELU);
        break;
    case FM_SOFTMAX:
        for (ptrdiff_t r = 0; r < batch; r += SOFTMAX_TILE) {
            const ptrdiff_t rest = batch - r;
            softmax_tile(a + r, stride, bias, bias_stride, n_out,
                         rest < SOFTMAX_TILE ? rest : SOFTMAX_TILE);
        }
        break;
    default:
        activate_rows(a, stride, bias, bias_stride, n_out, batch, FM_IDENTITY);
    }
}

FM_INLINE void backward_rows(real *delta, real *bias_grad, ptrdiff_t grad_stride, const real *a,
                             ptrdiff_t stride, ptrdiff_t n_out, ptrdiff_t batch, int accumulate,
                             const int function)
{
    for (ptrdiff_t j = 0; j < n_out; j++) {
        real *d = delta + j * stride;
        const real *row = a + j * stride;
        real sum = 0;
        FM_SIMD_SUM(sum)
        for (ptrdiff_t r = 0; r < batch; r++) {
            d[r] *= derivative(row[r], function);
            sum += d[r];
        }
        bias_grad[j * grad_stride] = accumulate ? bias_grad[j * grad_stride] + sum : sum;
    }
}

void FM_NAME(activation_backward)(real *delta, real *bias_grad, ptrdiff_t grad_stride,
                                  const real *a, ptrdiff_t stride, ptrdiff_t n_out, ptrdiff_t batch,
                                  int function, int accumulate)
{
#define CASE(name)                                                                                 \
    case name:                                                                                     \
        backward_rows(delta, bias_grad, grad_stride, a, stride, n_out, batch, accumulate, name);   \
        break
    switch (function) {
        CASE(FM_SIGMOID);
        CASE(FM_TANH);
        CASE(FM_RELU);
        CASE(FM_IDENTITY);
    }
#undef CASE
}

/* --- The same passes for a sample-major layer ----------------------------------------------- */

FM_INLINE void activate_samples(real *a, ptrdiff_t stride, const real *bias, ptrdiff_t n_out,
                                ptrdiff_t batch, const int function)
{
    for (ptrdiff_t r = 0; r < batch; r++) {
        real *row = a + r * stride;
        FM_SIMD
        for (ptrdiff_t j = 0; j < n_out; j++)
            row[j] = activate(row[j] + bias[j], function);
    }
}

void FM_NAME(bias_activation_rows)(real *a, ptrdiff_t stride, const real *bias,
                                   ptrdiff_t bias_stride, ptrdiff_t n_out, ptrdiff_t batch,
                                   int function)
{
    /* Whole vectors, without a tail: the padding of a row is scratch. */
    real b[FM_NARROW_MAX] = {0};
    for (ptrdiff_t j = 0; j < n_out; j++)
        b[j] = bias[j * bias_stride];
    switch (function) {
    case FM_SIGMOID: activate_samples(a, stride, b, stride, batch, FM_SIGMOID); break;
    case FM_TANH: activate_samples(a, stride, b, stride, batch, FM_TANH); break;
    case FM_RELU: activate_samples(a, stride, b, stride, batch, FM_RELU); break;
    default: activate_samples(a, stride, b, stride, batch, FM_IDENTITY);
    }
}

FM_INLINE void backward_samples(real *delta, real *sum, const real *a, ptrdiff_t stride,
                                ptrdiff_t batch, const int function)
{
    for (ptrdiff_t r = 0; r < batch; r++) {
        real *d = delta + r * stride;
        const real *row = a + r * stride;
        FM_SIMD
        for (ptrdiff_t j = 0; j < stride; j++) {
            d[j] *= derivative(row[j], function);
            sum[j] += d[j];
        }
    }
}

void FM_NAME(activation_backward_rows)(real *delta, real *bias_grad, ptrdiff_t grad_stride,
                                       const real *a, ptrdiff_t stride, ptrdiff_t n_out,
                                       ptrdiff_t batch, int function, int accumulate)
{
    real sum[FM_NARROW_MAX] = {0};
    switch (function) {
    case FM_SIGMOID: backward_samples(delta, sum, a, stride, batch, FM_SIGMOID); break;
    case FM_TANH: backward_samples(delta, sum, a, stride, batch, FM_TANH); break;
    case FM_RELU: backward_samples(delta, sum, a, stride, batch, FM_RELU); break;
    default: backward_samples(delta, sum, a, stride, batch, FM_IDENTITY);
    }
    for (ptrdiff_t j = 0; j < n_out; j++)
        bias_grad[j * grad_stride] = accumulate ? bias_grad[j * grad_stride] + sum[j] : sum[j];
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
