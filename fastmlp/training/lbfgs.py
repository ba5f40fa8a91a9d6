"""L-BFGS of SciPy on a Trainer's cost over all rows."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.callbacks.base import Callback, as_epoch_callback
from fastmlp.exceptions import ResumeError
from fastmlp.training.checkpoints.identity import DATA_NAMES, Identity
from fastmlp.training.checkpoints.keeper import Run
from fastmlp.training.checkpoints.search import MAX_BYTES, Evaluations, checksum

if TYPE_CHECKING:
    from fastmlp.engine.rows import Rows
    from fastmlp.training.trainer import Trainer


class _Iterations:
    """What SciPy calls: the cost and its gradient at a point, and the end of an iteration.

    Attributes
    ----------
    point : ndarray of shape (n_parameters,)
        The last iterate that is finite. In between the network has the points that are tried.
    told : Evaluations
        What SciPy has been told, if checkpoints want to know.
    """

    def __init__(self, trainer: Trainer, rows: Rows, run: Run, max_iter: int) -> None:
        self.trainer, self.rows, self.run, self.max_iter = trainer, rows, run, max_iter
        self.gradient = np.empty_like(trainer.network.parameters)
        self.begun = False
        self.n_evaluations = self.n_iterations = 0
        self.start = time.perf_counter()
        progress = run.restore()
        if isinstance(progress, Evaluations):
            self.told = progress
        else:
            self.told = Evaluations(trainer.network.parameters.astype(np.float64))
            run.mark(self.told)
        self.n_saved, self.n_saved_iterations = len(self.told.told), trainer.epochs_done
        self.point = self.told.start

    @property
    def is_replay(self) -> bool:
        """Whether SciPy hears again what it has been told before the checkpoint."""
        return self.n_evaluations < self.n_saved or self.n_iterations < self.n_saved_iterations

    @property
    def is_at_start(self) -> bool:
        """Whether callbacks have still to be told of the first iteration."""
        saved = self.run.identity.saved
        return saved is None or (saved.epochs_done, saved.under_way) == (0, False)

    def cost(self, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Cost and gradient at `point`, which becomes the network's parameters."""
        self.trainer.network.parameters[...] = point
        if self.n_evaluations < self.n_saved:
            cost = self._hear_again(point)
        else:
            cost = self.trainer.objective(self.rows, self.gradient)
        if not (self.begun or (math.isfinite(cost) and np.isfinite(self.gradient).all())):
            fault = self.trainer.fault_of_loss(self.rows)
            raise ValueError(
                "the cost at the starting point must be finite, and so must its gradient; got a "
                f"cost of {cost}" + (f": {fault}" if fault else ". Scale the input and the targets")
            )
        self.begun = True
        if self.run.is_saving and self.n_evaluations >= self.n_saved:
            self._remember(point, cost)
        self.n_evaluations += 1
        return cost, self.gradient.astype(np.float64)

    def _hear_again(self, point: NDArray[np.float64]) -> float:
        known, cost, self.gradient[...] = self.told.told[self.n_evaluations]
        if known != checksum(point):
            self._refuse(f"point of evaluation {self.n_evaluations}", "one", "another")
        return cost

    def _remember(self, point: NDArray[np.float64], cost: float) -> None:
        """Keep an evaluation, and write a checkpoint if one is due."""
        self.told.add(point, cost, self.gradient)
        if self.told.n_bytes > MAX_BYTES:
            warnings.warn(
                f"no more checkpoints are written: the {self.n_evaluations + 1} gradients of this "
                f"search need more than {MAX_BYTES >> 20} MB. Another solver needs no such memory",
                stacklevel=2,
            )
            self.run.stop_saving()
        if self.run.seconds_left <= 0:
            self.trainer.network.parameters[...] = self.point  # the one tried may be infinite
            self.run.look()

    def _refuse(self, what: str, then: str, now: str) -> None:
        saved = self.run.identity.saved
        raise ResumeError("" if saved is None else saved.path, {what: (then, now)})

    def accept(self, point: NDArray[np.float64]) -> None:
        """Take a point for an iterate."""
        if np.isfinite(point).all():
            self.point = point.copy()

    def begin(self) -> None:
        """Before an iteration."""
        for call in self.run.calls:
            call.before_epoch(self.trainer)
        self.run.mark(self.told, under_way=True)

    def end(self, intermediate_result: Any) -> None:
        """After an iteration; SciPy goes by the argument's name."""
        trainer, run = self.trainer, self.run
        trainer.network.parameters[...] = intermediate_result.x
        self.accept(intermediate_result.x)
        self.n_iterations += 1
        if self.n_iterations <= self.n_saved_iterations:
            self._end_again()
            return
        trainer.epochs_done += 1
        cost, now = float(intermediate_result.fun), time.perf_counter()
        loss = cost - trainer.penalty_share(self.rows)
        seconds, self.start = now - self.start, now
        trainer.metrics = {"cost": cost, "loss": loss, "learning_rate": np.nan, "seconds": seconds}
        run.tell_epoch_done()
        run.mark(self.told)
        run.write_if_due()
        if run.ended:
            raise StopIteration
        if self.n_iterations < self.max_iter:
            self.begin()

    def _end_again(self) -> None:
        """After an iteration that callbacks knew before the checkpoint."""
        saved = self.run.identity.saved
        assert saved is not None
        if self.n_iterations == self.n_saved_iterations:
            if self.run.ended:
                raise StopIteration
            if not saved.under_way and self.n_iterations < self.max_iter:
                self.begin()

    def check_replay(self) -> None:
        """The search must not end before the checkpoint."""
        if self.is_replay:
            self._refuse(
                "end of the search", f"beyond evaluation {self.n_saved}", str(self.n_evaluations)
            )


def minimize(
    trainer: Trainer,
    rows: Rows,
    *,
    max_iter: int,
    max_fun: int,
    gtol: float,
    callbacks: Iterable[Callback] = (),
    identity: Identity | None = None,
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
    identity : Identity or None
        What checkpoints are compared by, and the one to go on from.

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

    calls = [as_epoch_callback(call) for call in callbacks]
    identity = identity or Identity(dict(zip(DATA_NAMES, rows, strict=True)))
    identity = replace(identity, settings={**identity.settings, "gtol": gtol})
    run = Run(trainer, calls, identity, solver="lbfgs", n_epochs=max_iter)
    with run.folders(), trainer.blas_guard(), run.around():
        search = _Iterations(trainer, rows, run, max_iter)
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
        run.finish()
    if run.ended:
        result.status = 0
    return result
