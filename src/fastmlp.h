/* fastmlp: the whole C interface.
 *
 * The kernels of an MLP training step, one function pointer each (kernels.h), and a thread team.
 *
 * Conventions. A chunk's activations and deltas are sample-major: the nodes of a layer side by side
 * in rows padded to a multiple of 16, so that whole vectors can be read and written everywhere.
 * Costs and gradients are sums over the batch, as in the articles.
 *
 * No kernel allocates, prints, raises or keeps state.
 */
#ifndef FASTMLP_H
#define FASTMLP_H

#include <stddef.h>
#include <stdint.h>

enum fm_function {
    FM_SIGMOID, FM_TANH, FM_RELU, FM_IDENTITY,
    FM_LEAKY_RELU, FM_ELU, FM_SELU, FM_SOFTPLUS,    /* hidden layers */
    FM_GELU, FM_SILU,                               /* hidden layers, with f'(z) from z */
    FM_SOFTMAX, FM_EXPONENTIAL, FM_INCREASING,      /* output layers */
};
enum fm_loss {
    FM_LOG_LOSS, FM_CROSS_ENTROPY, FM_SQUARED_ERROR, FM_BRIER, FM_ABSOLUTE_ERROR, FM_HUBER,
    FM_QUANTILE, FM_POISSON, FM_GAMMA,
};
enum fm_kind { FM_PLAIN, FM_ONE_STEP, FM_CLASSICAL, FM_NESTEROV, FM_ADAM, FM_RMSPROP };
enum fm_level { FM_BASELINE, FM_AVX2, FM_AVX512, FM_LEVELS };

/* What one pass over the output layer adds up (sums over rows and outputs, weighted by row). */
typedef struct {
    double loss;   /* sum of the loss */
    double error;  /* sum of |y - a| */
    double weight; /* sum of the sample weights, or the number of rows */
    double n_correct;   /* weighted number of rows whose largest output is the largest target */
} fm_totals;

/* What an update does with a gradient g = gradient_scale * (sum of the lanes) + l2 w + l1 sign(w);
 * fastmlp/optimizers.py has the formulas. */
typedef struct {
    double learning_rate;  /* adam: divided by 1 - beta_1^t */
    double gradient_scale; /* 1 for sums, 1 / (sum of sample weights) for means */
    double l2;             /* gradient l2 * w, bias excluded */
    double l1;             /* gradient l1 * sign(w), bias excluded */
    double l1_cost;        /* cost l1_cost * |w|; l1, or l1 / 2 as the articles print it */
    double l2_cost;        /* cost l2_cost / 2 * w^2; l2, unless the gradient is clipped */
    double momentum;
    double beta_1, beta_2, epsilon; /* adam and, beta_2 being its rho, rmsprop */
    double root_scale;     /* adam: 1 / sqrt(1 - beta_2^t) */
    double keep;           /* adam: 1 - learning_rate * weight_decay */
    int kind;              /* enum fm_kind */
} fm_rule;

/* Room for turned deltas, for which kernels.h asks: it stays in L2. */
enum { FM_TURNED_BYTES = 96 * 512 };

#define KERNEL(result, name, ...) result (*name)(__VA_ARGS__);
typedef struct {
#define FM_REAL float
#include "kernels.h"
#undef FM_REAL
} fm_kernels_f32;
typedef struct {
#define FM_REAL double
#include "kernels.h"
#undef FM_REAL
} fm_kernels_f64;
#undef KERNEL

/* "baseline" and, where they were compiled in, "avx2" and "avx512"; on aarch64 "neon" alone. NULL for
 * all others. */
const char *fm_level_name(int level);
/* The highest level that this processor and operating system can run. */
int fm_best_level(void);
/* The kernels in use: the baseline's until fm_select_level chooses others, which returns 0 and
 * changes nothing for a level that was not compiled in or cannot run here. */
extern const fm_kernels_f32 *fm_f32;
extern const fm_kernels_f64 *fm_f64;
int fm_select_level(int level);
/* Those for the numbers that `pointer` points to, chosen by the compiler. */
#define FM_KERNELS_OF(pointer) _Generic(*(pointer), float: fm_f32, double: fm_f64)

/* out = a random order of 0 .. n - 1 that depends on the seed alone. */
void fm_permutation(ptrdiff_t *out, ptrdiff_t n, uint64_t seed);

/* The thread team, one per process. Between fm_team_enter and fm_team_leave, which both take place in
 * one thread, fm_team_share calls task(context, piece, worker) once for every piece from 0 to
 * n_pieces - 1, and returns when all calls have returned. Worker 0 is the caller; no two calls have
 * the same worker at the same time, and worker < n_workers, the result of fm_team_enter: at most
 * n_wanted, and 1 where threads cannot be had or another thread has entered. A forked child starts
 * with a team of its own. */
typedef void (*fm_piece)(void *context, ptrdiff_t piece, int worker);
int fm_team_enter(int n_wanted);
void fm_team_share(int n_workers, fm_piece task, void *context, ptrdiff_t n_pieces);
void fm_team_leave(int n_workers);

#endif
