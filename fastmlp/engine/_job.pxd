"""What a run works on: a network, its data, the run itself and its scratch."""
from libc.stdint cimport int32_t, uint64_t

from fastmlp.engine._kernels cimport fm_piece, fm_rule, fm_totals

cdef extern from "<stdatomic.h>" nogil:
    ctypedef size_t atomic_uintptr_t
    size_t take_pointer "atomic_exchange" (atomic_uintptr_t *, size_t)
    ctypedef int atomic_int
    int atomic_exchange(atomic_int *, int)
    int atomic_load(atomic_int *)
    void atomic_store(atomic_int *, int)

cdef struct Layer:
    Py_ssize_t n_in, n_out
    Py_ssize_t stride          # of the rows of its activations and deltas
    Py_ssize_t public          # offset of its (n_out, n_in + 1) matrix in the public parameters
    Py_ssize_t padded_bias, padded_weights, padded_stride   # where they lie in a padded vector
    Py_ssize_t bias, weights, weight_stride                 # where this call's Weights have them
    Py_ssize_t packed          # offset of W^T (n_in, stride), if copied
    Py_ssize_t panels          # offset of its panels in those of a Predictor
    Py_ssize_t activation, delta, slope                     # offsets in a scratch; slope or -1
    double dropout
    int function
    bint narrow                # products by narrow.c
    bint blas                  # products by BLAS alone, however few the rows
    bint sparse                # products by sparse.c; its padded weights are W^T (n_in, stride)
    bint copied                # the forward product wants W^T, and it is not there already

cdef struct Weights:           # what a forward and a backward pass read
    void *matrices
    void *biases

cdef struct Block:             # plan.Block; the update may run over the padding of a lane
    Py_ssize_t layer, row, n_rows, column, n_columns, n_updated_columns, n_updated_biases

cdef struct Plan:              # plan.BatchPlan
    Py_ssize_t n_rows, n_lanes, lane_rows, chunk_rows, n_totals
    bint blocks

cdef struct Network:           # and its weights
    Layer *layers
    Py_ssize_t n_layers, n_features, n_out, n_padded, widest
    Py_ssize_t widest_stride
    int loss
    void *loss_parameters      # (n_out) or NULL
    void *parameters           # the public ones
    void *vectors              # two padded vectors, of which a step reads one and writes the other
    void *states               # padded
    void *packed               # transposed matrices of the layers that are copied
    void *biases               # of an evaluation
    int n_states

cdef struct Data:              # x (n_rows, n_features), targets (n_rows, n_out), C order
    void *x                    # or sparse: the values of row i in columns[row_begin[i]] and so on
    int32_t *columns
    Py_ssize_t *row_begin
    bint sparse                # the first layer is multiplied by the values alone
    int32_t *touched           # the columns that occur, if `columns` counts these alone, or NULL
    Py_ssize_t n_touched
    void *targets
    void *sample_weights
    void *out
    Py_ssize_t *order          # row of each position of the epoch, or NULL for 0, 1, ...
    Py_ssize_t n_rows
    bint gathers               # rows are copied side by side, input_stride apart
    Py_ssize_t input_stride

cdef struct Step:              # a batch that is under way
    void *old                  # padded weights that it reads
    void *new                  # and those that it writes
    Plan *plan
    Py_ssize_t begin           # position of its first row in the epoch
    fm_rule rule

cdef struct Run:
    Py_ssize_t batch_size, first_batch, last_batch, n_steps
    Plan full, short_last
    Block *blocks
    Py_ssize_t n_blocks
    fm_rule rule
    bint training, mean_reduction, scales_epsilon
    double max_norm            # or 0
    uint64_t dropout_seed
    int penalty_scale
    double *costs
    double *penalties
    double *errors
    double *accuracies
    Step step
    atomic_int stop, broken    # of all workers
    int status
    fm_totals total            # of a gradient
    Py_ssize_t batches_done
    Py_ssize_t *progress       # of the caller, or NULL
    double next_poll
    uint64_t float_mode        # in which Python's code runs
    void *engine

cdef struct Scratch:
    char *matrices             # of the layers, per worker or for the whole batch
    Py_ssize_t matrices_bytes, inputs
    char *own                  # of a worker: the output layer feature-major, a block's gradient
    Py_ssize_t own_bytes, row_stride, output_at, output_delta_at, targets_at, sample_weights_at
    Py_ssize_t block_at, block_bias_at, turned_at, columns_at
    void *lanes                # of gradients
    Py_ssize_t lane_stride
    fm_totals *totals          # per lane or chunk
    double *block_penalties
    double *block_squares

cdef struct Shards:            # of a sharded run: shards.py; without one n_own is 0
    Py_ssize_t n_shards, first, n_own, n_slots, n_rows, lane_rows, n_before, n_after
    Py_ssize_t *lanes          # per batch and own shard: first position, rows, first row of the masks
    Py_ssize_t *batch_rows     # of all shards
    Py_ssize_t *before         # pairs of slots: the second is added to the first
    Py_ssize_t *after          # once the slots of other processes are filled
    Py_ssize_t *additions      # those that are under way, n_additions
    Py_ssize_t n_additions
    bint exchanges

cdef struct Columns:           # those that occur in a batch, rising, and where the values of each begin
    int32_t *touched
    Py_ssize_t *starts
    Py_ssize_t n

cdef struct Sparse:            # a batch by column: sparse_transpose in kernels.h
    Columns now, before        # of this step and of the one before
    int32_t *rows
    void *values
    Py_ssize_t *places
    uint64_t *marks
    Py_ssize_t tile_columns    # whose gradients are summed and then used at once
    bint lazy                  # the update changes no weights of columns that do not occur
    bint in_lane, accumulate   # the whole gradient is wanted before the update; it has a part already

ctypedef void (*Pass)(Job *job, int n_workers) noexcept nogil

cdef struct Passes:            # those of the network's precision
    Pass train
    fm_piece rows, gradients, squares, update, chunk, add   # what workers share

cdef struct Job:
    Passes passes
    Network network
    Data data
    Run run
    Scratch scratch
    Sparse sparse
    Shards shards

cdef struct Prediction:        # of dense rows, by one call; several run at once
    Network *network
    void *parameters
    void *panels               # of all layers, or NULL
    char *x                    # (n_rows, n_features) of the other precision if `converts`
    void *out                  # (n_rows, n_out)
    bint converts
    Py_ssize_t n_rows, chunk_rows
    char *scratch
    Py_ssize_t scratch_bytes   # of each worker
    atomic_int stop, broken
    double next_poll
    void *interruption         # a reference to the exception of a signal handler, or NULL
