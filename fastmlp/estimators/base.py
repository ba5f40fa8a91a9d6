"""What MLPClassifier and MLPRegressor share: scikit-learn's contract over a Trainer."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp._checks import check_targets
from fastmlp._types import Array
from fastmlp.callbacks.plateau import Plateau
from fastmlp.engine.rows import Inputs, Rows
from fastmlp.estimators.coefficients import (
    Architecture,
    copy_weights,
    initial_network,
    network_of,
    weights_of,
)
from fastmlp.estimators.inputs import (
    SPARSE_FORMATS,
    as_inputs,
    as_matrix,
    check_training_weights,
    check_weights,
    take,
    warn_if_unscaled,
)
from fastmlp.estimators.parameters import (
    check_parameters,
    hidden_sizes,
    layer_activations,
)
from fastmlp.estimators.resume import fit_fingerprint, read_for_fit
from fastmlp.estimators.settings import Memory, Training
from fastmlp.estimators.sklearn_callbacks import CallbackSupport, SklearnTasks
from fastmlp.estimators.solvers import run_solver
from fastmlp.estimators.undo import undone_on_failure
from fastmlp.estimators.validation import Score, Validator, named_scorers, split_rows
from fastmlp.losses import LOSS_FACTS, Loss
from fastmlp.network.network import Network
from fastmlp.network.summary import Summary

SklearnRandomState = int | np.random.RandomState | None

OUTPUT_NAMES = {"sigmoid": "logistic", "exponential": "exp"}
"""scikit-learn's names of output functions, where they differ."""


