/* The output layer: bias + output function + loss + error + delta.
 *
 * Works on tiles of TILE samples, which stay in the first-level cache through all sub-passes; sums
 * over a tile are taken in the working precision and then added up in double.
 *
 * delta_out is dC/dz. Where output function and loss cancel (sigmoid + log loss, softmax + cross
 * entropy, identity + squared error, exponential + Poisson) it is a - y, without the quotient that
 * article M8 has to guard, and the loss is computed from z, so that it is finite for every finite z:
 *     log loss       max(z, 0) - y z + log(1 + exp(-|z|))
 *     cross entropy  sum(y) log(sum exp(z - max)) - sum y (z - max)
 *     Poisson        exp(z) - y z + y log(y) - y, half the deviance
 * The other pairs use the general formula delta = J^T dC/da. Softmax + log loss clips a and 1 - a at
 * the machine epsilon.
 */
#include "output_functions.h"

typedef struct {
    real *a;             /* (n_out, batch) in: z without bias, out: activation */
    real *delta;         /* (n_out, batch) */
    const real *targets; /* (n_out, batch) */
    const real *weights; /* (batch) */
    ptrdiff_t stride, n_out, batch;
} tile_t;

/* At most LOSS_CAP, if it is finite. */
FM_INLINE real capped(real loss)
{
    return loss > LOSS_CAP && loss <= REAL_MAX ? LOSS_CAP : loss;
}

/* Cost and dC/da of a loss in d = a - y. */
FM_INLINE real difference_loss(real d, real parameter, const int loss, real *derivative_out)
{
    const real size = REAL_ABS(d);
    const real sign = (real)(d > 0) - (real)(d < 0);
    if (loss == FM_ABSOLUTE_ERROR) {
        *derivative_out = sign;
        return size;
    }
    if (loss == FM_HUBER) {
        const int is_small = size <= parameter;
        *derivative_out = is_small ? d : sign * parameter;
        return is_small ? REAL_C(0.5) * d * d : parameter * (size - REAL_C(0.5) * parameter);
    }
    if (loss == FM_QUANTILE) {
        const real above = REAL_C(1.0) - parameter;
        *derivative_out = d > 0 ? above : (d < 0 ? -parameter : d);
        return d > 0 ? above * d : -parameter * d;
    }
    const real factor = loss == FM_BRIER ? REAL_C(2.0) : REAL_C(1.0);
    *derivative_out = factor * d;
    return factor * (REAL_C(0.5) * d * d);
}

/* y log(y) - y, the part of the Poisson deviance that does not depend on the network. */
FM_INLINE real poisson_constant(real y)
{
    return y > REAL_TINY ? y * vlog(y) - y : -y;
}

/* Cost and dC/dz of one output. */
FM_INLINE real element_loss(real z, real a, real y, real parameter, const int function,
                            const int loss, real *delta_out)
{
    if (loss == FM_LOG_LOSS) {
        const real positive = z > 0 ? z : REAL_C(0.0);
        *delta_out = a - y;
        return positive - y * z + vlog1p_unit(vexp(-REAL_ABS(z)));
    }
    if (loss == FM_POISSON) { /* half the deviance: y log(y / a) - y + a */
        *delta_out = a - y;
        return a - y * z + poisson_constant(y);
    }
    if (loss == FM_GAMMA) { /* half the deviance: log(a / y) + y / a - 1 */
        const real ratio = y * vexp(-z);
        *delta_out = REAL_C(1.0) - ratio;
        return (z - vlog(y)) + (ratio - REAL_C(1.0));
    }
    real derivative;
    const real cost = difference_loss(a - y, parameter, loss, &derivative);
    if (function == FM_SIGMOID)
        derivative *= a * (REAL_C(1.0) - a);
    if (function == FM_EXPONENTIAL)
        derivative *= a;
    *delta_out = derivative;
    return cost;
}

