# Names of functions, losses, updates and SIMD levels, with their numbers in C; part of _core.pyx.

FUNCTIONS = {
    "sigmoid": FM_SIGMOID, "tanh": FM_TANH, "relu": FM_RELU, "identity": FM_IDENTITY,
    "leaky_relu": FM_LEAKY_RELU, "elu": FM_ELU, "selu": FM_SELU, "softplus": FM_SOFTPLUS,
    "gelu": FM_GELU, "silu": FM_SILU,
    "softmax": FM_SOFTMAX, "exponential": FM_EXPONENTIAL, "increasing": FM_INCREASING,
}
cdef enum: CUSTOM_LOSS = -1       # a Python function
LOSSES = {
    "log_loss": FM_LOG_LOSS, "cross_entropy": FM_CROSS_ENTROPY, "squared_error": FM_SQUARED_ERROR,
    "brier": FM_BRIER, "absolute_error": FM_ABSOLUTE_ERROR, "huber": FM_HUBER,
    "quantile": FM_QUANTILE, "poisson": FM_POISSON, "gamma": FM_GAMMA, "own": CUSTOM_LOSS,
}
UPDATES = {
    "one_step": FM_ONE_STEP, "classical": FM_CLASSICAL, "nesterov": FM_NESTEROV,
    "adam": FM_ADAM, "rmsprop": FM_RMSPROP,
}
cdef enum: PER_BATCH, PER_SAMPLE, PER_WEIGHT
_PENALTY_SCALES = {"per_batch": PER_BATCH, "per_sample": PER_SAMPLE, "per_weight": PER_WEIGHT}
LEVELS = {
    fm_level_name(level).decode(): level for level in range(FM_LEVELS) if fm_level_name(level) != NULL
}

cdef enum: OK = 0, STOPPED = 1, BROKEN = 2
DONE, INTERRUPTED, DIVERGED = OK, STOPPED, BROKEN

cdef uint64_t LAYER_KEY = 0x9e3779b97f4a7c15  # between the dropout keys of two layers
cdef double POLL_SECONDS = 0.05
cdef Py_ssize_t OWN_ROWS = planner.OWN_ROWS
cdef Py_ssize_t PANEL_BATCH_ROWS = planner.PANEL_BATCH_ROWS
cdef Py_ssize_t FEATURE_ROWS = planner.FEATURE_ROWS
cdef Py_ssize_t FEWEST_FEATURE_ROWS = planner.FEWEST_FEATURE_ROWS
cdef Py_ssize_t MOST_FEATURE_CHUNKS = planner.MOST_FEATURE_CHUNKS
cdef Py_ssize_t FEATURE_NODES = planner.FEATURE_NODES
cdef enum: SHORT_FLOP = 200000   # of a prediction that keeps the GIL
cdef enum: SHORT_TRAINING_FLOP = 1000000   # of a training or an evaluation: 20 to 100 microseconds

cdef Py_ssize_t MOST_ROWS = planner.MOST_ROWS
cdef char INT32 = ord(memoryview(np.zeros(1, np.int32)).format)
cdef char INTP = ord(memoryview(np.zeros(1, np.intp)).format)


cdef int _level = FM_BASELINE
cdef bint _has_32_registers = False


def best_level():
    """Name of the highest SIMD level this processor can run."""
    return {code: name for name, code in LEVELS.items()}[fm_best_level()]


def select_level(str name, *, str argument="name"):
    """Use the kernels of one SIMD level, a name of LEVELS, from now on."""
    global _level, _has_32_registers
    if name not in LEVELS:
        raise ValueError(f"{argument} must be one of {', '.join(LEVELS)}; got {name!r}")
    if LEVELS[name] > fm_best_level():
        raise ValueError(
            f"{argument} must be at most {best_level()!r} on this processor; got {name!r}")
    _level, _has_32_registers = LEVELS[name], name in ("avx512", "neon")
    fm_select_level(_level)


def selected_level():
    """Name of the SIMD level in use."""
    return fm_level_name(_level).decode()


try:
    select_level(os.environ.get("FASTMLP_SIMD") or best_level(), argument="FASTMLP_SIMD")
except ValueError:  # told by level.py when a network is made: here it would be a traceback
    select_level(best_level())
