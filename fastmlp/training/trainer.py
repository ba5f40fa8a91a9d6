"""Trainer: epochs of mini-batch gradient descent on a Network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import (
    as_numeric_array,
    check_choice,
    check_flag,
    check_integer,
    check_number,
    check_random_state,
    shown,
)
from fastmlp._names import suggest_parameters
from fastmlp._types import Array, RandomState, StrPath
from fastmlp.callbacks.base import Callback, EpochCallback, as_epoch_callbacks
from fastmlp.callbacks.checkpoint import Checkpoint
from fastmlp.data.reader import WindowReader
from fastmlp.data.source import Source
from fastmlp.engine import _core
from fastmlp.engine.rows import Rows
from fastmlp.engine.threads import resolve_threads
from fastmlp.losses import (
    NATURAL_LOSS,
    CustomFunction,
    Loss,
    check_levels,
    check_loss,
    check_pair,
)
from fastmlp.network.network import Network
from fastmlp.optimizers import Optimizer, check_optimizer
from fastmlp.reference.engine import ReferenceEngine
from fastmlp.schedules import SCHEDULES, rate_rule
from fastmlp.training.attributes import (
    GUARDED,
    check_assignment,
    check_products,
    check_states,
)
from fastmlp.training.checkpoints.fingerprint import Fingerprint
from fastmlp.training.epoch import N_MEASURES, Epoch, EpochRecord, epoch_metrics
from fastmlp.training.feeds import Feed, feed_of
from fastmlp.training.history import Evaluation, History, HistoryRecorder
from fastmlp.training.inputs import VALIDATION_NAMES, DataCheck, described, without_weights
from fastmlp.training.loop import Listeners, Loop, keeper_of
from fastmlp.training.objective import Objective

if TYPE_CHECKING:
    from fastmlp.training.checkpoints.document import SavedTraining

ENGINES = ("native", "numpy")
PENALTY_SCALES = ("per_batch", "per_sample", "per_weight")
REDUCTIONS = ("sum", "mean")

PLANNED_SCHEDULES = ("cosine", "one_cycle")
"""Schedules that depend on the number of epochs."""


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
        they go with; a function as :class:`fastmlp.losses.CustomLoss` has it; None for the loss
        that fits the output function.
    learning_rate : float >= 0
    schedule : {"cumulative", "power", "exponential", "constant", "cosine", "one_cycle"}
        Learning-rate rule; see :mod:`fastmlp.schedules`.
    decay : float >= 0
        Decay d of "cumulative", "power" and "exponential".
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
        the batch's sample weights as scikit-learn's alpha.
    reduction : {"sum", "mean"}
        Loss and gradient of a batch as sum or mean over its rows (weighted).
    batch_size : int >= 1
        The last batch of an epoch has the rows that are left.
    steps_per_epoch : int >= 1 or None
        Batches per epoch at most. Between two fits, this attribute and `batch_size` may be assigned
        (``fit(..., reset=False)`` continues the run); a callback must not change them.
    dropout : float in [0, 1) or sequence of such
        Share of the activations of every hidden layer, or of each, that are set to 0 in training,
        drawn for every row; the others are divided by 1 - dropout (Srivastava et al., 2014).
        Costs and errors of the batches are those of the thinned network.
    max_grad_norm : float > 0 or None
        Longer gradients (of loss and penalty, all layers together) are shortened to exactly this
        length: times ``max_grad_norm / norm``, where PyTorch has ``norm + 1e-6``.
    shuffle : bool
        Shuffle all rows before every epoch, unless one batch holds them all.
    n_threads : int or None
        See :func:`fastmlp.resolve_threads`. The result does not depend on it, bit for bit.
    engine : {"native", "numpy"}
        The compiled engine, or :mod:`fastmlp.reference`.
    products : {"auto", "blas", "own"}
        Who computes the compiled engine's matrix products in training: BLAS gemm or the package's
        own kernels. "auto" is the faster of them, today "own" for every layer (``fastmlp info
        --shape`` tells), and is replaced by the environment variable ``FASTMLP_PRODUCTS``, which
        holds for predictions too. The results differ in the last bits.
    random_state : int, numpy.random.Generator or None
        Source of the shuffling.

    Attributes
    ----------
    history : History
        Finished epochs of the last `fit`, also after an exception.
    order : ndarray of shape (n,) or None
        Rows in the order of the last epoch; None for that of the data, and where a source was read
        in more than one window.
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
        `fit` also what it measured, ``train_cost``, ``train_accuracy``, ``val_cost`` and
        ``val_accuracy``. Callbacks may add to it.

    Raises
    ------
    ValueError, TypeError
        Naming the parameter, what was given and what is allowed.
    """

    __module__ = "fastmlp.training"  # the public address, so that pickles survive moves

    @suggest_parameters
    def __init__(
        self,
        network: Network,
        *,
        loss: str | Loss | CustomFunction | None = None,
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
        steps_per_epoch: int | None = None,
        dropout: float | Sequence[float] = 0.0,
        max_grad_norm: float | None = None,
        shuffle: bool = True,
        n_threads: int | None = None,
        engine: str = "native",
        products: str = "auto",
        random_state: RandomState = None,
    ) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"network must be a Network; got {shown(network)}")
        self.network = network
        self.loss_function = check_loss(NATURAL_LOSS[network.output] if loss is None else loss)
        self.loss = self.loss_function.name
        check_pair(network.output, self.loss)
        check_levels(network.output, self.loss_function)
        self.learning_rate = learning_rate
        self.schedule = check_choice("schedule", schedule, SCHEDULES)
        self.decay = check_number("decay", decay)
        self.warmup = check_integer("warmup", warmup, minimum=0)
        self._rate_rule = rate_rule(self.schedule, self.decay, self.warmup)
        self.optimizer = check_optimizer(optimizer, momentum, momentum_rule)
        self.l1, self.l2 = check_number("l1", l1), check_number("l2", l2)
        self.l1_cost = self.l1 / 2 if check_flag("legacy_l1_cost", legacy_l1_cost) else self.l1
        self.penalty_scale = check_choice("penalty_scale", penalty_scale, PENALTY_SCALES)
        self.reduction = check_choice("reduction", reduction, REDUCTIONS)
        self.batch_size, self.steps_per_epoch = batch_size, steps_per_epoch
        self.dropout = cast(tuple[float, ...], dropout)  # one rate per layer, once it is assigned
        self.max_grad_norm = max_grad_norm
        self.shuffle = shuffle
        self.threads = resolve_threads(n_threads)
        self.engine_name = check_choice("engine", engine, ENGINES)
        self.products = check_products(products, engine)
        self.rng = check_random_state("random_state", random_state)
        self.history = History()
        self.order: NDArray[np.intp] | None = None
        shape = (self.optimizer.n_states, network.n_parameters)
        self._states: Array = np.zeros(shape, network.dtype)
        self.n_steps = self.epochs_done = 0
        self.horizon = 1
        self.last_epoch: EpochRecord | None = None
        self.metrics: dict[str, float] = {}
        self.objective = Objective(
            network,
            self._create_engine(),
            self.loss_function,
            l1=self.l1,
            l2=self.l2,
            l1_cost=self.l1_cost,
            penalty_scale=self.penalty_scale,
            reduction=self.reduction,
        )

    def _create_engine(self) -> _core.Engine | ReferenceEngine:
        network, n_threads = self.network, self.threads.n_threads
        shape = network.sizes, network.functions, self.loss_function, network.dtype, n_threads
        if self.engine_name == "numpy":
            return ReferenceEngine(*shape)
        shared = network.plan if network.plan.products == self.products else None
        return _core.Engine(*shape, shared, self.products)

    def fit(
        self,
        X: ArrayLike | Source,
        Y: ArrayLike | None = None,
        *,
        n_epochs: int = 1,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[ArrayLike, ArrayLike] | Source | None = None,
        measure_train: bool = False,
        callbacks: Iterable[Callback] = (),
        resume: StrPath | None = None,
        reset: bool = True,
        end_of_epoch: bool = True,
        horizon: int | None = None,
        window_rows: int | None = None,
        n_shards: int | None = None,
        local_steps: int | None = None,
    ) -> History:
        """Train for `n_epochs` from the network's current weights.

        The learning rate starts at its initial value and the momentum's memory at zero, unless
        `reset` is False: then the run continues the one before, also with other rows. For a table
        that is read chunk by chunk, all chunks but the first have ``reset=False``, and all but the
        last of an epoch ``end_of_epoch=False``.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n, n_features), or fastmlp.data.Source
            Inputs. A :class:`fastmlp.data.Source` has targets and sample weights too and is read
            window by window; Y is then None.
        Y : array-like of shape (n, n_out) or None
            Targets (one-hot for classes). Both are used in place when C-ordered and of the
            network's dtype. Never modified. Sparse rows are never all dense at once.
        n_epochs : int >= 0
            Number of epochs from the beginning, also of a resumed run.
        sample_weight : array-like of shape (n,), optional
            Weight >= 0 of every row in loss and gradient.
        validation_data : (X, Y) or fastmlp.data.Source, optional
            Measured after every epoch; a source with its sample weights.
        measure_train : bool
            Also measure the whole training set after every epoch.
        callbacks : iterable of callables or fastmlp.callbacks.EpochCallback
            Called with this trainer after every epoch; one that returns True ends the run.
        resume : str, bytes or PathLike, optional
            A file that a :class:`fastmlp.Checkpoint` wrote, or its folder, for the newest file in
            it that can be read: continue from there, with weights, states, generator and history
            as they were; start fresh if the folder does not exist or has no file.
        reset : bool
            False keeps the optimizer's states and the schedule's epoch of the call before; the
            history is that of this call. Not for runs with checkpoints.
        end_of_epoch : bool
            False if these rows are a part of an epoch whose other rows follow: the schedule's epoch
            number stays. Needs ``n_epochs=1``.
        horizon : int >= 1, optional
            Number of epochs of all calls together, for which the schedules "cosine" and "one_cycle"
            are planned; by default until the end of this call. They need it with ``reset=False``.
        window_rows : int >= 1, optional
            Rows of a source that are in memory and shuffled at once, rounded down to whole batches,
            but at least one; by default as many as take 64 MiB. Twice as many are in memory: a
            thread reads the next window while one is trained on.
        n_shards : int >= 1, optional
            Divide the rows of a source among so many shards, by row number, and add the gradients
            of these in a fixed tree: weights and history have the bits that
            :func:`fastmlp.dask.train` gets with the same number of shards on any number of workers.
            At most so many threads share a batch. Needs ``engine="native"`` and dense rows.
        local_steps : int >= 1, optional
            Let every shard make so many steps by itself, on its parts of the batches, before the
            weights and optimizer states of all are averaged: another training, for clusters where
            the exchange of gradients costs too much. Needs `n_shards` and ``reduction="mean"``.

        Returns
        -------
        History
            Also in ``self.history``.

        Raises
        ------
        ValueError, TypeError
            Naming the argument, before any training.
        ResumeError
            A ValueError: if the checkpoint is of a run with other data or parameters, which are
            named. Nothing has changed then.
        ModelFormatError, OSError
            If the checkpoint is damaged or missing.
        DataFormatError
            A ValueError: if rows of a source are damaged, or not finite, or targets not allowed;
            with the place. The network keeps the weights after the batches before.
        DivergenceError
            If a batch's cost or a new weight is not finite; the network keeps the weights before.
            Or, after the last update, if an output of the first 256 rows is not finite.
        KeyboardInterrupt
            The network keeps the weights after the last finished batch. Python raises it in the
            main thread alone: a fit in another thread continues until it is done or a callback
            ends it.
        """
        return self.fit_as(
            "Trainer",
            {},
            X,
            Y,
            n_epochs=n_epochs,
            sample_weight=sample_weight,
            validation_data=validation_data,
            measure_train=measure_train,
            callbacks=callbacks,
            resume=resume,
            reset=reset,
            end_of_epoch=end_of_epoch,
            horizon=horizon,
            window_rows=window_rows,
            n_shards=n_shards,
            local_steps=local_steps,
        )

    def fit_as(
        self,
        owner: str,
        owner_settings: Mapping[str, Any],
        X: ArrayLike | Source | Feed,
        Y: ArrayLike | None = None,
        *,
        n_epochs: int = 1,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[ArrayLike, ArrayLike] | Source | None = None,
        measure_train: bool = False,
        callbacks: Iterable[Callback] = (),
        resume: StrPath | None = None,
        reset: bool = True,
        end_of_epoch: bool = True,
        horizon: int | None = None,
        window_rows: int | None = None,
        n_shards: int | None = None,
        local_steps: int | None = None,
    ) -> History:
        """`fit` for an owner whose parameters have names of their own.

        Parameters
        ----------
        owner : str
            Name of the class that trains; a checkpoint can be resumed by the same alone.
        owner_settings : mapping of str to plain values
            Its parameters, which a resumed run must share; differences are reported by these names.
        X, Y, n_epochs, sample_weight, validation_data, measure_train, callbacks, resume, reset
            As in `fit`; X may also be a Feed, whose rows have been checked.
        end_of_epoch, horizon, window_rows, n_shards, local_steps
            As in `fit`.
        """
        check = self._check(window_rows, n_shards, local_steps)
        rows = check.training(X, Y, sample_weight)
        validation = check.validation(validation_data)
        n_epochs = check_integer("n_epochs", n_epochs, minimum=0)
        if check_flag("measure_train", measure_train) and isinstance(rows, Feed):
            raise ValueError("measure_train must be False for rows on other machines; got True")
        if not check_flag("end_of_epoch", end_of_epoch) and n_epochs != 1:
            raise ValueError(f"end_of_epoch=False needs n_epochs=1; got n_epochs={n_epochs}")
        if horizon is not None:
            check_integer("horizon", horizon, minimum=1)
        if not check_flag("reset", reset):
            callbacks = _refuse_checkpoints(callbacks, resume)
            if horizon is None and self.schedule in PLANNED_SCHEDULES:
                raise ValueError(
                    f"reset=False with schedule={self.schedule!r} needs horizon, the number of "
                    "epochs of all calls together, over which the rate falls"
                )
        data = described(rows) | described(validation, VALIDATION_NAMES)
        settings: dict[str, Any] = {"measure_train": measure_train}
        if not isinstance(rows, Rows):
            settings |= rows.settings
        self.train(
            rows,
            n_epochs=n_epochs,
            callbacks=callbacks,
            recorder=HistoryRecorder(
                self._evaluate,
                without_weights(rows) if measure_train and not isinstance(rows, Feed) else None,
                validation,
            ),
            fingerprint=Fingerprint(data, owner, owner_settings, settings=settings),
            saved=_read(resume),
            resume=not reset,
            end_of_epoch=end_of_epoch,
            horizon=horizon,
        )
        return self.history

    def train(
        self,
        rows: Rows | WindowReader | Feed,
        *,
        row_index: NDArray[np.intp] | None = None,
        n_epochs: int = 1,
        callbacks: Iterable[Callback] = (),
        resume: bool = False,
        end_of_epoch: bool = True,
        horizon: int | None = None,
        recorder: HistoryRecorder | None = None,
        fingerprint: Fingerprint | None = None,
        saved: SavedTraining | None = None,
    ) -> bool:
        """`fit` on rows that have been checked.

        Parameters
        ----------
        rows : Rows, WindowReader or Feed
            Trusted.
        row_index : ndarray of shape (n_taken,), intp, or None
            Indices of the rows to train on, which are read where they lie; None for all. Trusted.
            Not for a reader.
        n_epochs : int >= 0
        callbacks : iterable of callables or fastmlp.callbacks.EpochCallback
            As in `fit`.
        resume : bool
            Continue with the optimizer's states and the schedule's epoch as they are.
        end_of_epoch : bool
            False keeps the schedule's epoch for the next call.
        horizon : int >= 1 or None
            Number of epochs that the schedule is planned for; None: until the end of this call.
        recorder : HistoryRecorder or None
            Writes a history.
        fingerprint : Fingerprint or None
            What checkpoints are compared by; None for the rows alone.
        saved : SavedTraining or None
            The checkpoint to continue from.

        Returns
        -------
        bool
            Whether a callback ended the run.

        Raises
        ------
        DivergenceError, KeyboardInterrupt, ResumeError, OSError
            As in `fit`.
        """
        calls = as_epoch_callbacks(callbacks)
        last_epoch = n_epochs + (self.epochs_done if resume else 0)
        listeners = Listeners(self, calls)
        feed = feed_of(rows, row_index)
        data = described(rows) | {"row_index": row_index}
        keeper = keeper_of(
            self,
            calls,
            recorder,
            fingerprint or Fingerprint(data),
            saved,
            solver="epochs",
            n_epochs=last_epoch,
            n_batches=self._n_batches(feed.n_rows),
        )
        with keeper.folders():
            if saved is None and not resume:
                self.reset_optimizer()
            self._note(horizon=horizon or max(last_epoch, 1))
            before = self.epochs_done
            Loop(self, feed, listeners, recorder, keeper).run(last_epoch)
        if not end_of_epoch:
            self._note(epochs_done=before)
        return listeners.ended

    def forget(self) -> None:
        """Drop history, order and momentum of the last `fit`; the network stays as it is."""
        self.history, self.order, self.last_epoch = History(), None, None
        self.metrics = {}
        self.reset_optimizer()

    def __setattr__(self, name: str, value: Any) -> None:
        """Check what is assigned; what the engine was made for cannot be replaced."""
        if name in GUARDED:
            is_set = name in self.__dict__
            network = value if name == "network" else self.network
            value = check_assignment(name, value, network, is_set=is_set)
        object.__setattr__(self, name, value)

    @property
    def states(self) -> Array:
        """What the optimizer remembers, (n_states, n_parameters); assigned values are copied."""
        return self._states

    @states.setter
    def states(self, value: Array) -> None:
        self._states[...] = check_states(value, self._states)

    @property
    def memory(self) -> Array:
        """The optimizer's first state, (n_parameters,)."""
        memory: Array = self.states[0]
        return memory

    def reset_optimizer(self) -> None:
        """Set the optimizer's states, and the numbers of steps and epochs, to zero."""
        self.states[...] = 0
        self._note(n_steps=0, epochs_done=0)

    def _note(self, **numbers: int) -> None:
        """Set numbers that need no check, as they are the run's own."""
        self.__dict__.update(numbers)

    def evaluate(self, X: ArrayLike | Source, Y: ArrayLike | None = None) -> Evaluation:
        """Return loss, cost, error and accuracy of the network as it is.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n, n_features), or fastmlp.data.Source
            Inputs; a :class:`fastmlp.data.Source` has targets and sample weights too.
        Y : array-like of shape (n, n_out) or None
            Targets; None with a Source.

        Raises
        ------
        ValueError, TypeError
            Naming the argument; for rows of a source a DataFormatError with the place.
        """
        rows = self._check().training(X, Y, None)
        assert not isinstance(rows, Feed)  # for `fit_as` alone
        return self._evaluate(rows)

    def _evaluate(self, rows: Rows | WindowReader) -> Evaluation:
        if isinstance(rows, WindowReader):
            return self.objective.evaluate_windows(rows.windows(None))
        return self.objective.evaluate(rows)

    # --- What callbacks see, besides the attributes (callbacks/protocol.py)

    @property
    def can_be_saved(self) -> bool:
        """True: a Checkpoint can save and resume the run."""
        return True

    def copy_weights(self) -> Array:
        """Return a copy of the network's parameters, (n_parameters,)."""
        return self.network.parameters.copy()

    def set_weights(self, weights: Array) -> None:
        """Copy `weights`, (n_parameters,), into the network's parameters."""
        parameters = self.network.parameters
        array = as_numeric_array("weights", weights)
        if array.shape != parameters.shape:
            raise ValueError(f"weights must have shape {parameters.shape}; got {array.shape}")
        parameters[...] = array

    def settings(self, n_epochs: int) -> dict[str, Any]:
        """Return all parameters that a resumed run must share, but rates that may have changed.

        The number of threads is not among them: no bit depends on it. `n_epochs` is, where the
        schedule is planned for it.
        """
        network, loss = self.network, self.loss_function
        settings = {
            "sizes": network.sizes,
            "activation": network.activations,
            "output": network.output,
            "dtype": network.dtype.name,
            "loss": getattr(loss, "own", self.loss),
            "loss parameters": loss.parameters(network.sizes[-1]),
            "schedule": self.schedule,
            "decay": self.decay,
            "warmup": self.warmup,
            "optimizer": (
                self.optimizer.kind if self.optimizer.name == "sgd" else self.optimizer.name
            ),
            "optimizer's numbers": dict(self.optimizer.coefficients()),
            "l1": self.l1,
            "l2": self.l2,
            "legacy_l1_cost": self.l1_cost != self.l1,
            "penalty_scale": self.penalty_scale,
            "reduction": self.reduction,
            "batch_size": self.batch_size,
            "steps_per_epoch": self.steps_per_epoch,
            "dropout": self.dropout,
            "max_grad_norm": self.max_grad_norm,
            "shuffle": self.shuffle,
            "engine": self.engine_name,
        }
        if self.products != "auto":
            settings["products"] = self.products
        if self.schedule in PLANNED_SCHEDULES:
            settings[f"number of epochs of the schedule {self.schedule!r}"] = n_epochs
        return settings

    def _check(
        self,
        window_rows: int | None = None,
        n_shards: int | None = None,
        local_steps: int | None = None,
    ) -> DataCheck:
        """Return what checks data for this trainer."""
        if n_shards is not None and self.engine_name != "native":
            raise ValueError(f"n_shards needs engine='native'; got engine={self.engine_name!r}")
        if local_steps is not None and n_shards is None:
            raise ValueError(
                f"local_steps needs n_shards; got local_steps={shown(local_steps)} alone"
            )
        if local_steps is not None and self.reduction != "mean":
            raise ValueError(
                f"local_steps needs reduction='mean'; got reduction={self.reduction!r}"
            )
        return DataCheck(
            self.network, self.loss, self.batch_size, window_rows, n_shards, local_steps
        )

    def next_rate(self) -> float:
        """The learning rate of the next epoch, by schedule and warm-up."""
        if self._rate_rule is None:
            return self.learning_rate
        return self._rate_rule(self.learning_rate, self.epochs_done, self.horizon)

    def draw_epoch(self, n_rows: int) -> Epoch:
        """Return the next epoch, with the random numbers that it takes."""
        # One batch of all rows is the same in any order.
        is_mixed = self.shuffle and self.batch_size < n_rows
        return Epoch(
            learning_rate=self.next_rate(),
            order_seed=self._new_seed() if is_mixed else None,
            dropout_seed=self._new_seed() if any(self.dropout) else 0,
            n_steps_before=self.n_steps,
            measures=np.zeros((N_MEASURES, self._n_batches(n_rows))),
        )

    def note_steps(self, epoch: Epoch) -> None:
        """Count the batches of an epoch that are done."""
        self._note(n_steps=epoch.n_steps_before + epoch.n_done)

    def note_epoch(self, record: EpochRecord, n_epochs: int = 1) -> None:
        """Count finished epochs, of which `record` is the last one."""
        self.last_epoch = record
        self.metrics = dict(epoch_metrics(record))
        self._note(epochs_done=self.epochs_done + n_epochs)

    def _n_batches(self, n_rows: int) -> int:
        n_batches = -(-n_rows // self.batch_size)
        return min(n_batches, self.steps_per_epoch or n_batches)

    def _new_seed(self) -> int:
        return int(self.rng.integers(2**64, dtype=np.uint64))


def _read(resume: StrPath | None) -> SavedTraining | None:
    """Read the checkpoint to continue from; a fit without one does not load that room."""
    if resume is None:
        return None
    from fastmlp.training.checkpoints.folder import read_newest

    return read_newest(resume)


def _refuse_checkpoints(callbacks: Any, resume: object) -> list[EpochCallback]:
    """Return the callbacks of a run that continues in memory, which no file can describe."""
    calls = as_epoch_callbacks(callbacks)
    if resume is not None or any(isinstance(call, Checkpoint) for call in calls):
        raise ValueError(
            "reset=False continues the run of this trainer, of which a checkpoint knows nothing: "
            "use it without resume and Checkpoint"
        )
    return calls
