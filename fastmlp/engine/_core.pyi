"""The readable face of the compiled engine.

Arrays named x, targets, sample_weights, parameters and states are C-ordered, aligned and of the
engine's dtype: ``_checks`` has checked their numbers, and the engine compares their sizes and types
once a call (ValueError). The caller enters ``single_threaded_blas``, which products rely on
(``fastmlp.engine.blas.single_threaded_blas``).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.engine.plan import BatchPlan, NetworkPlan
from fastmlp.engine.rows import SparseRows
from fastmlp.engine.shards import Shards
from fastmlp.losses import Loss
from fastmlp.optimizers import Optimizer

FUNCTIONS: dict[str, int]
LOSSES: dict[str, int]
UPDATES: dict[str, int]
LEVELS: dict[str, int]
"""SIMD levels by name, lowest first."""

DONE: int
INTERRUPTED: int
DIVERGED: int
"""What ``Engine.train`` can end with."""

def best_level() -> str:
    """Name of the highest SIMD level this processor can run."""

def selected_level() -> str:
    """Name of the SIMD level in use: FASTMLP_SIMD at import, else the best."""

def select_level(name: str, *, argument: str = "name") -> None:
    """Use the kernels of one level from now on.

    ValueError, about `argument`, for unknown names and for levels this processor cannot run.
    """

def permutation(n: int, seed: int) -> NDArray[np.intp]:
    """A random order of 0 … n - 1, (n,); `seed` is any integer from 0 to 2**64 - 1."""

def apply(name: str, x: Array) -> Array:
    """A new array with exp, log, sigmoid, tanh or softplus of every element of `x`."""

def norm(x: Array) -> float:
    """Square root of the sum of all squares of a C-ordered float32 or float64 array."""

def multiply_adds(n_rounds: int) -> int:
    """Do independent float32 multiply-adds, without the GIL: the processor's highest rate.

    Returns the number of them in a round, which depends on the SIMD level.
    """

def add_blas(get: int, set: int, per_thread: bool) -> None:
    """Add a library by the addresses of the functions that read and set its thread count.

    RuntimeError when there are more than eight, or no memory is left.
    """

def blas_users() -> int:
    """Contexts of :class:`SingleThreadedBlas` that are entered at the moment."""

def restore_blas_after_fork() -> None:
    """Restore BLAS in a forked child, if all contexts belonged to threads that it does not have."""

class SingleThreadedBlas:
    """The added libraries use one thread in this context; may be nested, enter and leave in C.

    Nothing between taking and giving back runs Python code, so that a signal handler that raises
    cannot lose the setting.
    """

    def __enter__(self) -> None: ...
    def __exit__(self, *exception: object) -> None: ...

class Panels:
    """The weights of a network, packed by `Engine.fill_panels` for the SIMD level of then."""

class Engine:
    """Passes of one network of layer widths `sizes`.

    `functions` names the function of every layer after the input; `loss` a loss. One engine must
    not be used by two threads at once. Its buffers grow with the batches it sees.
    """

    sizes: tuple[int, ...]
    functions: tuple[str, ...]
    loss: Loss
    dtype: np.dtype[Any]
    n_threads: int
    network_plan: NetworkPlan
    """What the shapes decide; made here, unless an engine of the same network has it already."""
    uses_blas: bool
    """Whether BLAS computes the products, because `products` or FASTMLP_PRODUCTS asks for it."""

    def __init__(
        self,
        sizes: tuple[int, ...],
        functions: tuple[str, ...],
        loss: Loss,
        dtype: np.dtype[Any] | str,
        n_threads: int,
        network_plan: NetworkPlan | None = None,
        products: str = "auto",
    ) -> None: ...
    def plan(self, n_rows: int, blocks: bool | None = None) -> BatchPlan:
        """How a batch of `n_rows` is cut; `blocks` as in :func:`fastmlp.engine.plan.plan_batch`."""

    def time_looks(self, n: int) -> float:
        """Seconds that `n` looks for signals take, as the passes take them, for measurements."""

    def train(
        self,
        parameters: Array,
        states: Array,
        x: Array | SparseRows,
        targets: Array,
        *,
        order: NDArray[np.intp] | None,
        sample_weights: Array | None,
        batch_size: int,
        first_batch: int,
        last_batch: int,
        optimizer: Optimizer,
        learning_rate: float,
        n_steps: int,
        l1: float,
        l2: float,
        l1_cost: float,
        mean_reduction: bool,
        penalty_scale: str,
        costs: NDArray[np.float64],
        penalties: NDArray[np.float64],
        errors: NDArray[np.float64],
        accuracies: NDArray[np.float64],
        dropout: tuple[float, ...] = (),
        dropout_seed: int = 0,
        max_grad_norm: float = 0.0,
        progress: NDArray[np.intp] | None = None,
        shards: Shards | None = None,
    ) -> tuple[int, int, BaseException | None]:
        """Train on batches first_batch … last_batch - 1 of one epoch.

        Changes `parameters` (n_parameters,) and the optimizer's `states` (n_states, n_parameters;
        without momentum SGD has none to change) in place, and writes entry ``batch`` of `costs`
        (loss + penalty; mean loss with `mean_reduction`), `penalties`, `errors` (mean of |y - a|)
        and `accuracies` (fraction in [0, 1]).

        Parameters
        ----------
        x : (n, n_features); targets : (n, n_out); sample_weights : (n,) or None for all 1
        order : (n_taken,) row of each position of the epoch, or None for all in the order of `x`.
        n_steps : updates that the states have seen before this call.
        l1_cost : factor of sum |w| in the penalty; `l1` is its factor in the gradient.
        penalty_scale : factor of the penalty; "per_batch" 1, "per_sample" the batch's share of
            the n rows, "per_weight" 1 / (sum of the batch's sample weights).
        dropout : rate of each hidden layer, or () for none; dropout_seed : from 0 to 2**64 - 1.
        max_grad_norm : longest gradient, or 0 for any.
        progress : (1,) increased by the finished batches in the moment in which `parameters` and
            `states` change, so that whatever exception comes, they fit together.
        shards : of a sharded run, for dense rows; `batch_size` rows are then those of all shards,
            and the batches those of ``shards.lanes``. What its `exchange` raises ends the call as
            a signal does.

        Returns
        -------
        (status, batches finished, exception raised by a signal handler or None)
            With INTERRUPTED or DIVERGED the parameters are those after the last finished batch.
        """

    def gradient(
        self,
        parameters: Array,
        x: Array | SparseRows,
        targets: Array,
        sample_weights: Array | None,
        out: Array,
    ) -> tuple[float, float, float, float]:
        """Gradient of the summed loss of all rows, without penalty, into `out` (n_parameters,).

        Returns the totals of `evaluate`.
        """

    def evaluate(
        self,
        parameters: Array,
        x: Array | SparseRows,
        targets: Array,
        sample_weights: Array | None = None,
    ) -> tuple[float, float, float, float]:
        """Sums over all rows: loss, |y - a|, row weight, weight of rows classified correctly."""

    def predict(self, parameters: Array, x: Array | SparseRows, out: Array) -> bool:
        """Outputs of all rows into `out` (n, n_out); False if a dense `x` is not finite."""

    shared_rows: int
    """Number of rows from which on a prediction is worth a second thread."""

    def fill_panels(self, parameters: Array) -> Panels | None:
        """Pack the weights as `predict_dense` wants them for many rows; None if it never does."""

    def predict_dense(
        self,
        parameters: Array,
        x: object,
        out: Array | None = None,
        n_threads: int = 1,
        panels: Panels | None = None,
    ) -> Array | None:
        """Outputs (n, n_out) of dense rows, from any number of threads at once.

        None for anything but a finite, C-ordered array (n, n_features) of float32 or float64, an
        `out` that does not fit, and rows that only BLAS may multiply; the caller then goes the long
        way, which names what is wrong. `panels` of other weights give the outputs of those.
        """
