"""L-BFGS of SciPy on a Trainer's cost over all rows."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.callbacks import Callback, around_training, as_epoch_callback

if TYPE_CHECKING:
    from fastmlp.trainer import Rows, Trainer


class _Iterations:
    """What SciPy calls: the cost and its gradient at a point, and the end of an iteration.

    Attributes
    ----------
    point : ndarray of shape (n_parameters,)
        The last iterate that is finite. In between the network has the points that are tried.
    """

    def __init__(self, trainer: Trainer, rows: Rows, callbacks: Iterable[Callback]) -> None:
        self.trainer, self.rows = trainer, rows
        self.calls = [as_epoch_callback(call) for call in callbacks]
        self.gradient = np.empty_like(trainer.network.parameters)
        self.point = trainer.network.parameters.astype(np.float64)
        self.begun = self.stopped = False
        self.start = time.perf_counter()

    def cost(self, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Cost and gradient at `point`, which becomes the network's parameters."""
        self.trainer.network.parameters[...] = point
        cost = self.trainer.objective(self.rows, self.gradient)
        if not (self.begun or (math.isfinite(cost) and np.isfinite(self.gradient).all())):
            fault = self.trainer.fault_of_loss(self.rows)
            raise ValueError(
                "the cost at the starting point must be finite, and so must its gradient; got a "
                f"cost of {cost}" + (f": {fault}" if fault else ". Scale the input and the targets")
            )
        self.begun = True
        return cost, self.gradient.astype(np.float64)

    def accept(self, point: NDArray[np.float64]) -> None:
        """Take a point for an iterate."""
        if np.isfinite(point).all():
            self.point = point.copy()

    def begin(self) -> None:
        """Before an iteration."""
        for call in self.calls:
            call.before_epoch(self.trainer)

    def end(self, intermediate_result: Any) -> None:
        """After an iteration; SciPy goes by the argument's name."""
        trainer = self.trainer
        trainer.network.parameters[...] = intermediate_result.x
        self.accept(intermediate_result.x)
        trainer.epochs_done += 1
        cost, now = float(intermediate_result.fun), time.perf_counter()
        loss = cost - trainer.penalty_share(self.rows)
        seconds, self.start = now - self.start, now
        trainer.metrics = {"cost": cost, "loss": loss, "learning_rate": np.nan, "seconds": seconds}
        if any([call.after_epoch(trainer) is True for call in self.calls]):
            self.stopped = True
            raise StopIteration
        self.begin()


def minimize(
    trainer: Trainer,
    rows: Rows,
    *,
    max_iter: int,
    max_fun: int,
    gtol: float,
    callbacks: Iterable[Callback] = (),
) -> Any:
    """Move the network's parameters to a minimum of ``trainer.objective(rows)`` by L-BFGS-B.

    However the search ends, also by an exception, the network has its last finite iterate.

    Parameters
    ----------
    rows : Rows
        Trusted.
    max_iter, max_fun : int >= 1
        Iterations and evaluations of the cost at most.
    gtol : float >= 0
        Ends where no component of the gradient is larger.
    callbacks : iterable
        As in ``Trainer.train``, with an iteration as epoch.

    Returns
    -------
    scipy.optimize.OptimizeResult
        With ``status`` 0 after convergence and where a callback ended the search; ``x`` may be
        not finite.

    Raises
    ------
    ValueError
        If the cost at the starting point, or its gradient, is not finite.

    References
    ----------
    R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound constrained
    optimization" (1995).
    """
    from scipy.optimize import minimize as scipy_minimize

    run = _Iterations(trainer, rows, callbacks)
    with trainer.blas_guard(), around_training(run.calls, trainer):
        try:
            run.begin()
            result = scipy_minimize(
                run.cost,
                run.point,  # SciPy wants float64, also of a float32 network
                method="L-BFGS-B",
                jac=True,
                callback=run.end,
                options={"maxiter": max_iter, "maxfun": max_fun, "gtol": gtol},
            )
            run.accept(result.x)
        finally:
            trainer.network.parameters[...] = run.point
    if run.stopped:
        result.status = 0
    return result
