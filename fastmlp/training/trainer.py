"""Trainer: epochs of mini-batch gradient descent on a Network."""

from __future__ import annotations

import numbers
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import (
    check_choice,
    check_flag,
    check_integer,
    check_matrix,
    check_number,
    check_random_state,
    check_same_length,
    check_sample_weight,
)
from fastmlp._types import Array, RandomState
from fastmlp.callbacks.base import Callback, as_epoch_callback
from fastmlp.engine import _core
from fastmlp.engine.rows import Inputs, Rows, check_inputs
from fastmlp.engine.threads import resolve_threads, single_threaded_blas
from fastmlp.exceptions import DivergenceError
from fastmlp.losses import (
    NATURAL_LOSS,
    Loss,
    OwnFunction,
    OwnLoss,
    check_levels,
    check_loss,
    check_pair,
    check_targets,
)
from fastmlp.network.network import Network
from fastmlp.optimizers import Optimizer, check_optimizer
from fastmlp.reference.engine import ReferenceEngine
from fastmlp.reference.updates import penalty, penalty_gradient
from fastmlp.schedules import SCHEDULES, warmed_up
from fastmlp.training.checkpoints.folder import read_newest
from fastmlp.training.checkpoints.identity import DATA_NAMES, Identity
from fastmlp.training.checkpoints.keeper import Run
from fastmlp.training.epoch import N_MEASURES, Epoch, EpochRecord, epoch_metrics
from fastmlp.training.history import History
from fastmlp.training.recorder import Recorder

ENGINES = ("native", "numpy")
PENALTY_SCALES = ("per_batch", "per_sample", "per_weight")
REDUCTIONS = ("sum", "mean")

SMALLEST_NORM = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Evaluation:
    """A network on one data set.

    Attributes
    ----------
    loss : float
        Sum over rows and outputs, without penalty; with ``reduction="mean"`` divided by the sum of
        the row weights.
    cost : float
        loss + penalty, as of one batch of all rows.
    error : float
        Mean over rows and outputs of |y - a|.
    accuracy : float
        Fraction of rows whose largest output is the largest target; with one output, of rows on the
        right side of 1/2.
    """

    loss: float
    cost: float
    error: float
    accuracy: float


