/* The optimiser step: ordered sum of the gradient lanes + regularisation + momentum + update.
 *
 * Fused: one pass over weights, memory and lanes, the regularisation cost of the old weights and the
 * check that every new weight is finite. The lanes are added in their order, column by column, so
 * the result does not depend on which thread updates which rows. A lane is dead once it has been
 * added; the old weights go into lane 0, so that a step into overflow can be undone.
 */
#include "real.h"

#define TILE 256

/* sum_out[c] = sum over lanes, in order, of n values. */
static void sum_lanes(real *sum_out, const real *lanes, ptrdiff_t lane_stride, ptrdiff_t n_lanes,
                      ptrdiff_t n)
{
    FM_SIMD
    for (ptrdiff_t c = 0; c < n; c++)
        sum_out[c] = lanes[c];
    for (ptrdiff_t lane = 1; lane < n_lanes; lane++) {
        const real *values = lanes + lane * lane_stride;
        FM_SIMD
        for (ptrdiff_t c = 0; c < n; c++)
            sum_out[c] += values[c];
    }
}

typedef struct {
    real rate, momentum, scale, l2, l1;
} factors_t;

/* Updates n weights of one row; adds sum w^2 and sum |w| of the old ones; returns the number of new
 * weights that are not finite. */
FM_INLINE int update_tile(real *w, real *memory, real *lane0, const real *gradient, ptrdiff_t n,
                          factors_t f, const int kind, double *squares, double *magnitudes)
{
    real square_sum = 0, magnitude_sum = 0;
    int broken = 0;
    FM_PRAGMA(omp simd reduction(+ : square_sum, magnitude_sum, broken))
    for (ptrdiff_t c = 0; c < n; c++) {
        const real old = w[c];
        const real sign = (real)(old > 0) - (real)(old < 0);
        const real step = f.rate * (f.scale * gradient[c] + f.l2 * old + f.l1 * sign);
        real change = step;
        if (kind == FM_ONE_STEP) { /* memory holds the previous step alone (article M8) */
            change += f.momentum * memory[c];
            memory[c] = step;
        } else if (kind == FM_CLASSICAL) {
            change += f.momentum * memory[c];
            memory[c] = change;
        } else if (kind == FM_NESTEROV) { /* Sutskever et al. (2013), in the form of PyTorch */
            const real velocity = step + f.momentum * memory[c];
            memory[c] = velocity;
            change += f.momentum * velocity;
        }
        const real new = old - change;
        square_sum += old * old;
        magnitude_sum += REAL_ABS(old);
        broken += !(REAL_ABS(new) <= REAL_MAX);
        lane0[c] = old;
        w[c] = new;
    }
    *squares += (double)square_sum;
    *magnitudes += (double)magnitude_sum;
    return broken;
}

#define NO_MEMORY (-1)

static int update_any(real *w, real *memory, real *lane0, const real *gradient, ptrdiff_t n,
                      factors_t f, int kind, double *squares, double *magnitudes)
{
    switch (memory ? kind : NO_MEMORY) {
    case FM_ONE_STEP:
        return update_tile(w, memory, lane0, gradient, n, f, FM_ONE_STEP, squares, magnitudes);
    case FM_CLASSICAL:
        return update_tile(w, memory, lane0, gradient, n, f, FM_CLASSICAL, squares, magnitudes);
    case FM_NESTEROV:
        return update_tile(w, memory, lane0, gradient, n, f, FM_NESTEROV, squares, magnitudes);
    default:
        return update_tile(w, memory, lane0, gradient, n, f, NO_MEMORY, squares, magnitudes);
    }
}

int FM_NAME(sgd_update)(real *w, real *memory, double *row_penalty_out, real *lanes,
                        ptrdiff_t lane_stride, ptrdiff_t n_lanes, ptrdiff_t n_rows,
                        ptrdiff_t n_cols, const fm_sgd *rule)
{
    const factors_t weights = {(real)rule->learning_rate, (real)rule->momentum,
                               (real)rule->gradient_scale, (real)rule->l2, (real)rule->l1};
    factors_t bias = weights;
    bias.l1 = bias.l2 = 0;
    int broken = 0;
    for (ptrdiff_t j = 0; j < n_rows; j++) {
        double squares = 0, magnitudes = 0, ignored = 0;
        for (ptrdiff_t begin = 0; begin < n_cols;) {
            /* The bias column is a tile of its own. */
            const ptrdiff_t rest = n_cols - begin;
            const ptrdiff_t n = begin == 0 ? 1 : rest < TILE ? rest : TILE;
            const ptrdiff_t at = j * n_cols + begin;
            real gradient[TILE];
            sum_lanes(gradient, lanes + at, lane_stride, n_lanes, n);
            broken += update_any(w + at, memory ? memory + at : NULL, lanes + at, gradient, n,
                                 begin ? weights : bias, rule->kind, begin ? &squares : &ignored,
                                 begin ? &magnitudes : &ignored);
            begin += n;
        }
        /* Without a penalty the sums are not looked at: they may overflow before the weights do. */
        row_penalty_out[j] = (rule->l2 > 0 ? 0.5 * rule->l2 * squares : 0) +
                             (rule->l1_cost > 0 ? rule->l1_cost * magnitudes : 0);
        broken += !(row_penalty_out[j] <= DBL_MAX);
    }
    return broken == 0;
}