class BaseMLP(CallbackSupport, BaseEstimator, ABC):  # type: ignore[misc]
    """A dense network as an estimator; use one of its subclasses.

    A fitted one holds its weights once, in the Network `_weights`, of which `coefs_` and
    `intercepts_` are views. Whoever puts other arrays into these lists is heard: the next
    prediction or fit copies them. Nothing native is pickled.
    """

    # The documentation has no address on the web yet. scikit-learn leaves an empty link out of the
    # HTML, and with it the descriptions that would pop up over the names of the parameters.
    _doc_link_module = "fastmlp"
    _doc_link_template = ""
    _losses: ClassVar[tuple[str, ...]]

    # --- What the two kinds of estimators do in their own way

    @abstractmethod
    def _learn_targets(
        self, y: Any, *, first: bool, incremental: bool, classes: Any = None
    ) -> None:
        """Learn what checked targets are, or compare them with what is known.

        `classes` are what partial_fit was told of them.
        """

    @abstractmethod
    def _encode(self, y: Any, dtype: np.dtype[Any]) -> Array:
        """Checked targets as those of the network, (n, n_outputs)."""

    @abstractmethod
    def _output_and_loss(self) -> tuple[str, Loss]:
        """The output function, and the engine's loss."""

    @abstractmethod
    def _default_score(self, y: Array, weights: Array | None) -> Score | None:
        """Score of outputs against targets; None for the accuracy that comes with the loss."""

    def _training_targets(self, y: Array) -> Array:
        """What the network is trained to give out."""
        return y

    def _row_weights(self, y: Array, weights: Array | None) -> Array | None:
        """What every row counts in training."""
        return weights

    def _loss_scale(self) -> float:
        """What scikit-learn divides the loss by when it shows it."""
        return 1.0

    def _stratifies(self) -> bool:
        """Whether a random validation set keeps the shares of the classes."""
        return False

    def _has_accuracy(self) -> bool:
        """Whether the engine's hits are an accuracy."""
        return False

    # --- Fit

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        incremental: bool = False,
        classes: Any = None,
        validation: tuple[Any, Any, Any] = (None, None, None),
        groups: Any = None,
        resume: Any = None,
    ) -> Any:
        """`fit`, or one epoch more of it (incremental)."""
        self._check_parameters(incremental=incremental)
        # Before all else: what scikit-learn sets up here, it tears down however a fit ends.
        tasks = SklearnTasks(self, X, y, sample_weight, max_epochs=self.max_iter + 1)
        with undone_on_failure(self, keeps_first=not incremental):
            first = not (hasattr(self, "coefs_") and (self.warm_start or incremental))
            x, labels = self._check_data(X, y, self._wanted_dtype(first=first), reset=first)
            self._learn_targets(labels, first=first, incremental=incremental, classes=classes)
            weights = check_weights("sample_weight", sample_weight, len(x), x.dtype)
            data = Rows(x, self._encode(labels, x.dtype), weights)
            loss = self._output_and_loss()[1].name
            check_targets("y", data.y, loss, LOSS_FACTS[loss].targets)
            held_out = self._given_validation(*validation, x.dtype)
            if first:
                warn_if_unscaled(x)
            random_state = check_random_state(self.random_state)
            saved = read_for_fit(resume, random_state)
            undrawn = None if incremental else copy.deepcopy(random_state)
            self._start(data, first=first, random_state=random_state)
            train = data._replace(
                y=self._training_targets(data.y), weights=self._row_weights(data.y, data.weights)
            )
            chosen = None
            if self.early_stopping and self.solver != "lbfgs" and held_out is None:
                chosen, rest = split_rows(
                    self.validation_fraction, len(x), y=labels, groups=groups,
                    stratify=self._stratifies(), random_state=random_state,
                )  # fmt: skip
                held_out = take(data, rest), labels[rest]
            if not incremental:
                check_training_weights(train.weights, chosen)
            validator = None if held_out is None else self._validator(*held_out)
            fingerprint = None if undrawn is None else fit_fingerprint(
                self, train, chosen, held_out and held_out[0], first=first, random_state=undrawn,
            )  # fmt: skip
            tasks.begin()
            run_solver(
                self, train, validator, tasks, chosen=chosen, incremental=incremental,
                random_state=random_state, fingerprint=fingerprint,
                saved=None if undrawn is None else saved,
            )  # fmt: skip
        tasks.end()
        return self

    def _check_parameters(self, *, incremental: bool) -> None:
        """Refuse parameters that are not allowed; in partial_fit only where they are new."""
        training = vars(self).get("_training")
        if not (incremental and training is not None and training.has_parameters_of(self)):
            check_parameters(self.get_params(deep=False), self._losses)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")

    def _wanted_dtype(self, *, first: bool) -> Any:
        """What X is made of for a new network, or for the one there is."""
        if not first and hasattr(self, "_architecture"):
            dtype = self._architecture.dtype
            if self.dtype is not None and np.dtype(self.dtype) != dtype:
                raise ValueError(
                    "warm_start and partial_fit go on with the network of the previous fit: dtype "
                    f"must be None or {dtype!r}, as it was; got {self.dtype!r}"
                )
            return np.dtype(dtype)
        return (np.float64, np.float32) if self.dtype is None else np.dtype(self.dtype)

    def _check_data(self, X: Any, y: Any, dtype: Any, *, reset: bool) -> tuple[Inputs, Any]:
        """X as rows of a dtype, and y checked."""
        x, y = validate_data(
            self, X, y, accept_sparse=list(SPARSE_FORMATS), multi_output=True, dtype=dtype,
            order="C", reset=reset, y_numeric=is_regressor(self),
        )  # fmt: skip
        if y.ndim == 2 and y.shape[1] == 1 and isinstance(y, np.ndarray):
            y = column_or_1d(y, warn=True)
        return as_inputs(x), y

    def _given_validation(
        self, X: Any, y: Any, weights: Any, dtype: np.dtype[Any]
    ) -> tuple[Rows, Any] | None:
        """The validation set that was given to `fit`, as rows and as it was given; else None."""
        if X is None and y is None and weights is None:
            return None
        if X is None or y is None:
            missing = "X_val" if X is None else "y_val"
            raise ValueError(f"{missing} is missing; a validation set needs X_val and y_val")
        x, labels = self._check_data(X, y, dtype, reset=False)
        checked = check_weights("sample_weight_val", weights, len(x), x.dtype)
        targets = self._encode(labels, x.dtype)
        loss = self._output_and_loss()[1].name
        check_targets("y_val", targets, loss, LOSS_FACTS[loss].targets)
        return Rows(x, targets, checked), labels

    def _start(self, data: Rows, *, first: bool, random_state: np.random.RandomState) -> None:
        """A new network with new records; with warm_start and partial_fit those there are."""
        hidden = hidden_sizes(self.hidden_layer_sizes)
        output, _ = self._output_and_loss()
        architecture = Architecture(
            (data.x.shape[1], *hidden, data.y.shape[1]),
            layer_activations(self.activation, len(hidden)),
            output,
            str(data.x.dtype),
        )
        if first or "_weights" not in self.__dict__:
            self._architecture = architecture
            # Without hidden layers scikit-learn goes by `activation` all the same.
            names = architecture.activations or layer_activations(self.activation or "identity", 1)
            network = initial_network(architecture, names, self.initializer, random_state)
            if not first:  # weights that were set by hand before the first fit
                copy_weights(network, self.coefs_, self.intercepts_)
            self._adopt(network)
            self._clear_records()
        elif architecture != self._architecture:
            raise ValueError(
                "warm_start and partial_fit go on with the network of the previous fit: "
                + architecture.differences(self._architecture)
            )
        elif not self._weights.are(self.coefs_, self.intercepts_):
            self._adopt(network_of(architecture, self.coefs_, self.intercepts_))

    def _adopt(self, network: Network) -> None:
        """Make a network the fitted one."""
        self._weights = weights_of(network)
        self.coefs_, self.intercepts_ = self._weights.coefs.copy(), self._weights.intercepts.copy()

    def _clear_records(self) -> None:
        architecture = self._architecture
        self.n_layers_, self.n_outputs_ = len(architecture.sizes), architecture.sizes[-1]
        self.out_activation_ = OUTPUT_NAMES.get(architecture.output, architecture.output)
        self.t_ = 0
        self.loss_curve_: list[float] = []
        self.history_: dict[str, list[float]] = {}
        self.validation_scores_: list[float] | None = None
        self._watch("")
        self._training: Training | Memory | None = None

    def _watch(self, monitor: str) -> None:
        """Forget the best epoch, for a new number to be watched."""
        self._monitored = monitor
        self._plateau = Plateau(self.tol, self.n_iter_no_change)
        self._best_parameters: Array | None = None
        self.best_epoch_: int | None = None
        self.best_loss_ = None if self.early_stopping else np.inf
        self.best_validation_score_ = -np.inf if self.early_stopping else None

    def _validator(self, rows: Rows, labels: Any) -> Validator:
        if rows.weights is not None and not rows.weights.any():
            raise ValueError(
                "the validation set must contain a non-zero sample weight; all are zero. Use "
                "another random_state, or give X_val and y_val"
            )
        if self.validation_scores_ is None:
            self.validation_scores_ = []
        # Scorers predict with the network that is being trained. Their rows are arrays, which
        # must not be compared with the names of a data frame's columns.
        view = object.__new__(type(self))
        view.__dict__ |= {k: v for k, v in self.__dict__.items() if k != "feature_names_in_"}
        return Validator(
            rows,
            loss_scale=self._loss_scale(),
            score=self._default_score(rows.y, rows.weights),
            scorers=named_scorers(view, self.scoring, as_matrix(rows.x), labels, rows.weights),
        )

    # --- Using the network

    @property
    def network_(self) -> Network:
        """The fitted network, whose `predict` can write into an array that is given."""
        check_is_fitted(self)
        return self._network()

    def _network(self) -> Network:
        """The fitted network, with the numbers that are in `coefs_` and `intercepts_`."""
        if self._weights.are(self.coefs_, self.intercepts_):
            return self._weights.network
        return network_of(self._architecture, self.coefs_, self.intercepts_)

    def _outputs(self, X: Any) -> Array:
        """The network's outputs (n, n_outputs)."""
        if "_weights" not in self.__dict__:
            check_is_fitted(self)
        network = self._network()
        if type(X) is np.ndarray and "feature_names_in_" not in vars(self):
            few = network._row_engine.predict_few(network.parameters, X)
            if few is not None:
                return few
        x = validate_data(
            self, X, accept_sparse=list(SPARSE_FORMATS), dtype=network.dtype, order="C",
            reset=False,
        )  # fmt: skip
        return network.predict(x, n_threads=self.n_threads)

    def summary(self) -> Summary:
        """Layers, shapes, numbers of parameters, operations and memory of the fitted network.

        Returns
        -------
        Summary
            Text where it is printed, a table in a notebook.
        """
        check_is_fitted(self)
        return Summary.of(self._network())

    def __sklearn_is_fitted__(self) -> bool:
        return "_weights" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Everything as plain arrays: weights as `coefs_` and `intercepts_`, no engine.

        What a fit changes in place is copied, so that neither a copy nor the original hears of what
        the other learns.
        """
        state = dict(super().__getstate__())
        state.pop("_weights", None)
        training = state.pop("_training", None)
        if training is not None:
            state["_training"] = training.as_memory()
        for name in ("loss_curve_", "validation_scores_", "_plateau", "_best_parameters"):
            if name in state:
                state[name] = copy.copy(state[name])
        if "history_" in state:
            state["history_"] = {name: list(column) for name, column in self.history_.items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_architecture" in state and "coefs_" in state:
            self.__dict__.setdefault("_training", None)
            self._adopt(network_of(self._architecture, self.coefs_, self.intercepts_))
