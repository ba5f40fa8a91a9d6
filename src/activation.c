/* Hidden layers: bias + activation, dropout, delta * derivative, and column sums for the biases; and
 * the output functions of predictions.
 *
 * Fused: everything that touches a chunk's (batch, stride) matrix between two products. Not fused:
 * the products themselves. Derivatives come from the activation a, not from z (article P3), so z is
 * overwritten and no second exp is computed. Where that is impossible (gelu and silu are not
 * monotonic, dropout changes a) the forward pass leaves the derivatives in a matrix of their own.
 */
#include "output_functions.h"
#include "vectors.h"

#define LEAKY_SLOPE REAL_C(0.01)
/* Klambauer et al., "Self-normalizing neural networks" (2017). */
#define SELU_SCALE REAL_C(1.0507009873554804934)
#define SELU_LOW REAL_C(1.7580993408473768600) /* scale * alpha */

/* exp(z) - 1 for z <= 0. */
FM_INLINE real expm1_negative(real z)
{
    z = z < REAL_C(-40.0) ? REAL_C(-40.0) : z;
    return vexpm1_bounded(z > 0 ? REAL_C(0.0) : z);
}

/* f(z) of the functions whose derivative follows from f(z). A NaN stays. */
FM_INLINE real activate(real z, const int function)
{
    switch (function) {
    case FM_SIGMOID: return vsigmoid(z);
    case FM_TANH: return vtanh(z);
    case FM_RELU: return z < 0 ? REAL_C(0.0) : z;
    case FM_LEAKY_RELU: return z < 0 ? LEAKY_SLOPE * z : z;
    case FM_ELU: return z < 0 ? expm1_negative(z) : z;
    case FM_SELU: return z < 0 ? SELU_LOW * expm1_negative(z) : SELU_SCALE * z;
    case FM_SOFTPLUS: return vsoftplus(z);
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
    case FM_LEAKY_RELU: return a > 0 ? REAL_C(1.0) : LEAKY_SLOPE;
    case FM_ELU: return a > 0 ? REAL_C(1.0) : a + REAL_C(1.0);
    case FM_SELU: return a > 0 ? SELU_SCALE : a + SELU_LOW;
    case FM_SOFTPLUS: return -expm1_negative(-a);
    default: return REAL_C(1.0);
    }
}

/* f(z) and f'(z) of the functions that are not monotonic: gelu = z Phi(z), silu = z sigmoid(z). */
FM_INLINE real activate_with_derivative(real z, real *derivative_out, const int function)
{
    if (function == FM_GELU) {
        real bell;
        const real share = vnormal_cdf(z, &bell);
        *derivative_out = share + z * bell * REAL_C(0.39894228040143267794); /* 1 / sqrt(2 pi) */
        return z * share;
    }
    const real share = vsigmoid(z);
    *derivative_out = share * (REAL_C(1.0) + z * (REAL_C(1.0) - share));
    return z * share;
}

#define DERIVATIVE_NEEDS_Z(function) ((function) == FM_GELU || (function) == FM_SILU)

/* Whole vectors, without a tail: what is in the padding is dropped afterwards. */
FM_INLINE void activate_samples(real *a, real *derivative_out, ptrdiff_t stride, const real *bias,
                                ptrdiff_t n_out, ptrdiff_t batch, const int function)
{
    for (ptrdiff_t r = 0; r < batch; r++) {
        real *row = a + r * stride;
        real *derivatives = derivative_out ? derivative_out + r * stride : NULL;
        if (bias) {
            FM_SIMD
            for (ptrdiff_t j = 0; j < stride; j++)
                row[j] += bias[j];
        }
        if (!DERIVATIVE_NEEDS_Z(function)) {
            FM_SIMD
            for (ptrdiff_t j = 0; j < stride; j++)
                row[j] = activate(row[j], function);
        } else if (derivatives) {
            FM_SIMD
            for (ptrdiff_t j = 0; j < stride; j++)
                row[j] = activate_with_derivative(row[j], derivatives + j, function);
        } else {
            FM_SIMD
            for (ptrdiff_t j = 0; j < stride; j++) {
                real unused;
                row[j] = activate_with_derivative(row[j], &unused, function);
            }
        }
        for (ptrdiff_t j = n_out; j < stride; j++)
            row[j] = 0;
    }
}

/* Calls a function with the name of the activation as a constant. */
#define FOR_FUNCTION(call)                                                                         \
    switch (function) {                                                                            \
    case FM_SIGMOID: call(FM_SIGMOID); break;                                                      \
    case FM_TANH: call(FM_TANH); break;                                                            \
    case FM_RELU: call(FM_RELU); break;                                                            \
    case FM_LEAKY_RELU: call(FM_LEAKY_RELU); break;                                                \
    case FM_ELU: call(FM_ELU); break;                                                              \
    case FM_SELU: call(FM_SELU); break;                                                            \
    case FM_SOFTPLUS: call(FM_SOFTPLUS); break;                                                    \
    case FM_GELU: call(FM_GELU); break;                                                            \
    case FM_SILU: call(FM_SILU); break;                                                            \
    default: call(FM_IDENTITY);                                                                    \
    }