/* Functions of one sum each: everything in one loop. */
FM_INLINE void elementwise_tile(tile_t t, const real *bias, const real *parameters,
                                const int function, const int loss, fm_totals *totals)
{
    for (ptrdiff_t j = 0; j < t.n_out; j++) {
        real *a = t.a + j * t.stride, *delta = t.delta + j * t.stride;
        const real *y = t.targets + j * t.stride, *w = t.weights;
        const real b = bias[j], parameter = parameters ? parameters[j] : REAL_C(0.0);
        real loss_sum = 0, error_sum = 0;
        FM_SIMD_SUM(loss_sum, error_sum)
        for (ptrdiff_t r = 0; r < t.batch; r++) {
            const real z = a[r] + b;
            const real out = output_of(z, function);
            real d;
            const real cost = element_loss(z, out, y[r], parameter, function, loss, &d);
            loss_sum += w[r] * capped(cost);
            error_sum += w[r] * REAL_ABS(out - y[r]);
            delta[r] = w[r] * d;
            a[r] = out;
        }
        totals->loss += (double)loss_sum;
        totals->error += (double)error_sum;
    }
}

/* Quantiles that cannot cross: with a_j = a_{j-1} + softplus(z_j),
 * dC/dz_j = da_j/dz_j sum over k >= j of dC/da_k. */
static void quantile_loss_tile(tile_t t, const real *bias, const real *levels, fm_totals *totals)
{
    monotone_tile(t.a, t.delta, bias, t.stride, t.n_out, t.batch);
    real total[TILE] = {0};
    for (ptrdiff_t j = t.n_out - 1; j >= 0; j--) {
        const real *a = t.a + j * t.stride, *y = t.targets + j * t.stride, *w = t.weights;
        real *delta = t.delta + j * t.stride;
        real loss_sum = 0, error_sum = 0;
        FM_SIMD_SUM(loss_sum, error_sum)
        for (ptrdiff_t r = 0; r < t.batch; r++) {
            real d;
            loss_sum +=
                w[r] * capped(difference_loss(a[r] - y[r], levels[j], FM_QUANTILE, &d));
            error_sum += w[r] * REAL_ABS(a[r] - y[r]);
            total[r] += w[r] * d;
            delta[r] *= total[r];
        }
        totals->loss += (double)loss_sum;
        totals->error += (double)error_sum;
    }
}

/* delta_k = v_k - a_k sum_j v_j, where v_j = a_j dC/da_j: the softmax Jacobian applied to dC/da. */
FM_INLINE void softmax_general_delta(tile_t t, const int loss, real *cost_out)
{
    real sum[TILE];
    for (ptrdiff_t r = 0; r < t.batch; r++)
        sum[r] = cost_out[r] = 0;
    for (ptrdiff_t j = 0; j < t.n_out; j++) {
        const real *a = t.a + j * t.stride, *y = t.targets + j * t.stride;
        real *v = t.delta + j * t.stride;
        FM_SIMD
        for (ptrdiff_t r = 0; r < t.batch; r++) {
            const real difference = a[r] - y[r];
            if (loss != FM_LOG_LOSS) {
                real derivative;
                cost_out[r] += difference_loss(difference, 0, loss, &derivative);
                v[r] = a[r] * derivative;
            } else {
                const real rest = REAL_C(1.0) - a[r];
                const real p = a[r] < REAL_EPSILON ? REAL_EPSILON : a[r];
                const real q = rest < REAL_EPSILON ? REAL_EPSILON : rest;
                cost_out[r] -= y[r] * vlog(p) + (REAL_C(1.0) - y[r]) * vlog(q);
                v[r] = difference / q;
            }
            sum[r] += v[r];
        }
    }
    FM_SIMD
    for (ptrdiff_t r = 0; r < t.batch; r++) /* vlog does not know NaN */
        cost_out[r] = sum[r] == sum[r] ? cost_out[r] : sum[r];
    for (ptrdiff_t j = 0; j < t.n_out; j++) {
        const real *a = t.a + j * t.stride, *w = t.weights;
        real *v = t.delta + j * t.stride;
        FM_SIMD
        for (ptrdiff_t r = 0; r < t.batch; r++)
            v[r] = w[r] * (v[r] - a[r] * sum[r]);
    }
}

