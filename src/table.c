/* The function pointers of one precision and level, in one place. */
#include "real.h"

void FM_NAME(bias_activation)(real *, ptrdiff_t, const real *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int);
void FM_NAME(activation_backward)(real *, real *, ptrdiff_t, const real *, ptrdiff_t, ptrdiff_t,
                                  ptrdiff_t, int, int);
void FM_NAME(bias_activation_rows)(real *, ptrdiff_t, const real *, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                                   int);
void FM_NAME(activation_backward_rows)(real *, real *, ptrdiff_t, const real *, ptrdiff_t, ptrdiff_t,
                                       ptrdiff_t, int, int);
void FM_NAME(pack_weights)(real *, ptrdiff_t, const real *, ptrdiff_t, ptrdiff_t);
void FM_NAME(narrow_forward)(real *, ptrdiff_t, const real *, const ptrdiff_t *, const real *,
                             ptrdiff_t, ptrdiff_t);
void FM_NAME(narrow_gradient)(real *, ptrdiff_t, const real *, ptrdiff_t, const real *,
                              const ptrdiff_t *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int);
void FM_NAME(output_loss)(real *, real *, real *, ptrdiff_t, fm_totals *, const real *, ptrdiff_t,
                          const real *, const real *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int, int, int);
int FM_NAME(sgd_update)(real *, real *, double *, real *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                        const fm_sgd *);
void FM_NAME(gather_rows)(real *, const real *, const ptrdiff_t *, ptrdiff_t, ptrdiff_t);
void FM_NAME(gather_transposed)(real *, ptrdiff_t, const real *, const ptrdiff_t *, ptrdiff_t,
                                ptrdiff_t);
void FM_NAME(scatter_transposed)(real *, const real *, ptrdiff_t, ptrdiff_t, ptrdiff_t);
void FM_NAME(apply_exp)(real *, const real *, ptrdiff_t);
void FM_NAME(apply_log)(real *, const real *, ptrdiff_t);
void FM_NAME(apply_sigmoid)(real *, const real *, ptrdiff_t);
void FM_NAME(apply_tanh)(real *, const real *, ptrdiff_t);
void FM_NAME(apply_softplus)(real *, const real *, ptrdiff_t);

#define ENTRY(name) .name = FM_NAME(name)

const FM_TABLE_TYPE FM_NAME(table) = {
    ENTRY(bias_activation),
    ENTRY(activation_backward),
    ENTRY(bias_activation_rows),
    ENTRY(activation_backward_rows),
    ENTRY(pack_weights),
    ENTRY(narrow_forward),
    ENTRY(narrow_gradient),
    ENTRY(output_loss),
    ENTRY(sgd_update),
    ENTRY(gather_rows),
    ENTRY(gather_transposed),
    ENTRY(scatter_transposed),
    ENTRY(apply_exp),
    ENTRY(apply_log),
    ENTRY(apply_sigmoid),
    ENTRY(apply_tanh),
    ENTRY(apply_softplus),
};