void FM_NAME(bias_activation)(real *a, real *derivative_out, ptrdiff_t stride, const real *bias,
                              ptrdiff_t n_out, ptrdiff_t batch, int function)
{
#define ACTIVATE(name) activate_samples(a, derivative_out, stride, bias, n_out, batch, name)
    FOR_FUNCTION(ACTIVATE)
}

/* --- Dropout (Srivastava et al., 2014), scaled while training ---------------------------------- */

/* A 64-bit hash: the finaliser of SplitMix64. */
FM_INLINE uint64_t hash_64(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A 32-bit hash of low bias (C. Wellons, "Prospecting for hash functions"). */
FM_INLINE uint32_t hash_32(uint32_t x)
{
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

FM_INLINE void drop(real *a, real *derivatives, ptrdiff_t stride, ptrdiff_t batch, double rate,
                    uint64_t key, ptrdiff_t first_row, const int function)
{
    const uint32_t threshold = (uint32_t)(rate * 4294967296.0);
    const real scale = (real)(1 / (1 - rate));
    for (ptrdiff_t r = 0; r < batch; r++) {
        const uint32_t row_key = (uint32_t)hash_64(key + (uint64_t)(first_row + r));
        real *row = a + r * stride, *row_derivative = derivatives + r * stride;
        FM_SIMD
        for (ptrdiff_t j = 0; j < stride; j++) {
            const uint32_t drawn = hash_32(row_key + (uint32_t)j * 0x9e3779b9u);
            const real m = drawn < threshold ? REAL_C(0.0) : scale;
            row_derivative[j] = m * (DERIVATIVE_NEEDS_Z(function) ? row_derivative[j]
                                                                  : derivative(row[j], function));
            row[j] *= m;
        }
    }
}

void FM_NAME(dropout)(real *a, real *derivatives, ptrdiff_t stride, ptrdiff_t batch, int function,
                      double rate, uint64_t key, ptrdiff_t first_row)
{
#define DROP(name) drop(a, derivatives, stride, batch, rate, key, first_row, name)
    FOR_FUNCTION(DROP)
}

/* --- Backward --------------------------------------------------------------------------------- */

FM_INLINE void backward(real *delta, const real *a, ptrdiff_t n, const int function)
{
    FM_SIMD
    for (ptrdiff_t i = 0; i < n; i++)
        delta[i] *= derivative(a[i], function);
}

void FM_NAME(activation_backward)(real *delta, const real *a, const real *derivatives, ptrdiff_t n,
                                  int function)
{
    if (derivatives) {
        FM_SIMD
        for (ptrdiff_t i = 0; i < n; i++)
            delta[i] *= derivatives[i];
        return;
    }
    if (function == FM_IDENTITY)
        return;
#define BACKWARD(name) backward(delta, a, n, name)
    FOR_FUNCTION(BACKWARD)
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

FM_INLINE void activate_outputs(real *a, ptrdiff_t stride, const real *bias, ptrdiff_t n_out,
                                ptrdiff_t batch, const int function)
{
    for (ptrdiff_t j = 0; j < n_out; j++) {
        real *row = a + j * stride;
        FM_SIMD
        for (ptrdiff_t r = 0; r < batch; r++)
            row[r] = output_of(row[r] + bias[j], function);
    }
}

/* The functions that tie the outputs of a sample together, one tile after the other. */
FM_INLINE void activate_tiles(real *a, ptrdiff_t stride, const real *bias, ptrdiff_t n_out,
                              ptrdiff_t batch, const int function, const int divides)
{
    for (ptrdiff_t r = 0; r < batch; r += TILE) {
        const ptrdiff_t n = batch - r < TILE ? batch - r : TILE;
        if (function == FM_SOFTMAX)
            softmax_tile(a + r, NULL, NULL, bias, NULL, stride, n_out, n, divides);
        else
            monotone_tile(a + r, NULL, bias, stride, n_out, n);
    }
}

void FM_NAME(output_activation)(real *a, ptrdiff_t stride, const real *bias, ptrdiff_t n_out,
                                ptrdiff_t batch, int function, int divides)
{
    switch (function) {
    case FM_SOFTMAX:
        if (divides)
            activate_tiles(a, stride, bias, n_out, batch, FM_SOFTMAX, 1);
        else
            activate_tiles(a, stride, bias, n_out, batch, FM_SOFTMAX, 0);
        break;
    case FM_INCREASING: activate_tiles(a, stride, bias, n_out, batch, FM_INCREASING, 0); break;
    case FM_EXPONENTIAL: activate_outputs(a, stride, bias, n_out, batch, FM_EXPONENTIAL); break;
    case FM_SIGMOID: activate_outputs(a, stride, bias, n_out, batch, FM_SIGMOID); break;
    default: activate_outputs(a, stride, bias, n_out, batch, FM_IDENTITY);
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
