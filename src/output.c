/* The output layer: bias + output function + loss + error + delta.
 *
 * Works on tiles of TILE samples, which stay in the first-level cache through all sub-passes; sums
 * over a tile are taken in the working precision and then added up in double.
 *
 * delta_out is dC/dz. Where output function and loss cancel (sigmoid + log loss, softmax + cross
 * entropy, identity + squared error) it is a - y, without the quotient that article M8 has to guard,
 * and the loss is computed from z, so that it is finite for every finite z:
 *     log loss       max(z, 0) - y z + log(1 + exp(-|z|))
 *     cross entropy  sum(y) log(sum exp(z - max)) - sum y (z - max)
 * The other pairs use the general formula delta = J^T dC/da. Softmax + log loss clips a and 1 - a at
 * the machine epsilon.
 */
#include "vector_math.h"

#define TILE 64

/* Largest finite summand: TILE of them, weighted, add up to a finite number. NaN and inf pass. */
#define LOSS_CAP (REAL_MAX / 4096)

typedef struct {
    real *a;             /* (n_out, batch) in: z without bias, out: activation */
    real *delta;         /* (n_out, batch) */
    const real *targets; /* (n_out, batch) */
    const real *weights; /* (batch) */
    ptrdiff_t stride, n_out, batch;
} tile_t;

FM_INLINE real capped(real loss)
{
    return loss > LOSS_CAP && loss <= REAL_MAX ? LOSS_CAP : loss;
}

/* Single-output functions: everything in one loop. */
FM_INLINE void elementwise_tile(tile_t t, const real *bias, const int function,
                                const int loss, fm_totals *totals)
{
    for (ptrdiff_t j = 0; j < t.n_out; j++) {
        real *a = t.a + j * t.stride, *delta = t.delta + j * t.stride;
        const real *y = t.targets + j * t.stride, *w = t.weights;
        const real b = bias[j];
        real loss_sum = 0, error_sum = 0;
        FM_SIMD_SUM(loss_sum, error_sum)
        for (ptrdiff_t r = 0; r < t.batch; r++) {
            const real z = a[r] + b;
            const real out = function == FM_SIGMOID ? vsigmoid(z) : z;
            const real difference = out - y[r];
            real cost, d = difference;
            if (loss == FM_LOG_LOSS) {
                const real positive = z > 0 ? z : REAL_C(0.0);
                cost = positive - y[r] * z + vlog1p_unit(vexp(-REAL_ABS(z)));
            } else {
                cost = REAL_C(0.5) * difference * difference;
                if (function == FM_SIGMOID)
                    d *= out * (REAL_C(1.0) - out);
            }
            loss_sum += w[r] * capped(cost);
            error_sum += w[r] * REAL_ABS(difference);
            delta[r] = w[r] * d;
            a[r] = out;
        }
        totals->loss += (double)loss_sum;
        totals->error += (double)error_sum;
    }
}

/* z = a + bias in place; peak[r] = max_j z. */
FM_INLINE void add_bias_find_peak(tile_t t, const real *bias, real *peak)
{
    for (ptrdiff_t r = 0; r < t.batch; r++)
        peak[r] = -REAL_MAX;
    for (ptrdiff_t j = 0; j < t.n_out; j++) {
        real *a = t.a + j * t.stride;
        const real b = bias[j];
        FM_SIMD
        for (ptrdiff_t r = 0; r < t.batch; r++) {
            a[r] += b;
            peak[r] = a[r] > peak[r] ? a[r] : peak[r];
        }
    }
}

/* a = softmax(a + bias); with the cross entropy of each sample in cost_out and sum(y) in mass_out. */
FM_INLINE void softmax_tile(tile_t t, const real *bias, real *cost_out,
                            real *mass_out)
{
    real peak[TILE], total[TILE];
    add_bias_find_peak(t, bias, peak);
    for (ptrdiff_t r = 0; r < t.batch; r++)
        total[r] = cost_out[r] = mass_out[r] = 0;
    for (ptrdiff_t j = 0; j < t.n_out; j++) {
        real *a = t.a + j * t.stride;
        const real *y = t.targets + j * t.stride;
        FM_SIMD
        for (ptrdiff_t r = 0; r < t.batch; r++) {
            real shifted = a[r] - peak[r];
            shifted = shifted < -LOSS_CAP ? -LOSS_CAP : shifted;
            cost_out[r] -= y[r] * shifted;
            mass_out[r] += y[r];
            a[r] = vexp(shifted);
            total[r] += a[r];
        }
    }
    FM_SIMD
    for (ptrdiff_t r = 0; r < t.batch; r++) {
        cost_out[r] += mass_out[r] * vlog(total[r]);
        cost_out[r] = total[r] == total[r] ? cost_out[r] : total[r];
        total[r] = REAL_C(1.0) / total[r];
    }
    for (ptrdiff_t j = 0; j < t.n_out; j++) {
        real *a = t.a + j * t.stride;
        FM_SIMD
        for (ptrdiff_t r = 0; r < t.batch; r++)
            a[r] *= total[r];
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
            if (loss == FM_SQUARED_ERROR) {
                cost_out[r] += REAL_C(0.5) * difference * difference;
                v[r] = a[r] * difference;
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
    softmax_tile(t, bias, cost, mass);
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
    real hits = 0, weight = 0;
    FM_SIMD_SUM(hits, weight)
    for (ptrdiff_t r = 0; r < t.batch; r++) {
        hits += predicted[r] == wanted[r] ? t.weights[r] : REAL_C(0.0);
        weight += t.weights[r];
    }
    totals->hits += (double)hits;
    totals->weight += (double)weight;
}

static void loss_tile(tile_t t, const real *bias, int function, int loss,
                      fm_totals *totals)
{
    if (function == FM_SIGMOID && loss == FM_LOG_LOSS)
        elementwise_tile(t, bias, FM_SIGMOID, FM_LOG_LOSS, totals);
    else if (function == FM_SIGMOID)
        elementwise_tile(t, bias, FM_SIGMOID, FM_SQUARED_ERROR, totals);
    else if (function == FM_IDENTITY)
        elementwise_tile(t, bias, FM_IDENTITY, FM_SQUARED_ERROR, totals);
    else if (loss == FM_CROSS_ENTROPY)
        softmax_loss_tile(t, bias, FM_CROSS_ENTROPY, totals);
    else if (loss == FM_LOG_LOSS)
        softmax_loss_tile(t, bias, FM_LOG_LOSS, totals);
    else
        softmax_loss_tile(t, bias, FM_SQUARED_ERROR, totals);
}

void FM_NAME(output_loss)(real *a, real *delta_out, fm_totals *totals, const real *bias,
                          const real *targets, const real *row_weights, ptrdiff_t stride,
                          ptrdiff_t n_out, ptrdiff_t batch, int function, int loss)
{
    real ones[TILE];
    for (ptrdiff_t r = 0; r < TILE; r++)
        ones[r] = 1;
    for (ptrdiff_t r = 0; r < batch; r += TILE) {
        tile_t t = {a + r, delta_out + r, targets + r, row_weights ? row_weights + r : ones,
                    stride, n_out, batch - r < TILE ? batch - r : TILE};
        loss_tile(t, bias, function, loss, totals);
        count_tile(t, totals);
    }
}