class Trainer:
    """Mini-batch training by SGD, Adam, AdamW or RMSprop, in the articles' conventions.

    Costs and gradients are sums over the rows of a mini-batch, and the penalty
    ``l2 / 2 * sum w**2 + l1 * sum |w|`` (bias excluded) is added to every mini-batch's cost. With
    batch size B, a mean-based framework's rate is ``B * learning_rate`` and its weight decay
    ``l2 / B``; ``reduction="mean"`` switches to means.

    Parameters
    ----------
    network : Network
        Trained in place.
    loss : str, Loss, callable or None
        A name or an object of :mod:`fastmlp.losses`, which lists them with the output functions
        they go with; a function as :class:`fastmlp.losses.OwnLoss` has it; None for the loss that
        fits the output function.
    learning_rate : float >= 0
    schedule : {"cumulative", "power", "exponential", "constant", "cosine", "one_cycle"}
        Learning-rate rule, with `decay` >= 0; see :mod:`fastmlp.schedules`.
    warmup : int >= 0
        Epochs in which the scheduled rate rises, from 1 / (warmup + 1) of it.
    optimizer : {"sgd", "adam", "adamw", "rmsprop"} or Optimizer
        A name for the defaults, or an object of :mod:`fastmlp.optimizers`, which has the formulas.
        L1 and L2 are part of the gradient that it gets. The adaptive ones want
        ``reduction="mean"``.
    momentum : float in [0, 1]
        Of ``optimizer="sgd"``.
    momentum_rule : {"one_step", "classical", "nesterov"}
        See :func:`fastmlp.reference.update`.
    l1, l2 : float >= 0
    legacy_l1_cost : bool
        Report the l1 penalty with the factor 1/2 that article M8 prints; gradients are the same.
    penalty_scale : {"per_batch", "per_sample", "per_weight"}
        Penalty in full per batch, scaled by the batch's share of the rows, or divided by the sum of
        the batch's row weights as scikit-learn's alpha.
    reduction : {"sum", "mean"}
        Loss and gradient of a batch as sum or mean over its rows (weighted).
    batch_size : int >= 1
        The last batch of an epoch has the rows that are left.
    max_batches : int >= 1 or None
        Batches per epoch at most.
    dropout : float in [0, 1) or sequence of such
        Share of the activations of every hidden layer, or of each, that are set to 0 in training,
        anew for every row; the others are divided by 1 - dropout (Srivastava et al., 2014).
        Costs and errors of the batches are those of the thinned network.
    max_grad_norm : float > 0 or None
        Longer gradients (of loss and penalty, all layers together) are shortened to exactly this
        length: times ``max_grad_norm / norm``, where PyTorch has ``norm + 1e-6``.
    shuffle : bool
        Mix all rows anew before every epoch, unless one batch holds them all.
    n_threads : int or None
        See :func:`fastmlp.resolve_threads`. The result does not depend on it, bit for bit.
    engine : {"native", "numpy"}
        The compiled engine, or :mod:`fastmlp.reference`.
    random_state : int, numpy.random.Generator or None
        Source of the shuffling.

    Attributes
    ----------
    history : History
        Finished epochs of the last `fit`, also after an exception.
    order : ndarray of shape (n,) or None
        Rows in the order of the last epoch; None for that of the data.
    states : ndarray of shape (n_states, n_parameters)
        What the optimizer remembers, in the layout of ``network.parameters``: the momentum's
        memory, or m and v of Adam, or v and b of RMSprop.
    memory : ndarray of shape (n_parameters,)
        ``states[0]``.
    n_steps : int
        Updates since the optimizer's states were zero.
    epochs_done : int
        Epochs since then; the schedule's epoch number.
    last_epoch : EpochRecord or None
        The last finished epoch.
    metrics : dict of str to float
        Numbers about the last epoch by name, for callbacks: ``cost`` (mean over its rows), ``loss``
        (without penalty), ``error`` (mean of abs(y - a)), ``learning_rate`` and ``seconds``; after
        `fit` also what it measured, ``train_cost``, ``train_accuracy``, ``test_cost`` and
        ``test_accuracy``. Callbacks may add to it.

    Raises
    ------
    ValueError, TypeError
        Naming the parameter, what was given and what is allowed.
    """

    def __init__(
        self,
        network: Network,
        *,
        loss: str | Loss | OwnFunction | None = None,
        learning_rate: float = 0.001,
        schedule: str = "constant",
        decay: float = 0.0,
        warmup: int = 0,
        optimizer: str | Optimizer = "sgd",
        momentum: float = 0.0,
        momentum_rule: str = "one_step",
        l1: float = 0.0,
        l2: float = 0.0,
        legacy_l1_cost: bool = False,
        penalty_scale: str = "per_batch",
        reduction: str = "sum",
        batch_size: int = 500,
        max_batches: int | None = None,
        dropout: float | Sequence[float] = 0.0,
        max_grad_norm: float | None = None,
        shuffle: bool = True,
        n_threads: int | None = None,
        engine: str = "native",
        random_state: RandomState = None,
    ) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"network must be a Network; got {network!r}")
        self.network = network
        self.loss_function = check_loss(NATURAL_LOSS[network.output] if loss is None else loss)
        self.loss = self.loss_function.name
        check_pair(network.output, self.loss)
        check_levels(network.output, self.loss_function)
        self.learning_rate = check_number("learning_rate", learning_rate)
        self.schedule = check_choice("schedule", schedule, SCHEDULES)
        self.decay = check_number("decay", decay)
        self.warmup = check_integer("warmup", warmup, minimum=0)
        self.optimizer = check_optimizer(optimizer, momentum, momentum_rule)
        self.l1, self.l2 = check_number("l1", l1), check_number("l2", l2)
        self.l1_cost = self.l1 / 2 if check_flag("legacy_l1_cost", legacy_l1_cost) else self.l1
        self.penalty_scale = check_choice("penalty_scale", penalty_scale, PENALTY_SCALES)
        self.reduction = check_choice("reduction", reduction, REDUCTIONS)
        # More rows than any data set has are all rows; native code counts in 64 bits.
        self.batch_size = min(check_integer("batch_size", batch_size, minimum=1), 2**62)
        if max_batches is not None:
            check_integer("max_batches", max_batches, minimum=1)
        self.max_batches = max_batches
        self.dropout = _check_dropout(dropout, len(network.sizes) - 2)
        if max_grad_norm is not None:
            check_number("max_grad_norm", max_grad_norm, minimum=SMALLEST_NORM)
        self.max_grad_norm = max_grad_norm
        self.shuffle = check_flag("shuffle", shuffle)
        self.threads = resolve_threads(n_threads)
        self.engine_name = check_choice("engine", engine, ENGINES)
        self.rng = check_random_state("random_state", random_state)
        self.history = History()
        self.order: NDArray[np.intp] | None = None
        shape = (self.optimizer.n_states, network.n_parameters)
        self.states: Array = np.zeros(shape, network.dtype)
        self.n_steps = self.epochs_done = 0
        self.horizon = 1
        self.last_epoch: EpochRecord | None = None
        self.metrics: dict[str, float] = {}
        engine_class = _core.Engine if engine == "native" else ReferenceEngine
        self._engine = engine_class(
            network.sizes,
            network.functions,
            self.loss_function,
            network.dtype,
            self.threads.n_threads,
        )

    def fit(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        n_epochs: int = 1,
        sample_weight: ArrayLike | None = None,
        test_data: tuple[ArrayLike, ArrayLike] | None = None,
        measure_train: bool = False,
        callbacks: Iterable[Callback] = (),
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train for `n_epochs` from the network's current weights.

        The learning rate starts at its initial value and the momentum's memory at zero.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n, n_features); Y : array-like (n, n_out)
            Inputs and targets (one-hot for classes); used in place when C-ordered and of the
            network's dtype. Never modified. Sparse rows are never all dense at once.
        n_epochs : int >= 0
            Epochs from the first one on, also of a training that is resumed.
        sample_weight : array-like of shape (n,), optional
            Weight >= 0 of every row in loss and gradient.
        test_data : (X, Y), optional
            Measured after every epoch.
        measure_train : bool
            Also measure the whole training set after every epoch.
        callbacks : iterable of callables or fastmlp.callbacks.EpochCallback
            Called with this trainer after every epoch; one that returns True ends the training.
        resume : str or PathLike, optional
            A file that a :class:`fastmlp.Checkpoint` wrote, or its folder, for the newest file in
            it that can be read: go on from there, with weights, states, generator and history as
            they were. From the beginning where the folder is empty.

        Returns
        -------
        History
            Also in ``self.history``.

        Raises
        ------
        ValueError, TypeError
            Naming the argument, before any training.
        ResumeError
            A ValueError: where the checkpoint is of a training with other data or parameters, which
            are named. Nothing has changed then.
        ModelFormatError, OSError
            Where the checkpoint is damaged or missing.
        DivergenceError
            If a batch's cost or a new weight is not finite; the network keeps the weights before.
        KeyboardInterrupt
            The network keeps the weights after the last finished batch.
        """
        return self._fit(
            X, Y, n_epochs=n_epochs, sample_weight=sample_weight, test_data=test_data,
            measure_train=measure_train, callbacks=callbacks, resume=resume,
        )  # fmt: skip

    def _fit(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        n_epochs: int,
        sample_weight: ArrayLike | None = None,
        test_data: tuple[ArrayLike, ArrayLike] | None,
        measure_train: bool,
        callbacks: Iterable[Callback],
        resume: str | os.PathLike[str] | None,
        owner: str = "Trainer",
        owner_settings: Mapping[str, Any] | None = None,
    ) -> History:
        """`fit` for an owner with parameters in its own names."""
        x, y = self._check_data("X", X, "Y", Y)
        rows = Rows(x, y, check_sample_weight("sample_weight", sample_weight, x.dtype, len(x)))
        test = (
            None
            if test_data is None
            else Rows(*self._check_data("test X", test_data[0], "test Y", test_data[1]))
        )
        n_epochs = check_integer("n_epochs", n_epochs, minimum=0)
        data = dict(zip(DATA_NAMES, rows, strict=True))
        data |= {"test X": test and test.x, "test Y": test and test.y}
        identity = Identity(
            data,
            owner,
            owner_settings or {},
            settings={"measure_train": measure_train},
            saved=None if resume is None else read_newest(resume),
        )
        recorder = Recorder(Rows(x, y) if measure_train else None, test)
        self.train(rows, n_epochs=n_epochs, callbacks=[recorder, *callbacks], identity=identity)
        return self.history

    def train(
        self,
        rows: Rows,
        *,
        chosen: NDArray[np.intp] | None = None,
        n_epochs: int = 1,
        callbacks: Iterable[Callback] = (),
        resume: bool = False,
        horizon: int | None = None,
        identity: Identity | None = None,
    ) -> bool:
        """`fit` on rows that have been checked, without a history.

        Parameters
        ----------
        rows : Rows
            Trusted.
        chosen : ndarray of shape (n_chosen,), intp, or None
            Indices of the rows to train on, which are read where they lie; None for all. Trusted.
        n_epochs : int >= 0
        callbacks : iterable of callables or fastmlp.callbacks.EpochCallback
            As in `fit`.
        resume : bool
            Go on with the optimizer's states and the schedule's epoch as they are.
        horizon : int >= 1 or None
            Epochs that the schedule is laid out for; None means until the end of this call.
        identity : Identity or None
            What checkpoints are compared by, and the one to go on from; None for the rows alone.

        Returns
        -------
        bool
            Whether a callback ended the training.

        Raises
        ------
        DivergenceError, KeyboardInterrupt, ResumeError, OSError
            As in `fit`.
        """
        calls = [as_epoch_callback(call) for call in callbacks]
        last = n_epochs + (self.epochs_done if resume else 0)
        data = dict(zip(DATA_NAMES, rows, strict=True)) | {"chosen rows": chosen}
        run = Run(
            self, calls, identity or Identity(data), solver="epochs", n_epochs=last,
            n_batches=self._n_batches(len(rows.x if chosen is None else chosen)),
        )  # fmt: skip
        with run.folders():
            if run.identity.saved is None and not resume:
                self._reset_optimizer()
            self.horizon = horizon or max(last, 1)
            with self.blas_guard(), run.around():
                self._train_epochs(rows, chosen, last, run)
        return run.ended

    def _train_epochs(
        self, rows: Rows, chosen: NDArray[np.intp] | None, last: int, run: Run
    ) -> None:
        """Epochs until number `last`, from the position of the run on."""
        epoch = run.restore()
        while not run.ended and self.epochs_done < last:
            if not isinstance(epoch, Epoch):
                for call in run.calls:
                    call.before_epoch(self)
                epoch = self._draw_epoch(len(rows.x if chosen is None else chosen))
                run.mark(epoch, under_way=True)
            self._run_epoch(rows, chosen, epoch, run)
            run.tell_epoch_done()
            epoch = None
            run.mark()
            run.write_if_due()
        run.finish()

    def forget(self) -> None:
        """Drop history, order and momentum of the last `fit`; the network stays as it is."""
        self.history, self.order, self.last_epoch = History(), None, None
        self.metrics = {}
        self._reset_optimizer()

    @property
    def memory(self) -> Array:
        """The optimizer's first state, (n_parameters,)."""
        memory: Array = self.states[0]
        return memory

    def _reset_optimizer(self) -> None:
        self.states[...] = 0
        self.n_steps = self.epochs_done = 0

    def evaluate(self, X: ArrayLike, Y: ArrayLike) -> Evaluation:
        """Loss, cost, error and accuracy of the network as it is.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n, n_features); Y : array-like (n, n_out)
        """
        x, y = self._check_data("X", X, "Y", Y)
        return self.evaluate_rows(Rows(x, y))

    def evaluate_rows(self, rows: Rows) -> Evaluation:
        """`evaluate` on rows that have been checked, counted by their weights."""
        with self.blas_guard():
            loss, error, weight, hits = self._engine.evaluate(self.network.parameters, *rows)
        if self.reduction == "mean":
            loss /= weight
        error /= weight * rows.y.shape[1]
        return Evaluation(loss, loss + self.penalty_share(rows), error, hits / weight)

    def predict_rows(self, x: Inputs, out: Array) -> None:
        """Outputs of checked rows x (n, n_features) into `out` (n, n_out)."""
        with self.blas_guard():
            self._engine.predict(self.network.parameters, x, out)

    def objective(self, rows: Rows, gradient: Array) -> float:
        """Cost of all checked rows as one batch; its gradient goes into `gradient`.

        With ``penalty_scale="per_weight"`` and ``reduction="mean"``, for weights v_i of the rows
        with sum V: (sum_i v_i loss_i + l2 / 2 sum w**2 + l1 sum |w|) / V.

        Parameters
        ----------
        gradient : ndarray of shape (n_parameters,)
            In the layout of ``network.parameters``; written.
        """
        network = self.network
        with self.blas_guard():
            loss, _, weight, _ = self._engine.gradient(network.parameters, *rows, gradient)
        scale = 1 / weight if self.reduction == "mean" else 1.0
        share = 1 / weight if self.penalty_scale == "per_weight" else 1.0
        gradient *= scale
        for w, g in zip(network.weights, network.views(gradient), strict=True):
            g += share * penalty_gradient(w, self.l1, self.l2)
        return scale * loss + self.penalty_share(rows)

    def blas_guard(self) -> AbstractContextManager[None]:
        """BLAS on one thread for the native engine, which has threads of its own."""
        return single_threaded_blas() if self.engine_name == "native" else nullcontext()

    def penalty(self) -> float:
        """l2 / 2 sum w^2 + l1 sum |w| of the network as it is, bias excluded."""
        with np.errstate(over="ignore"):  # infinity says enough
            return penalty(self.network.weights, self.l1_cost, self.l2)

    def penalty_share(self, rows: Rows) -> float:
        """The penalty as it counts in a batch of all these rows."""
        if self.penalty_scale != "per_weight":
            return self.penalty()
        return self.penalty() / (len(rows.x) if rows.weights is None else float(rows.weights.sum()))

    def _check_data(self, x_name: str, X: Any, y_name: str, Y: ArrayLike) -> tuple[Inputs, Array]:
        sizes, dtype = self.network.sizes, self.network.dtype
        x = check_inputs(x_name, X, dtype, n_columns=sizes[0])
        y = check_matrix(y_name, Y, dtype, n_columns=sizes[-1])
        check_same_length(x_name, len(x), y_name, len(y))
        check_targets(y_name, y, self.loss)
        return x, y

    def next_rate(self) -> float:
        """The learning rate of the next epoch, by schedule and warm-up."""
        rule = SCHEDULES[self.schedule]
        eta = rule(self.learning_rate, self.decay, self.epochs_done, self.horizon)
        return warmed_up(eta, self.warmup, self.epochs_done)

    def _draw_epoch(self, n_rows: int) -> Epoch:
        """The next epoch, with the random numbers that it takes."""
        # One batch of all rows is the same in any order.
        is_mixed = self.shuffle and self.batch_size < n_rows
        return Epoch(
            learning_rate=self.next_rate(),
            order_seed=self._new_seed() if is_mixed else None,
            dropout_seed=self._new_seed() if any(self.dropout) else 0,
            n_steps_before=self.n_steps,
            measures=np.zeros((N_MEASURES, self._n_batches(n_rows))),
        )

    def _n_batches(self, n_rows: int) -> int:
        n_batches = -(-n_rows // self.batch_size)
        return min(n_batches, self.max_batches or n_batches)

    def _run_epoch(
        self, rows: Rows, chosen: NDArray[np.intp] | None, epoch: Epoch, run: Run
    ) -> None:
        """What is left of an epoch; its record goes into `last_epoch` and `metrics`."""
        start = time.perf_counter()
        n, seed = len(rows.x if chosen is None else chosen), epoch.order_seed
        mixed = None if seed is None else _core.permutation(n, seed)
        self.order = mixed if chosen is None else chosen if mixed is None else chosen[mixed]
        before = epoch.seconds
        while epoch.n_done < epoch.n_batches:
            self._train_batches(rows, epoch, epoch.n_done + run.batches_to_go(epoch))
            epoch.seconds = before + time.perf_counter() - start
            run.look()
        epoch.seconds = before + time.perf_counter() - start
        self.n_steps = epoch.n_steps_before + epoch.n_done
        self.last_epoch = epoch.record(self.batch_size, n)
        self.epochs_done += 1
        self.metrics = dict(epoch_metrics(self.last_epoch))

    def _train_batches(self, rows: Rows, epoch: Epoch, last_batch: int) -> None:
        """Updates until `last_batch` of an epoch."""
        costs, penalties, errors, hits = epoch.measures
        try:
            status, _, interruption = self._engine.train(
                self.network.parameters, self.states, rows.x, rows.y,
                order=self.order, row_weights=rows.weights, batch_size=self.batch_size,
                first_batch=epoch.n_done, last_batch=last_batch,
                optimizer=self.optimizer, learning_rate=epoch.learning_rate,
                n_steps=epoch.n_steps_before + epoch.n_done,
                l1=self.l1, l2=self.l2, l1_cost=self.l1_cost,
                mean_reduction=self.reduction == "mean",
                penalty_scale=self.penalty_scale,
                costs=costs, penalties=penalties, errors=errors, hits=hits,
                dropout=self.dropout, dropout_seed=epoch.dropout_seed,
                max_grad_norm=self.max_grad_norm or 0.0, progress=epoch.progress,
            )  # fmt: skip
        finally:
            self.n_steps = epoch.n_steps_before + epoch.n_done
        if interruption is not None:
            raise interruption
        if status == _core.DIVERGED:
            number, batch = self.epochs_done, epoch.n_done
            self._reset_optimizer()  # its states may be infinite
            at_fault = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
            cause = self.fault_of_loss(
                rows, at_fault if self.order is None else self.order[at_fault]
            )
            raise DivergenceError(
                epoch=number, batch=batch, learning_rate=epoch.learning_rate, cause=cause
            )

    def fault_of_loss(self, rows: Rows, chosen: slice | NDArray[np.intp] = slice(None)) -> str:
        """What is wrong with a loss from outside for the network as it is; else ""."""
        if not isinstance(self.loss_function, OwnLoss):
            return ""
        y = rows.y[chosen]
        outputs = np.empty_like(y)
        self.predict_rows(rows.x[chosen], outputs)
        return self.loss_function.fault(y, outputs)

    def _new_seed(self) -> int:
        return int(self.rng.integers(2**64, dtype=np.uint64))


def _check_dropout(dropout: object, n_hidden: int) -> tuple[float, ...]:
    """One rate per hidden layer."""
    rates = [dropout] * n_hidden if isinstance(dropout, numbers.Real) else dropout
    if not isinstance(rates, Sequence) or isinstance(rates, str):
        raise TypeError(f"dropout must be a number or a sequence of numbers; got {dropout!r}")
    if len(rates) != n_hidden:
        raise ValueError(
            f"dropout must be one number or {n_hidden}, one per hidden layer; got {dropout!r}"
        )
    if isinstance(dropout, numbers.Real):
        check_number("dropout", dropout, below=1.0)
    return tuple(check_number(f"dropout[{i}]", rate, below=1.0) for i, rate in enumerate(rates))
