"""MyANN: the class of the article series on an MLP for MNIST, on top of this package's engine.

Only this package and :mod:`fastmlp.cnn.articles` use the articles' names. The class is specified in
the articles "A simple Python program for an ANN to cover the MNIST dataset" II to XIII,
linux-blog.anracom.com.
"""

from __future__ import annotations

import inspect
import numbers
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import reference
from fastmlp._checks import (
    as_labels,
    check_choice,
    check_integer,
    check_iterable,
    check_number,
    check_random_state,
    check_same_length,
)
from fastmlp._types import Array, StrPath
from fastmlp.callbacks.base import Callback as TrainerCallback
from fastmlp.callbacks.base import EpochCallback
from fastmlp.data.source import Source
from fastmlp.datasets.labelled import DataTuple, LabelledData, flatten_rows, prepare
from fastmlp.myann.figures import Figures
from fastmlp.myann.parameters import FREE, LOSS_FUNCTIONS, accept_aliases, check_parameters
from fastmlp.myann.report import batch_report, epoch_report, is_due, period_for, start_report
from fastmlp.myann.sources import (
    Sources,
    accuracy,
    are_sources,
    predict_labels,
    predict_windows,
    prepare_data,
    without_sources,
)
from fastmlp.myann.step import Penalty, step_matrices
from fastmlp.network.network import Network
from fastmlp.training.history import History
from fastmlp.training.trainer import Trainer

REPORTED_EPOCHS, REPORTED_BATCHES = 20, 4
"""About so many epochs of a run, and mini-batches of an epoch, are printed by default."""

Callback = EpochCallback | Callable[["MyANN"], object]