FM_INLINE void softmax_loss_tile(tile_t t, const real *bias, const int loss,
                                 fm_totals *totals)
{
    real cost[TILE], mass[TILE];
    softmax_tile(t.a, cost, mass, bias, t.targets, t.stride, t.n_out, t.batch, 0);
    if (loss != FM_CROSS_ENTROPY)
        softmax_general_delta(t, loss, cost);
    for (ptrdiff_t j = 0; j < t.n_out; j++) {
        const real *a = t.a + j * t.stride, *y = t.targets + j * t.stride, *w = t.weights;
        real *delta = t.delta + j * t.stride;
        real error_sum = 0;
        FM_SIMD_SUM(error_sum)
        for (ptrdiff_t r = 0; r < t.batch; r++) {
            error_sum += w[r] * REAL_ABS(a[r] - y[r]);
            if (loss == FM_CROSS_ENTROPY) /* mass is 1 for one-hot targets: a - y */
                delta[r] = w[r] * (a[r] * mass[r] - y[r]);
        }
        totals->error += (double)error_sum;
    }
    real loss_sum = 0;
    FM_SIMD_SUM(loss_sum)
    for (ptrdiff_t r = 0; r < t.batch; r++)
        loss_sum += t.weights[r] * capped(cost[r]);
    totals->loss += (double)loss_sum;
}

/* best_out[r] = index of the largest of row r, as a number; a single output means "above 1/2". */
FM_INLINE void arg_max(const real *a, ptrdiff_t stride, ptrdiff_t n_out, ptrdiff_t batch,
                       real *best_out)
{
    real peak[TILE];
    for (ptrdiff_t r = 0; r < batch; r++) {
        peak[r] = n_out == 1 ? REAL_C(0.5) : a[r];
        best_out[r] = 0;
    }
    for (ptrdiff_t j = n_out == 1 ? 0 : 1; j < n_out; j++) {
        const real *row = a + j * stride;
        const real index = n_out == 1 ? REAL_C(1.0) : (real)j;
        FM_SIMD
        for (ptrdiff_t r = 0; r < batch; r++) {
            best_out[r] = row[r] > peak[r] ? index : best_out[r];
            peak[r] = row[r] > peak[r] ? row[r] : peak[r];
        }
    }
}

static void count_tile(tile_t t, fm_totals *totals)
{
    real predicted[TILE], wanted[TILE];
    arg_max(t.a, t.stride, t.n_out, t.batch, predicted);
    arg_max(t.targets, t.stride, t.n_out, t.batch, wanted);
    real n_correct = 0, weight = 0;
    FM_SIMD_SUM(n_correct, weight)
    for (ptrdiff_t r = 0; r < t.batch; r++) {
        n_correct += predicted[r] == wanted[r] ? t.weights[r] : REAL_C(0.0);
        weight += t.weights[r];
    }
    totals->n_correct += (double)n_correct;
    totals->weight += (double)weight;
}

#define ELEMENTWISE(name, loss_name)                                                               \
    if (function == name && loss == loss_name) {                                                   \
        elementwise_tile(t, bias, parameters, name, loss_name, totals);                            \
        return;                                                                                    \
    }

static void loss_tile(tile_t t, const real *bias, const real *parameters, int function, int loss,
                      fm_totals *totals)
{
    ELEMENTWISE(FM_SIGMOID, FM_LOG_LOSS)
    ELEMENTWISE(FM_SIGMOID, FM_SQUARED_ERROR)
    ELEMENTWISE(FM_SIGMOID, FM_BRIER)
    ELEMENTWISE(FM_IDENTITY, FM_SQUARED_ERROR)
    ELEMENTWISE(FM_IDENTITY, FM_ABSOLUTE_ERROR)
    ELEMENTWISE(FM_IDENTITY, FM_HUBER)
    ELEMENTWISE(FM_IDENTITY, FM_QUANTILE)
    ELEMENTWISE(FM_EXPONENTIAL, FM_POISSON)
    ELEMENTWISE(FM_EXPONENTIAL, FM_GAMMA)
    ELEMENTWISE(FM_EXPONENTIAL, FM_SQUARED_ERROR)
    if (function == FM_INCREASING)
        quantile_loss_tile(t, bias, parameters, totals);
    else if (loss == FM_CROSS_ENTROPY)
        softmax_loss_tile(t, bias, FM_CROSS_ENTROPY, totals);
    else if (loss == FM_LOG_LOSS)
        softmax_loss_tile(t, bias, FM_LOG_LOSS, totals);
    else if (loss == FM_BRIER)
        softmax_loss_tile(t, bias, FM_BRIER, totals);
    else
        softmax_loss_tile(t, bias, FM_SQUARED_ERROR, totals);
}

