"""L-BFGS of SciPy on a Trainer's cost over all rows."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.callbacks.base import Callback, as_epoch_callbacks
from fastmlp.engine.rows import Rows
from fastmlp.exceptions import ResumeError
from fastmlp.training.checkpoints.document import SavedTraining
from fastmlp.training.checkpoints.fingerprint import DATA_NAMES, Fingerprint
from fastmlp.training.checkpoints.keeper import Keeper
from fastmlp.training.checkpoints.search import MAX_BYTES, Evaluations, checksum
from fastmlp.training.loop import Listeners, NothingKept, keeper_of
from fastmlp.training.protocol import NetworkTraining


class _Iterations:
    """Functions called by SciPy: cost and gradient at a point, and the end of an iteration.

    Attributes
    ----------
    point : ndarray of shape (n_parameters,)
        The last iterate that is finite. In between the network has the points that are tried.
    evaluations : Evaluations
        What has been evaluated, recorded where there are checkpoints.
    """

    def __init__(
        self,
        trainer: NetworkTraining,
        rows: Rows,
        listeners: Listeners,
        keeper: Keeper | NothingKept,
        max_iter: int,
    ) -> None:
        self.trainer, self.rows, self.max_iter = trainer, rows, max_iter
        self.listeners, self.keeper = listeners, keeper
        self.gradient = np.empty_like(trainer.network.parameters)
        self.begun = False
        self.n_evaluations = self.n_iterations = 0
        self.start = time.perf_counter()
        progress = keeper.restore()
        listeners.ended = listeners.ended_for_good = keeper.was_ended
        if isinstance(progress, Evaluations):
            self.evaluations = progress
        else:
            self.evaluations = Evaluations(trainer.network.parameters.astype(np.float64))
            keeper.take_snapshot(self.evaluations, ended=False)
        self.n_saved, self.n_saved_iterations = len(self.evaluations.recorded), trainer.epochs_done
        self.point = self.evaluations.start

    @property
    def is_replay(self) -> bool:
        """Whether recorded evaluations of the checkpoint are being replayed."""
        return self.n_evaluations < self.n_saved or self.n_iterations < self.n_saved_iterations

    @property
    def is_at_start(self) -> bool:
        """Whether callbacks have still to be called for the first iteration."""
        saved = self.keeper.saved
        return saved is None or (saved.epochs_done, saved.under_way) == (0, False)

    def cost(self, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return cost and gradient at `point`, which becomes the network's parameters."""
        self.trainer.network.parameters[...] = point
        if self.n_evaluations < self.n_saved:
            cost = self._replay(point)
        else:
            cost = self.trainer.objective.gradient(self.rows, self.gradient)
        if not (self.begun or (math.isfinite(cost) and np.isfinite(self.gradient).all())):
            fault = self.trainer.objective.fault_of_loss(self.rows)
            raise ValueError(
                "the cost at the starting point must be finite, and so must its gradient; got a "
                f"cost of {cost}" + (f": {fault}" if fault else ". Scale the input and the targets")
            )
        self.begun = True
        if self.keeper.is_saving and self.n_evaluations >= self.n_saved:
            self._remember(point, cost)
        self.n_evaluations += 1
        return cost, self.gradient.astype(np.float64)

    def _replay(self, point: NDArray[np.float64]) -> float:
        known, cost, self.gradient[...] = self.evaluations.recorded[self.n_evaluations]
        if known != checksum(point):
            self._refuse(f"point of evaluation {self.n_evaluations}", "one", "another")
        return cost

    def _remember(self, point: NDArray[np.float64], cost: float) -> None:
        """Record an evaluation, and write a checkpoint if one is due."""
        self.evaluations.add(point, cost, self.gradient)
        if self.evaluations.n_bytes > MAX_BYTES:
            warnings.warn(
                f"no more checkpoints are written: the {self.n_evaluations + 1} gradients of this "
                f"search need more than {MAX_BYTES >> 20} MB. Another solver needs no such memory",
                stacklevel=2,
            )
            self.keeper.stop_saving()
        if self.keeper.seconds_left <= 0:
            self.trainer.network.parameters[...] = self.point  # the one tried may be infinite
            self.keeper.write_if_due()

    def _refuse(self, what: str, then: str, now: str) -> None:
        saved = self.keeper.saved
        raise ResumeError("" if saved is None else saved.path, {what: (then, now)})

    def accept(self, point: NDArray[np.float64]) -> None:
        """Accept a finite point as the last iterate."""
        if np.isfinite(point).all():
            self.point = point.copy()

    def begin(self) -> None:
        """Notify of the begin of an iteration."""
        self.listeners.notify_epoch_begin()
        self.keeper.take_snapshot(self.evaluations, under_way=True, ended=False)

    def end(self, intermediate_result: Any) -> None:
        """Notify of the end of an iteration; SciPy calls it by the argument's name."""
        trainer, listeners, keeper = self.trainer, self.listeners, self.keeper
        trainer.network.parameters[...] = intermediate_result.x
        self.accept(intermediate_result.x)
        self.n_iterations += 1
        if self.n_iterations <= self.n_saved_iterations:
            self._end_again()
            return
        trainer.epochs_done += 1
        cost, now = float(intermediate_result.fun), time.perf_counter()
        loss = cost - trainer.objective.penalty_share(self.rows)
        seconds, self.start = now - self.start, now
        trainer.metrics = {"cost": cost, "loss": loss, "learning_rate": np.nan, "seconds": seconds}
        listeners.notify_epoch_end()
        keeper.take_snapshot(self.evaluations, ended=listeners.ended_for_good)
        keeper.write_after_epoch()
        if listeners.ended:
            raise StopIteration
        if self.n_iterations < self.max_iter:
            self.begin()

    def _end_again(self) -> None:
        """Replay the end of an iteration that callbacks saw before the checkpoint."""
        saved = self.keeper.saved
        assert saved is not None
        if self.n_iterations == self.n_saved_iterations:
            if self.listeners.ended:
                raise StopIteration
            if not saved.under_way and self.n_iterations < self.max_iter:
                self.begin()

    def check_replay(self) -> None:
        """Raise an error for a search that ends before the checkpoint."""
        if self.is_replay:
            self._refuse(
                "end of the search", f"beyond evaluation {self.n_saved}", str(self.n_evaluations)
            )