class MyANN(Figures):
    """Multi-layer perceptron that, as in the articles, trains on MNIST when it is constructed.

    Costs and gradients are sums over a mini-batch; weights are matrices ``(n_next, n_this + 1)``
    with the bias in column 0; the penalty ``lambda2_reg / 2 * sum w**2 + lambda1_reg * sum |w|``
    (bias excluded) is part of every mini-batch's cost.

    Some parameters have a second name in the articles, which is also accepted: data_set,
    n_nodes_out_layer, n_mini_batch, lambda_reg2, lambda_reg1, mom_const.

    Parameters
    ----------
    my_data_set : str, path, (X_train, y_train, X_test, y_test), or one or two sources
        A name or path for :func:`fastmlp.datasets.load`, or arrays: X of shape (n, n_features),
        finite numbers, and y of shape (n,). Arrays are copied, never modified. Or a
        :class:`fastmlp.data.Source` of training rows with their labels, or a tuple of such a source
        and one of test rows: they are read window by window, and `X_train` and the like are empty.
    n_hidden_layers : int >= 0
        Number of hidden layers; must match `ay_nodes_layers`.
    ay_nodes_layers : sequence of int
        ``n_hidden_layers + 2`` layer widths; the first and last may be 0, to be set from the data.
    n_nodes_layer_out : int
        Number of classes expected in the data; 0 accepts any number.
    my_activation_function : str
        Activation of the hidden layers: "sigmoid", as in the articles, "tanh", "relu", or any other
        in ``fastmlp.losses.ACTIVATIONS``.
    my_out_function : {"sigmoid", "softmax", "identity"}
    my_loss_function : {"LogLoss", "MSE", "CrossEntropy"}
        LogLoss needs sigmoid or softmax, CrossEntropy needs softmax.
    n_size_mini_batch : int >= 1
        Rows per mini-batch; the last one has the remaining rows.
    n_epochs : int >= 0
        Number of epochs; 0, with which nothing is trained, is a warning unless `b_train_on_init` is
        False.
    n_max_batches : int
        Maximum number of mini-batches per epoch; negative means all.
    lambda2_reg, lambda1_reg : float >= 0
    vect_mode : {"cols", "rows"}
        Accepted for compatibility with the articles; it has no effect on the engine.
    learn_rate, decrease_const : float >= 0
        Initial learning rate eta_0 and decay d of `my_learn_rate_rule`.
    mom_rate : float in [0, 1]
    figs_x1, figs_x2 : float > 0
        Size of plots in inches.
    legend_loc : str
        Location of the legend, as in matplotlib.
    b_print_test_data : bool
        With `b_verbose`, print the shapes of the data and of the weights, and the numbers of epochs
        and mini-batches.
    random_state : int, numpy.random.Generator or None
        Seed or generator for the initial weights, shuffling and the legacy split.
    n_threads : int or None
        Number of threads, see :func:`fastmlp.resolve_threads`; it does not affect the weights.
    dtype : {"float32", "float64"}
    b_shuffle : bool
        Shuffle the training rows before every epoch.
    b_standardize : bool, "feature" or "global"
        Standardize each feature to mean 0 and variance 1 (True or "feature"), or all features with
        a common mean and deviation ("global"), fitted on the training set.
    engine : {"native", "numpy"}
        The compiled engine, or the readable one of :mod:`fastmlp.reference`.
    products : {"auto", "blas", "own"}
        Who computes the compiled engine's matrix products, as in :class:`fastmlp.Trainer`.
    b_train_on_init : bool
        Train on construction; if False, call :meth:`fit`.
    b_verbose : bool
        Print what the articles print: the epochs' reports, cost and average error of mini-batches,
        and the total time.
    print_period, print_batch_period : int >= 1 or None
        Print every so many epochs, and in these every so many mini-batches; the first and the last
        in any case. 1 and 1 print everything, as article M8 does; None means about 20 epochs of the
        run and about 4 mini-batches of an epoch.
    my_initializer : str
        legacy (article M8), range, sqrt_nodes (M13), glorot or he; see
        :mod:`fastmlp.initializers`.
    my_momentum_rule : {"one_step", "classical", "nesterov"}
        See :func:`fastmlp.reference.update`.
    my_learn_rate_rule : {"cumulative", "power", "exponential", "constant"}
        See :mod:`fastmlp.schedules`.
    reg_scale : {"per_batch", "per_sample"}
        Apply the full penalty to every mini-batch, or scale it by the batch's share of the rows.
    reduction : {"sum", "mean"}
        Use sums over a mini-batch, as in the articles, or means.
    legacy_split : bool
        As in the articles, join training and test set, scale all rows, shuffle, and split again.
    legacy_l1_cost : bool
        Report the L1 penalty with the articles' factor 1/2.
    b_measure_accuracy : bool
        Measure cost and accuracy on the full training and test sets after every epoch.
    callbacks : iterable of callables or fastmlp.callbacks.EpochCallback
        Callables are called with this object after every epoch; returning True stops training.
        EpochCallbacks are passed its `trainer`: ``EarlyStopping("val_accuracy")`` stops when a
        metric no longer improves, ``TargetReached(0.01)`` when the mean error is low enough,
        ``TimeBudget("10min")`` after a time limit; ``Checkpoint(folder)`` saves the run, and
        `LivePlot` plots it.
    resume : str, bytes or PathLike, optional
        A checkpoint from which to resume, as in `fit`.

    Attributes
    ----------
    history : History
        Everything recorded; its entries ``costs``, ``errors``, ``reg_share`` (per epoch and batch),
        ``learning_rates``, ``train_accuracy``, ``epoch_seconds`` (per epoch) are attributes too;
        ``val_accuracy`` is `test_accuracy`, the test set's. After an interrupted or
        diverged fit it holds the finished epochs.
    weights : list of ndarray of shape (n_next, n_this + 1)
        Weight matrices; can be assigned before `fit` or later.
    classes_ : ndarray of shape (n_classes,)
        Class labels in the order of the outputs.
    data : LabelledData
        Scaled inputs ``X_train``, ``X_test`` of type `dtype`, labels ``y_train``, ``y_test`` and
        one-hot targets ``Y_train``, ``Y_test``; these six are attributes too.
    network, trainer, scaler : Network, Trainer, Scaler

    Raises
    ------
    ValueError, TypeError
        For a bad argument or bad data, before any training; the message names the argument.
    DataFormatError, OSError
        For a data file that is missing or damaged.
    DivergenceError
        If the loss or the weights become NaN or infinite.

    Examples
    --------
    >>> ann = MyANN(
    ...     "digits", 1, [0, 30, 0], n_epochs=20, learn_rate=0.01, random_state=0, b_verbose=False
    ... )
    >>> bool(ann.test_accuracy[-1] > 0.9)
    True
    """

    __module__ = "fastmlp.myann"  # the public address, so that pickles survive moves of the file

    # Set from the table of checks.
    n_hidden_layers: int
    n_nodes_layer_out: int
    my_activation_function: str
    my_out_function: str
    my_loss_function: str
    lambda2_reg: float
    lambda1_reg: float
    vect_mode: str
    learn_rate: float
    decrease_const: float
    mom_rate: float
    b_print_test_data: bool
    dtype: np.dtype[Any]
    b_shuffle: bool
    engine: str
    products: str
    b_verbose: bool
    print_period: int | None
    print_batch_period: int | None
    my_initializer: str
    my_momentum_rule: str
    my_learn_rate_rule: str
    reg_scale: str
    reduction: str
    legacy_split: bool
    legacy_l1_cost: bool
    b_measure_accuracy: bool

    @accept_aliases
    def __init__(
        self,
        my_data_set: StrPath | DataTuple | LabelledData | Sources = "mnist",
        n_hidden_layers: int = 1,
        ay_nodes_layers: Sequence[int] = (0, 100, 0),
        n_nodes_layer_out: int = 10,
        my_activation_function: str = "sigmoid",
        my_out_function: str = "sigmoid",
        my_loss_function: str = "LogLoss",
        n_size_mini_batch: int = 50,
        n_epochs: int = 1,
        n_max_batches: int = -1,
        lambda2_reg: float = 0.1,
        lambda1_reg: float = 0.0,
        vect_mode: str = "cols",
        learn_rate: float = 0.001,
        decrease_const: float = 0.00001,
        mom_rate: float = 0.0005,
        figs_x1: float = 12.0,
        figs_x2: float = 8.0,
        legend_loc: str = "upper right",
        b_print_test_data: bool = True,
        *,
        random_state: int | np.random.Generator | None = None,
        n_threads: int | None = None,
        dtype: str = "float32",
        b_shuffle: bool = True,
        b_standardize: bool | str = True,
        engine: str = "native",
        products: str = "auto",
        b_train_on_init: bool = True,
        b_verbose: bool = True,
        print_period: int | None = None,
        print_batch_period: int | None = None,
        my_initializer: str = "legacy",
        my_momentum_rule: str = "one_step",
        my_learn_rate_rule: str = "cumulative",
        reg_scale: str = "per_batch",
        reduction: str = "sum",
        legacy_split: bool = False,
        legacy_l1_cost: bool = False,
        b_measure_accuracy: bool = True,
        callbacks: Iterable[Callback] = (),
        resume: StrPath | None = None,
    ) -> None:
        checked = check_parameters(locals())
        self.my_data_set = my_data_set
        self.scaler = checked.pop("b_standardize")
        train_at_once = checked.pop("b_train_on_init")
        for name, value in checked.items():
            setattr(self, name, value)
        self._rng = check_random_state("random_state", random_state)
        self._seed = random_state if isinstance(random_state, numbers.Integral) else None
        self.history = History()
        self._handle_input_data()
        self._set_ANN_structure()
        self._prepare_epochs_and_batches()
        if self.b_verbose and self.b_print_test_data:
            self._print_test_data()
        if train_at_once:
            if self.n_epochs == 0:
                warnings.warn(
                    "n_epochs=0 trains nothing, and the weights are the initial ones; "
                    "b_train_on_init=False says so without this warning",
                    stacklevel=3,
                )
            self.fit(callbacks=callbacks, resume=resume)

    # --- Construction -----------------------------------------------------------------------------

    def _handle_input_data(self) -> None:
        """Import, check, split, scale and encode the data; compare the number of classes."""
        if isinstance(self.my_data_set, LabelledData):  # already prepared, by a model file
            self.data = self.my_data_set
        elif are_sources(self.my_data_set):
            if self.legacy_split:
                raise ValueError("legacy_split must be False where my_data_set is a source")
            self.sources = prepare_data(self.my_data_set, self.scaler)
            self.data = without_sources(self.sources, self.dtype)
            self.feature_names = self.sources.train.feature_names
        else:
            self.data = prepare(
                cast(StrPath | DataTuple, self.my_data_set),
                self.scaler,
                self.dtype,
                argument="my_data_set",
                mix=self._rng if self.legacy_split else None,
            )
        n_found, n_expected = len(self.classes_), self.n_nodes_layer_out
        if n_expected not in (0, n_found):
            shown = ", ".join(map(str, self.classes_[:20])) + (", …" if n_found > 20 else "")
            raise ValueError(
                f"n_nodes_layer_out = {n_expected} must match the {n_found} classes in y_train: "
                f"{shown}"
            )

    def _set_ANN_structure(self) -> None:
        """Fill in the widths of the first and last layer and create the weights."""
        n_features, n_classes = self.X_train.shape[1], len(self.classes_)
        for i, name, found in ((0, "input features", n_features), (-1, "classes", n_classes)):
            wanted = self.ay_nodes_layers[i]
            if wanted not in (0, found):
                raise ValueError(
                    f"ay_nodes_layers[{i}] must be 0 or the number of {name}, {found}; got {wanted}"
                )
            self.ay_nodes_layers[i] = found
        self.network = Network(
            self.ay_nodes_layers,
            activation=self.my_activation_function,
            output=self.my_out_function,
            dtype=self.dtype.name,
            initializer=self.my_initializer,
            random_state=self._rng,
        )

    def _prepare_epochs_and_batches(self) -> None:
        """Create the trainer, and determine the number of batches per epoch."""
        limit = self.n_max_batches if self.n_max_batches > 0 else None
        self.trainer = self._trainer(self.learn_rate, self.n_size_mini_batch, limit)

    def _trainer(self, learn_rate: float, batch_size: int, steps_per_epoch: int | None) -> Trainer:
        return Trainer(
            self.network,
            loss=LOSS_FUNCTIONS[self.my_loss_function],
            learning_rate=learn_rate,
            schedule=self.my_learn_rate_rule,
            decay=self.decrease_const,
            momentum=self.mom_rate,
            momentum_rule=self.my_momentum_rule,
            l1=self.lambda1_reg,
            l2=self.lambda2_reg,
            legacy_l1_cost=self.legacy_l1_cost,
            penalty_scale=self.reg_scale,
            reduction=self.reduction,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            shuffle=self.b_shuffle,
            n_threads=self.n_threads,
            engine=self.engine,
            products=self.products,
            random_state=self._rng,
        )

    # --- Training ---------------------------------------------------------------------------------

    def fit(
        self,
        n_epochs: int | None = None,
        *,
        callbacks: Iterable[Callback] = (),
        resume: StrPath | None = None,
    ) -> MyANN:
        """Train from the current weights, starting again at the initial learning rate.

        Parameters
        ----------
        n_epochs : int >= 0 or None
            Total number of epochs, including those before `resume`; None means the constructor's
            `n_epochs`.
        callbacks : iterable of callables or fastmlp.callbacks.EpochCallback
            As in the constructor.
        resume : str, bytes or PathLike, optional
            A checkpoint file of :class:`fastmlp.Checkpoint`, or its folder, from which training
            resumes as if it had not ended.

        Returns
        -------
        MyANN
            This object; the record is in `history`.

        Raises
        ------
        ResumeError
            If `resume` belongs to a run with other parameters or data, which are listed; a
            ValueError.
        ModelFormatError, OSError
            If `resume` is damaged or missing, or a checkpoint cannot be written.
        DivergenceError, KeyboardInterrupt
            Weights and history up to then are kept.
        """
        if self.sources is None:
            self._require_rows("fit")
        n_epochs = self.n_epochs if n_epochs is None else n_epochs
        return self._fit(self.trainer, n_epochs, callbacks, resume, "MyANN")

    def fit_full_cost(
        self,
        n_epochs: int,
        *,
        learn_rate: float | None = None,
        callbacks: Iterable[Callback] = (),
        resume: StrPath | None = None,
    ) -> MyANN:
        """Train further on the cost of the full training set, one step per epoch (article M7).

        Because every mini-batch has a different cost surface, `fit` ends near the minimum of the
        total cost but keeps moving around it; this method descends to the minimum. The cost is that
        of one batch with all rows (``train_cost`` in the history), with the penalty scaled as set
        by `reg_scale`. A new `history` is started.

        Parameters
        ----------
        n_epochs : int >= 0
        learn_rate : float >= 0 or None
            Initial rate of `my_learn_rate_rule`. None means the rate of the last epoch, multiplied,
            if gradients are sums, by ``n_size_mini_batch / n_rows``: then a step is as long as one
            on a mini-batch.
        callbacks, resume
            As in `fit`.

        Returns
        -------
        MyANN

        Raises
        ------
        ValueError, TypeError
            If an argument is out of range.
        ResumeError, ModelFormatError, OSError, DivergenceError, KeyboardInterrupt
            As in `fit`.
        """
        self._require_rows("fit_full_cost")
        n_rows = len(self.X_train)
        if learn_rate is None:
            learn_rate = self.learn_rate
            if self.history.n_epochs:
                learn_rate = self.history.last("learning_rates")
            if self.reduction == "sum" and self.n_size_mini_batch < n_rows:
                learn_rate *= self.n_size_mini_batch / n_rows
        trainer = self._trainer(check_number("learn_rate", learn_rate), n_rows, None)
        return self._fit(trainer, n_epochs, callbacks, resume, "MyANN on the full cost")

    def _fit(
        self,
        trainer: Trainer,
        n_epochs: int,
        callbacks: Iterable[Callback],
        resume: StrPath | None,
        owner: str,
    ) -> MyANN:
        """Train with the given trainer, and take over its history."""
        given = check_iterable("callbacks", callbacks, "callbacks")
        check_integer("n_epochs", n_epochs, minimum=0)
        calls: list[TrainerCallback] = [self._adopt_history]
        if self.b_verbose:
            if self.b_print_test_data:
                n_batches = self.n_batches if trainer is self.trainer else 1
                print(start_report(n_epochs, n_batches, trainer.batch_size))
            calls.append(lambda _: self._print_epoch(n_epochs))
        calls += [_with_ann(call, self) for call in given]
        trainer.history = self.history  # until fit creates a new one
        try:
            train, test = self._fit_data()
            trainer.fit_as(
                owner,
                self._settings(),
                *train,
                n_epochs=n_epochs,
                validation_data=test if self.b_measure_accuracy else None,
                measure_train=self.b_measure_accuracy,
                callbacks=calls,
                resume=resume,
            )
        finally:
            self.history = trainer.history
        if self.b_verbose:
            if self.history.n_epochs and not self._is_reported(n_epochs):  # ended early
                self._print_epoch(n_epochs, always=True)
            print(f"Total training time: {self.epoch_seconds.sum():.3f} s. Stopped regularly.")
        return self

    def _settings(self) -> dict[str, Any]:
        """Return the parameters, except data, that must be the same in a resumed run."""
        names = inspect.signature(MyANN.__init__).parameters.keys() - FREE
        settings = {name: getattr(self, name) for name in sorted(names)}
        settings |= {"dtype": self.dtype.name, "b_standardize": self.scaler.kind}
        return settings | {"random_state": "no number" if self._seed is None else self._seed}

    def _adopt_history(self, trainer: Trainer) -> None:
        self.history = trainer.history

    def reset(self, random_state: int | np.random.Generator | None = None) -> None:
        """Draw new initial weights and clear the history; `fit` then starts from scratch."""
        rng = self._rng
        if random_state is not None:
            rng = check_random_state("random_state", random_state)
        self.network.initialize(rng)
        self.trainer.forget()
        self.history = self.trainer.history

    # --- Using the network ------------------------------------------------------------------------

    def predict_proba(self, X: ArrayLike | Source) -> Array:
        """Return the network's outputs, one column per class in the order of `classes_`.

        X of shape (n, n_features) must be unscaled; the training set's scaler is applied. Softmax
        outputs sum to 1; sigmoid outputs need not. A :class:`fastmlp.data.Source`, also one without
        labels, is read window by window.
        """
        if isinstance(X, Source):
            return np.concatenate([outputs for outputs, _ in predict_windows(self, X)])
        x = flatten_rows("X", X, self.X_train.shape[1])
        return self.network.predict(self.scaler.transform(x, self.dtype), n_threads=self.n_threads)

    def predict(self, X: ArrayLike | Source) -> NDArray[Any]:
        """Return the labels (n,) with the largest outputs for unscaled X (n, n_features).

        X may be a source, as in `predict_proba`.
        """
        if isinstance(X, Source):
            return predict_labels(self, X)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]  # type: ignore[no-any-return]

    def score(self, X: ArrayLike | Source, y: ArrayLike | None = None) -> float:
        """Return the accuracy, in [0, 1], on unscaled X (n, n_features) with labels y (n,).

        X may be a source, which has the labels.
        """
        if isinstance(X, Source):
            if y is not None:
                raise ValueError("y must be None, because X is a source")
            return accuracy(self, X)
        if y is None:
            raise ValueError("y must be the labels; got None")
        labels = as_labels("y", y)
        predicted = self.predict(X)
        check_same_length("X", len(predicted), "y", len(labels))
        return float((predicted == labels).mean())

    def look_into_mini_batch(
        self,
        num_batch: int = 0,
        *,
        version: reference.Version = "V1.6",
        bias: reference.BiasTreatment = "product_sliced",
    ) -> dict[str, list[Array | None]]:
        """Return all matrices of one training step, computed by :mod:`fastmlp.reference`.

        They are those of mini-batch `num_batch` (from 0) of the training rows in their stored
        order, with shape (nodes, samples) as in the articles; the object is not changed.

        Parameters
        ----------
        num_batch : int >= 0
        version : {"V1.0", "V1.5", "V1.6"}
            Version of back propagation; V1.0 also computes the unnecessary matrices of layer 0.
        bias : {"row_added", "weights_sliced", "product_sliced"}
            Treatment of the bias; with ``row_added`` the matrices of ``D`` have a bias row.

        Returns
        -------
        dict of str to list
            ``Z``, ``A`` (with bias rows), ``D`` (derivative of a layer's function) and ``delta``
            (dC/dZ) of the layers 0 … E, with None where there is none: layer 0 except in V1.0, and
            ``D`` of a softmax output. ``grad``, one per weight matrix, is summed over the samples,
            without penalties; ``grad_with_penalty`` is what the update multiplies with the learning
            rate: with penalties, and a mean for ``reduction="mean"``.

        Raises
        ------
        ValueError, TypeError
            If an argument is not among these, or the object has no data.
        """
        self._require_rows("look_into_mini_batch")
        check_choice("version", version, reference.VERSIONS)
        check_choice("bias", bias, reference.BIAS_TREATMENTS)
        check_integer("num_batch", num_batch, minimum=0, maximum=self.n_mini_batches - 1)
        rows = slice(num_batch * self.n_size_mini_batch, (num_batch + 1) * self.n_size_mini_batch)
        n_rows = len(self.X_train[rows])
        share = n_rows / len(self.X_train) if self.reg_scale == "per_sample" else 1.0
        return step_matrices(
            self.weights,
            self.network.functions,
            self.trainer.loss,
            reference.input_layer(self.X_train, rows),
            self.Y_train[rows].T,
            Penalty(
                1 / n_rows if self.reduction == "mean" else 1.0,
                self.lambda1_reg * share,
                self.lambda2_reg * share,
            ),
            version,
            bias,
        )

    # --- Reports ---------------------------------------------------------------------------------

    def _print_test_data(self) -> None:
        print(f"Data: {self.data.source}")
        for name in () if self.sources else ("X_train", "y_train", "X_test", "y_test"):
            print(f"  {name}: {getattr(self, name).shape}")
        for number, w in enumerate(self.weights):
            print(f"  weights L{number} to L{number + 1}: {w.shape}")

    def _is_reported(self, n_epochs: int) -> bool:
        """Return whether the last finished epoch of `n_epochs` belongs to the printed ones."""
        period = period_for(self.print_period, n_epochs, REPORTED_EPOCHS)
        return is_due(self.history.n_epochs - 1, n_epochs, period)

    def _print_epoch(self, n_epochs: int, *, always: bool = False) -> None:
        """Print the report on the last finished epoch, if its turn has come, and on its batches."""
        if not (always or self._is_reported(n_epochs)):
            return
        n_batches = len(self.history.last_batches("costs"))
        period = period_for(self.print_batch_period, n_batches, REPORTED_BATCHES)
        title, report = self.epoch_report().split("\n", maxsplit=1)
        print(title, batch_report(self.history, period), report, sep="\n")

    def epoch_report(self) -> str:
        """Return the articles' report on the last finished epoch, as several lines of text."""
        if self.history.n_epochs == 0:
            raise ValueError("nothing to report: no finished epoch")
        n_epochs = max(self.n_epochs, self.history.n_epochs)
        return epoch_report(self.history, n_epochs, self.weights, self.trainer.objective.penalty())


def _with_ann(callback: Callback, ann: MyANN) -> TrainerCallback:
    """Return a callable that is passed the MyANN instead of its Trainer."""
    if isinstance(callback, EpochCallback) or not callable(callback):
        return callback  # the Trainer rejects what is neither
    return lambda trainer: callback(ann)