/* The samples from r on, as many as a tile has. */
static tile_t tile_at(real *a, real *delta, const real *targets, const real *weights,
                      ptrdiff_t stride, ptrdiff_t n_out, ptrdiff_t r, ptrdiff_t batch)
{
    static const real ones[TILE] = {[0 ... TILE - 1] = 1};
    const tile_t tile = {a + r, delta + r, targets + r, weights ? weights + r : ones,
                         stride, n_out, batch - r < TILE ? batch - r : TILE};
    return tile;
}

void FM_NAME(output_loss)(real *a, real *delta_out, fm_totals *totals, const real *bias,
                          const real *targets, const real *sample_weights, const real *parameters,
                          ptrdiff_t stride, ptrdiff_t n_out, ptrdiff_t batch, int function,
                          int loss)
{
    for (ptrdiff_t r = 0; r < batch; r += TILE) {
        const tile_t t = tile_at(a, delta_out, targets, sample_weights, stride, n_out, r, batch);
        loss_tile(t, bias, parameters, function, loss, totals);
        count_tile(t, totals);
    }
}

/* --- A custom loss ----------------------------------------------------------------------- */

/* delta_k = a_k (g_k - sum_j a_j g_j). */
static void softmax_backward(tile_t t)
{
    real sum[TILE] = {0};
    for (ptrdiff_t j = 0; j < t.n_out; j++) {
        const real *a = t.a + j * t.stride, *g = t.delta + j * t.stride;
        FM_SIMD
        for (ptrdiff_t r = 0; r < t.batch; r++)
            sum[r] += a[r] * g[r];
    }
    for (ptrdiff_t j = 0; j < t.n_out; j++) {
        const real *a = t.a + j * t.stride;
        real *g = t.delta + j * t.stride;
        FM_SIMD
        for (ptrdiff_t r = 0; r < t.batch; r++)
            g[r] = a[r] * (g[r] - sum[r]);
    }
}

static void derivative_and_error(tile_t t, const int function, fm_totals *totals)
{
    for (ptrdiff_t j = 0; j < t.n_out; j++) {
        const real *a = t.a + j * t.stride, *y = t.targets + j * t.stride, *w = t.weights;
        real *delta = t.delta + j * t.stride;
        real error_sum = 0;
        FM_SIMD_SUM(error_sum)
        for (ptrdiff_t r = 0; r < t.batch; r++) {
            error_sum += w[r] * REAL_ABS(a[r] - y[r]);
            if (function == FM_SIGMOID)
                delta[r] *= a[r] * (REAL_C(1.0) - a[r]);
            if (function == FM_EXPONENTIAL)
                delta[r] *= a[r];
        }
        totals->error += (double)error_sum;
    }
}

void FM_NAME(output_backward)(real *delta, const real *a, fm_totals *totals, const real *targets,
                              const real *sample_weights, ptrdiff_t stride, ptrdiff_t n_out,
                              ptrdiff_t batch, int function)
{
    for (ptrdiff_t r = 0; r < batch; r += TILE) {
        const tile_t t =
            tile_at((real *)a, delta, targets, sample_weights, stride, n_out, r, batch);
        if (function == FM_SOFTMAX)
            softmax_backward(t);
        derivative_and_error(t, function, totals);
        count_tile(t, totals);
    }
}