def minimize(
    trainer: NetworkTraining,
    rows: Rows,
    *,
    max_iter: int,
    max_fun: int,
    gtol: float,
    callbacks: Iterable[Callback] = (),
    fingerprint: Fingerprint | None = None,
    saved: SavedTraining | None = None,
) -> Any:
    """Move the network's parameters to a minimum of ``trainer.objective(rows)`` by L-BFGS-B.

    However the search ends, even by an exception, the network keeps its last finite iterate.

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
    fingerprint : Fingerprint or None
        What checkpoints are compared by; None for the rows alone.
    saved : SavedTraining or None
        The checkpoint to continue from.

    Returns
    -------
    scipy.optimize.OptimizeResult
        With ``status`` 0 after convergence and where a callback ended the search; ``x`` may be
        not finite.

    Raises
    ------
    ValueError
        If the cost at the starting point, or its gradient, is not finite.
    ResumeError
        Where the checkpoint is of another search.

    References
    ----------
    R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound constrained
    optimization" (1995).
    """
    from scipy.optimize import minimize as scipy_minimize

    calls = as_epoch_callbacks(callbacks)
    listeners = Listeners(trainer, calls)
    fingerprint = fingerprint or Fingerprint(dict(zip(DATA_NAMES, rows, strict=True)))
    fingerprint = replace(fingerprint, settings={**fingerprint.settings, "gtol": gtol})
    keeper = keeper_of(trainer, calls, None, fingerprint, saved, solver="lbfgs", n_epochs=max_iter)
    with (
        keeper.folders(),
        trainer.objective.blas_guard(),
        listeners.around(),
        keeper.interruptible(),
    ):
        search = _Iterations(trainer, rows, listeners, keeper, max_iter)
        try:
            if search.is_at_start:
                search.begin()
            result = scipy_minimize(
                search.cost,
                search.point,  # SciPy wants float64, also of a float32 network
                method="L-BFGS-B",
                jac=True,
                callback=search.end,
                options={"maxiter": max_iter, "maxfun": max_fun, "gtol": gtol},
            )
            search.accept(result.x)
            search.check_replay()
        finally:
            trainer.network.parameters[...] = search.point
        keeper.finish()
    if listeners.ended:
        result.status = 0
    return result
