/* The optimizer step: ordered sum of the gradient lanes + regularisation + optimizer + update.
 *
 * Fused: one pass over weights, states and lanes, the regularisation cost of the old weights and the
 * check that every new weight is finite. The lanes are added in their order, element by element, so
 * the result does not depend on which thread updates which block. New weights go to another vector
 * than the old ones, so that a step into overflow is undone by forgetting it.
 */
#include "real.h"

#define TILE 256

/* sum_out[c] = sum over lanes, in order, of n values. */
static void sum_lanes(real *sum_out, const real *lanes, ptrdiff_t lane_stride, ptrdiff_t n_lanes,
                      ptrdiff_t n)
{
    FM_SIMD
    for (ptrdiff_t c = 0; c < n; c++)
        sum_out[c] = lanes[c] + lanes[lane_stride + c];
    for (ptrdiff_t lane = 2; lane < n_lanes; lane++) {
        const real *values = lanes + lane * lane_stride;
        FM_SIMD
        for (ptrdiff_t c = 0; c < n; c++)
            sum_out[c] += values[c];
    }
}

typedef struct {
    real rate, scale, l2, l1, momentum, beta_1, beta_2, rest_1, rest_2, epsilon, root_scale, keep;
} factors_t;

typedef struct {
    double squares, magnitudes; /* sum w^2 and sum |w| of the old weights */
    int broken;                 /* new weights that are not finite */
} sums_t;

FM_INLINE real penalized_gradient(real sum_of_lanes, real w, factors_t f)
{
    const real sign = (real)(w > 0) - (real)(w < 0);
    return f.scale * sum_of_lanes + f.l2 * w + f.l1 * sign;
}

/* Updates n weights of one row with their gradient. */
FM_INLINE void update_tile(real *w_out, const real *w, real *state_1, real *state_2,
                           const real *gradient, ptrdiff_t n, factors_t f, const int kind,
                           sums_t *sums)
{
    real square_sum = 0, magnitude_sum = 0;
    int broken = 0;
    FM_PRAGMA(omp simd reduction(+ : square_sum, magnitude_sum, broken))
    for (ptrdiff_t c = 0; c < n; c++) {
        const real old = w[c], g = penalized_gradient(gradient[c], old, f);
        real kept = old, change = f.rate * g;
        if (kind == FM_ONE_STEP) { /* memory holds the previous step alone (article M8) */
            const real step = change;
            change += f.momentum * state_1[c];
            state_1[c] = step;
        } else if (kind == FM_CLASSICAL) {
            change += f.momentum * state_1[c];
            state_1[c] = change;
        } else if (kind == FM_NESTEROV) { /* Sutskever et al. (2013), in the form of PyTorch */
            const real velocity = change + f.momentum * state_1[c];
            state_1[c] = velocity;
            change += f.momentum * velocity;
        } else if (kind == FM_ADAM) { /* Kingma and Ba (2015) */
            const real m = f.beta_1 * state_1[c] + f.rest_1 * g;
            const real v = f.beta_2 * state_2[c] + f.rest_2 * (g * g);
            state_1[c] = m;
            state_2[c] = v;
            change = f.rate * m / (REAL_SQRT(v) * f.root_scale + f.epsilon);
            kept = f.keep * old;
        } else if (kind == FM_RMSPROP) { /* Tieleman and Hinton (2012) */
            const real v = f.beta_2 * state_1[c] + f.rest_2 * (g * g);
            const real b = f.momentum * state_2[c] + g / (REAL_SQRT(v) + f.epsilon);
            state_1[c] = v;
            state_2[c] = b;
            change = f.rate * b;
        }
        const real new = kept - change;
        square_sum += old * old;
        magnitude_sum += REAL_ABS(old);
        broken += !(REAL_ABS(new) <= REAL_MAX);
        w_out[c] = new;
    }
    sums->squares += (double)square_sum;
    sums->magnitudes += (double)magnitude_sum;
    sums->broken += broken;
}

#define CASE(kind)                                                                                 \
    case kind:                                                                                     \
        update_tile(w_out, w, state_1, state_2, gradient, n, f, kind, sums);                       \
        break

