"""The objective of a training run: loss, cost and penalty of a network on rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.data.reader import Window
from fastmlp.engine import _core
from fastmlp.engine.blas import single_threaded_blas
from fastmlp.engine.rows import Inputs, Rows, SparseRows
from fastmlp.losses import CustomLoss, Loss
from fastmlp.network.network import Network
from fastmlp.reference.engine import ReferenceEngine
from fastmlp.training.history import Evaluation


class Objective:
    """Objective of training: sum or mean of the loss over the rows, plus the penalty.

    With penalty P = l2 / 2 sum w**2 + l1 sum |w| (bias excluded) and the loss C_i of row i with
    sample weight v_i, the cost of a batch is sum_i v_i C_i + P; ``reduction="mean"`` divides the
    loss by sum_i v_i, and ``penalty_scale="per_weight"`` the penalty.

    Parameters
    ----------
    network : Network
        Read; its parameters may change between two calls.
    engine : Engine or ReferenceEngine
        Made for this network and loss.
    l1, l2 : float >= 0
    l1_cost : float >= 0
        Factor of sum |w| in the reported penalty; `l1` is its factor in the gradient.
    penalty_scale, reduction : str
        See :class:`fastmlp.Trainer`.

    Attributes
    ----------
    parameters : ndarray of shape (n_parameters,)
        Those of the network.
    blas_guard : callable
        Returns a context that keeps BLAS on one thread, where the engine needs that.
    """

    def __init__(
        self,
        network: Network,
        engine: _core.Engine | ReferenceEngine,
        loss: Loss,
        *,
        l1: float,
        l2: float,
        l1_cost: float,
        penalty_scale: str,
        reduction: str,
    ) -> None:
        self.network, self.engine, self.loss = network, engine, loss
        self.l1, self.l2, self.l1_cost = l1, l2, l1_cost
        self.penalty_scale, self.reduction = penalty_scale, reduction
        self.parameters = network.parameters
        # Weighted sums below it keep every output finite; "increasing" adds up to n_out of them.
        largest = float(np.finfo(network.dtype).max)
        is_exponential = network.output == "exponential"
        self._largest_sum = (
            math.log(largest) if is_exponential else largest / (9 * network.sizes[-1])
        )
        # The native engine has threads of its own, and wants BLAS on one.
        uses_blas = isinstance(engine, _core.Engine) and engine.uses_blas
        self.blas_guard: Callable[[], AbstractContextManager[None]] = (
            single_threaded_blas if uses_blas else nullcontext
        )

    def evaluate(self, rows: Rows) -> Evaluation:
        """Return loss, cost, error and accuracy on checked rows, counted by their weights."""
        with self.blas_guard():
            sums = self.engine.evaluate(self.parameters, *rows)
        return self._evaluation(*sums, penalty=self.penalty_share(rows))

    def evaluate_windows(self, windows: Iterable[Window]) -> Evaluation:
        """Return the same for rows that come in windows, whose sums are added."""
        sums = np.zeros(4)
        with self.blas_guard():
            for window in windows:
                sums += self.engine.evaluate(self.parameters, *window.rows)
        loss, error, weight, n_correct = sums.tolist()
        share = 1 / weight if self.penalty_scale == "per_weight" and weight else 1.0
        return self._evaluation(loss, error, weight, n_correct, penalty=self.penalty() * share)

    def _evaluation(
        self, loss: float, error: float, weight: float, n_correct: float, *, penalty: float
    ) -> Evaluation:
        """Return means of the sums that the engine returns."""
        if self.reduction == "mean":
            loss /= weight
        error /= weight * self.network.sizes[-1]
        return Evaluation(loss, loss + penalty, error, n_correct / weight)

    def predict(self, x: Inputs, out: Array) -> None:
        """Write the outputs of checked rows x (n, n_features) into `out` (n, n_out)."""
        with self.blas_guard():
            self.engine.predict(self.parameters, x, out)

    def overflows(self, x: Inputs) -> bool:
        """Return whether an output of checked rows x (n, n_features) is not finite.

        The rows are predicted only where the norms of inputs and weights allow an overflow: in an
        ordinary network one norm says that nothing can be wrong.
        """
        network = self.network
        inputs = _core.norm(x.values if isinstance(x, SparseRows) else x)
        norms = [_core.norm(self.parameters)] * (len(network.sizes) - 1)
        if self._bound(inputs, norms) < self._largest_sum:
            return False
        if self._bound(inputs, map(_core.norm, network.weights)) < self._largest_sum:
            return False
        outputs = np.empty((len(x), network.sizes[-1]), network.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            self.predict(x, outputs)
        return not np.isfinite(outputs).all()

    def _bound(self, inputs: float, norms: Iterable[float]) -> float:
        """Return a number that no weighted sum of any layer exceeds, by the norms of its weights.

        By the Cauchy-Schwarz inequality a layer's sums are at most the norm of its weights times
        that of (1, inputs), and every activation has abs(f(z)) <= 2 (abs(z) + 1).
        """
        bound = inputs
        for norm, width in zip(norms, self.network.sizes[1:], strict=True):
            bound = 2 * (norm * (bound + 1) + width)
        return bound

    def gradient(self, rows: Rows, out: Array) -> float:
        """Return the cost of all checked rows as one batch; its gradient goes into `out`.

        Parameters
        ----------
        out : ndarray of shape (n_parameters,)
            In the layout of ``network.parameters``; written.
        """
        network = self.network
        with self.blas_guard():
            loss, _, weight, _ = self.engine.gradient(self.parameters, *rows, out)
        scale = 1 / weight if self.reduction == "mean" else 1.0
        share = 1 / weight if self.penalty_scale == "per_weight" else 1.0
        out *= scale
        if self.l1 or self.l2:
            for weights, gradient in zip(network.weights, network.views(out), strict=True):
                w, g = weights[:, 1:], gradient[:, 1:]  # no penalty on the bias
                g += share * (self.l2 * w + self.l1 * np.sign(w))
        return scale * loss + self.penalty_share(rows)

    def penalty(self) -> float:
        """Return l2 / 2 sum w**2 + l1 sum |w| of the network as it is, bias excluded."""
        weights = [w[:, 1:] for w in self.network.weights]
        with np.errstate(over="ignore"):  # infinity says enough
            squares = sum(float((w**2).sum()) for w in weights) if self.l2 else 0.0
            magnitudes = sum(float(np.abs(w).sum()) for w in weights) if self.l1_cost else 0.0
        return self.l2 / 2 * squares + self.l1_cost * magnitudes

    def penalty_share(self, rows: Rows) -> float:
        """Return the penalty, scaled as for a batch of all these rows."""
        if self.penalty_scale != "per_weight":
            return self.penalty()
        return self.penalty() / (len(rows.x) if rows.weights is None else float(rows.weights.sum()))

    def fault_of_loss(self, rows: Rows, row_index: slice | NDArray[np.intp] = slice(None)) -> str:
        """Return what is wrong with a custom loss for the network as it is, or ""."""
        if not isinstance(self.loss, CustomLoss):
            return ""
        y = rows.y[row_index]
        outputs = np.empty_like(y)
        self.predict(rows.x[row_index], outputs)
        return self.loss.fault(y, outputs)
