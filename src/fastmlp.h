/* fastmlp: the whole C interface.
 *
 * Fused element-wise passes of an MLP training step, one function pointer each, and a thread team.
 * Matrix products are not here: the Cython module calls BLAS gemm between these passes.
 *
 * Conventions. Activations and deltas of a chunk of rows are feature-major: `a` is (n_out, batch),
 * sample r of feature j at a[j * stride + r], so that every pass is unit-stride along the batch and
 * fills the vector registers whatever the width of the layer. Only a narrow first layer is
 * sample-major, (batch, stride) with stride a multiple of 16, as its product leaves it. Weights are (n_out, n_in + 1) with the
 * bias in column 0. Costs and gradients are sums over the batch, as in the articles.
 *
 * No kernel allocates, prints, raises or keeps state. Sizes may be zero.
 */
#ifndef FASTMLP_H
#define FASTMLP_H

#include <stddef.h>
#include <stdint.h>

enum fm_function { FM_SIGMOID, FM_TANH, FM_RELU, FM_IDENTITY, FM_SOFTMAX };
enum fm_loss { FM_LOG_LOSS, FM_CROSS_ENTROPY, FM_SQUARED_ERROR };
enum fm_momentum { FM_ONE_STEP, FM_CLASSICAL, FM_NESTEROV };
enum fm_level { FM_BASELINE, FM_AVX2, FM_AVX512, FM_LEVELS };

/* Widest first layer that the kernels of gemm_narrow.c take. */
#define FM_NARROW_MAX 128

/* What one pass over the output layer adds up (sums over rows and outputs, weighted by row). */
typedef struct {
    double loss;   /* sum of the loss */
    double error;  /* sum of |y - a| */
    double weight; /* sum of the row weights, or the number of rows */
    double hits;   /* weighted number of rows whose largest output is the largest target */
} fm_totals;

/* Gradient descent with momentum. `step` is learning_rate * (gradient_scale * gradient + penalty'). */
typedef struct {
    double learning_rate;
    double momentum;
    double gradient_scale; /* 1 for sums, 1 / (sum of row weights) for means */
    double l2;             /* penalty l2 / 2 * w^2, bias excluded */
    double l1;             /* gradient l1 * sign(w), bias excluded */
    double l1_cost;        /* cost l1_cost * |w|; l1, or l1 / 2 as the articles print it */
    int kind;              /* enum fm_momentum */
} fm_sgd;

#define FM_REAL float
#define FM_TABLE fm_kernels_f32
#include "kernel_table.h"
#define FM_REAL double
#define FM_TABLE fm_kernels_f64
#include "kernel_table.h"

/* The highest level that this processor and operating system can run. */
int fm_best_level(void);
/* The kernels in use: the baseline's until fm_select_level chooses others, which returns 0 and
 * changes nothing for a level that was not compiled in or cannot run here. */
extern const fm_kernels_f32 *fm_f32;
extern const fm_kernels_f64 *fm_f64;
int fm_select_level(int level);

/* The thread team. One per process; workers sleep between runs.
 * fm_team_run calls task(context, worker, n_workers) on up to `n_wanted` threads, worker 0 being the
 * caller, and returns when all have returned. When the team is busy with another caller, or threads
 * cannot be had, the task runs with fewer workers, down to the caller alone. A forked child starts
 * with a team of its own. */
typedef void (*fm_task)(void *context, int worker, int n_workers);
int fm_team_run(fm_task task, void *context, int n_wanted);
/* All workers of the current run wait for each other. Only to be called inside a task, with the
 * n_workers that the task was given. */
void fm_team_barrier(int n_workers);

#endif