static void update_any(real *w_out, const real *w, real *state_1, real *state_2,
                       const real *gradient, ptrdiff_t n, factors_t f, int kind, sums_t *sums)
{
    switch (kind) {
        CASE(FM_PLAIN);
        CASE(FM_ONE_STEP);
        CASE(FM_CLASSICAL);
        CASE(FM_NESTEROV);
        CASE(FM_ADAM);
        CASE(FM_RMSPROP);
    }
}

static factors_t working_precision(const fm_rule *rule, int penalized)
{
    const factors_t factors = {
        .rate = (real)rule->learning_rate,
        .scale = (real)rule->gradient_scale,
        .l2 = penalized ? (real)rule->l2 : 0,
        .l1 = penalized ? (real)rule->l1 : 0,
        .momentum = (real)rule->momentum,
        .beta_1 = (real)rule->beta_1,
        .beta_2 = (real)rule->beta_2,
        .rest_1 = (real)(1 - rule->beta_1),
        .rest_2 = (real)(1 - rule->beta_2),
        .epsilon = (real)rule->epsilon,
        .root_scale = (real)rule->root_scale,
        .keep = (real)rule->keep,
    };
    return factors;
}

int FM_NAME(update)(real *w_out, const real *w, real *state_1, real *state_2, const real *lanes,
                    ptrdiff_t lane_stride, ptrdiff_t n_lanes, ptrdiff_t stride, ptrdiff_t n_rows,
                    ptrdiff_t n_cols, const fm_rule *rule, int penalized, double *penalty)
{
    const factors_t factors = working_precision(rule, penalized);
    sums_t sums = {0, 0, 0};
    if (n_cols == stride) { /* rows without a gap are one row: fewer sums over vectors */
        n_cols *= n_rows;
        n_rows = 1;
    }
    for (ptrdiff_t row = 0; row < n_rows; row++) {
        for (ptrdiff_t begin = 0; begin < n_cols; begin += TILE) {
            const ptrdiff_t n = n_cols - begin < TILE ? n_cols - begin : TILE;
            const ptrdiff_t at = row * stride + begin;
            real total[TILE];
            if (n_lanes > 1)
                sum_lanes(total, lanes + at, lane_stride, n_lanes, n);
            update_any(w_out + at, w + at, state_1 ? state_1 + at : NULL,
                       state_2 ? state_2 + at : NULL, n_lanes > 1 ? total : lanes + at, n, factors,
                       rule->kind, &sums);
        }
    }
    /* Without a penalty the sums are not looked at: they may overflow before the weights do. */
    if (penalized)
        *penalty += (rule->l2_cost > 0 ? 0.5 * rule->l2_cost * sums.squares : 0) +
                    (rule->l1_cost > 0 ? rule->l1_cost * sums.magnitudes : 0);
    return sums.broken == 0 && *penalty <= DBL_MAX;
}

double FM_NAME(gradient_squares)(const real *w, const real *lanes, ptrdiff_t lane_stride,
                                 ptrdiff_t n_lanes, ptrdiff_t stride, ptrdiff_t n_rows,
                                 ptrdiff_t n_cols, const fm_rule *rule, int penalized)
{
    const factors_t f = working_precision(rule, penalized);
    double squares = 0;
    for (ptrdiff_t row = 0; row < n_rows; row++) {
        for (ptrdiff_t begin = 0; begin < n_cols; begin += TILE) {
            const ptrdiff_t n = n_cols - begin < TILE ? n_cols - begin : TILE;
            const ptrdiff_t at = row * stride + begin;
            real total[TILE];
            const real *gradient = lanes + at;
            double sum = 0;
            if (n_lanes > 1) {
                sum_lanes(total, lanes + at, lane_stride, n_lanes, n);
                gradient = total;
            }
            FM_SIMD_SUM(sum)
            for (ptrdiff_t c = 0; c < n; c++) {
                const double g = penalized_gradient(gradient[c], w[at + c], f);
                sum += g * g;
            }
            squares += sum;
        }
    }
    return squares;
}
