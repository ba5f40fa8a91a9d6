"""Common base of MLPClassifier and MLPRegressor: scikit-learn's estimator interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp._checks import check_targets
from fastmlp._links import Documented
from fastmlp._types import Array
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.checkpoint import Checkpoint
from fastmlp.data.source import Source
from fastmlp.engine.rows import Inputs, Rows
from fastmlp.estimators.coefficients import (
    Architecture,
    Weights,
    copy_weights,
    initial_network,
    network_of,
)
from fastmlp.estimators.fit import Fit
from fastmlp.estimators.held_out import hold_out, validation_rows
from fastmlp.estimators.inputs import (
    SOURCE_ADVICE,
    SPARSE_FORMATS,
    STEP_ADVICE,
    as_inputs,
    as_matrix,
    check_training_weights,
    check_weights,
    wanted_dtype,
    warn_if_unscaled,
)
from fastmlp.estimators.labels import check_targets_of, check_y, has_validation_set
from fastmlp.estimators.naming import frame_dtype, naming, naming_columns, refuse_lazy
from fastmlp.estimators.parameters import (
    as_random_state,
    check_parameters,
    hidden_sizes,
    layer_activations,
)
from fastmlp.estimators.records import FitRecord, RecordOwner
from fastmlp.estimators.resume import resumable_fit
from fastmlp.estimators.settings import LastTrainer
from fastmlp.estimators.sklearn_callbacks import (
    CallbackSupport,
    SklearnTasks,
    epoch_callbacks,
    manages_callbacks,
)
from fastmlp.estimators.solvers import run_solver
from fastmlp.estimators.source_scores import hidden_outputs, predicted
from fastmlp.estimators.sources import check_fit, check_none, learn_from, reader_of
from fastmlp.estimators.to_sklearn import to_sklearn
from fastmlp.estimators.undo import rollback_on_failure
from fastmlp.estimators.validation import (
    Score,
    Validator,
    check_validation_weights,
    named_scorers,
)
from fastmlp.losses import LOSS_FACTS, Loss
from fastmlp.network.network import Network
from fastmlp.network.summary import Summary

SklearnRandomState = int | np.random.RandomState | np.random.Generator | None


@cache
def _parameter_names(cls: type[BaseEstimator], constructor: Any) -> tuple[str, ...]:
    """Return the names of a class's parameters; `constructor` is there as a part of the key."""
    return tuple(BaseEstimator._get_param_names.__func__(cls))


class BaseMLP(CallbackSupport, RecordOwner, Documented, BaseEstimator, ABC):  # type: ignore[misc]
    """Base class of the estimators; use one of its subclasses.

    A fitted estimator stores its weights once, in the network of its record; `coefs_` and
    `intercepts_` are views of them. Assigning other arrays to these lists takes effect at the next
    prediction or fit, which copies them. Nothing native is pickled.
    """

    _losses: ClassVar[tuple[str, ...]]
    _sklearn_name: ClassVar[str]

    def _keep_parameters(self, arguments: dict[str, Any]) -> None:
        """Set the arguments of `__init__` as attributes, as scikit-learn requires."""
        self.__dict__.update((name, value) for name, value in arguments.items() if name != "self")

    # --- Methods that the subclasses override

    @abstractmethod
    def _learn_targets(
        self, y: Any, *, first: bool, incremental: bool, classes: Any = None
    ) -> None:
        """Learn the classes of checked targets, or compare them with the known ones.

        `classes` are those given to partial_fit.
        """

    @abstractmethod
    def _encode(self, y: Any, dtype: np.dtype[Any], name: str = "y") -> Array:
        """Convert checked targets, called `name` in errors, to the network's, (n, n_outputs)."""

    @abstractmethod
    def _output_and_loss(self) -> tuple[str, Loss]:
        """Return the name of the output function, and the loss."""

    @abstractmethod
    def _default_score(self, y: Array, weights: Array | None) -> Score | None:
        """Return the default score function; None for the accuracy that the engine computes."""

    def _hard_labels(self, y: Any) -> Any:
        """Return targets as splitters and scorers know them: labels where y has probabilities."""
        return y

    def _training_targets(self, y: Array) -> Array:
        """Return the targets used in training, for example smoothed ones."""
        return y

    def _sample_weights(self, y: Array, weights: Array | None) -> Array | None:
        """Return the sample weights used in training."""
        return weights

    def _warn_of_targets(self, y: Array) -> None:
        """Warn about targets whose scale makes training slow."""

    def _learn_scale(self, y: Any, weights: Array | None, *, first: bool) -> None:
        """Learn the scale of checked targets, if they are scaled."""

    def _loss_scale(self) -> float:
        """Return the number by which the reported loss is divided, as in scikit-learn."""
        return 1.0

    def _stratifies(self) -> bool:
        """Return whether a random validation split is stratified by class."""
        return False

    def _has_accuracy(self) -> bool:
        """Return whether the engine's count of correct rows is an accuracy."""
        return False

    # --- Parameters

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Return the names of the constructor's parameters, which scikit-learn often asks for.

        Reading a signature takes a tenth of a short fit.
        """
        return list(_parameter_names(cls, cls.__init__))

    # --- Fit

    @manages_callbacks
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        groups: Any = None,
        resume: Any = None,
    ) -> Any:
        """Train the network.

        If `fit` raises, the estimator is unchanged, with two exceptions: if a first fit diverges,
        is interrupted, or fails after an epoch, its last finite weights are kept; and Ctrl-C after
        an epoch keeps what was learned. KeyboardInterrupt is raised with every solver;
        scikit-learn only warns.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Finite numbers; float32 and float64 are used without a copy if C-ordered.
            Or a :class:`fastmlp.data.Source`, which has targets and sample weights too: then the
            rows are read window by window, classes, or the scale of targets, are learned in one
            pass over all of them, and float32 is used where it has all of the source's numbers.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Not with a source. Finite numbers for a regressor; for a classifier, labels of any type,
            multilabel indicators 0 and 1 (also sparse), or probabilities of every class
            (n_samples, n_classes), for example those of another model.
        sample_weight : array-like of shape (n_samples,) or float, optional
            Weight >= 0 of every row; a weight of k counts like k copies of the row.
        X_val, y_val : like X and y, optional
            Validation data, evaluated after every epoch. With early stopping, it replaces the rows
            that would be set aside; without, it is only evaluated. For pipelines, see the
            parameter `transform_input` of Pipeline. `X_val` may be a source, without `y_val`; it is
            read into memory.
        sample_weight_val : array-like of shape (n_val,) or float, optional
            Sample weights of `X_val`.
        groups : array-like of shape (n_samples,), optional
            Groups for a splitter in `validation_fraction`.
        resume : str, bytes or PathLike, optional
            A checkpoint file written by :class:`fastmlp.Checkpoint`, or its folder, which stands
            for the latest checkpoint in it. The fit continues from there as if it had not ended; it
            starts from scratch if the folder does not exist or is empty. `max_iter` and `n_threads`
            may differ; other parameters and the data must not.

        Returns
        -------
        self

        Raises
        ------
        ParameterError
            If a parameter is not allowed (both a ValueError and a TypeError).
        ValueError
            If the data is invalid or does not match earlier data; a DataFormatError with the place
            for rows of a source.
        ResumeError
            If `resume` belongs to a fit with other data or parameters, which are listed; a
            ValueError.
        ModelFormatError, OSError
            If `resume` is damaged or missing.
        KeyboardInterrupt
            After Ctrl-C; weights and records of the finished epochs are kept.
        DivergenceError
            If the loss or the weights become NaN or infinite; a ValueError. With early stopping,
            after the first epoch, this is a warning, and the best weights are restored.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` is reached before convergence, unless `learning_rate` is "cosine" or
            "one_cycle", whose schedules end there.
        UnscaledInputWarning
            If a feature has a standard deviation above 100; with a regressor also if a target has,
            or a mean far from 0 compared with it, except with "lbfgs" and positive losses.
        """
        return self._fit(
            X,
            y,
            sample_weight,
            validation=(X_val, y_val, sample_weight_val),
            groups=groups,
            resume=resume,
        )

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
        end_of_epoch: bool = True,
    ) -> Any:
        """Implement `fit`, and partial_fit (incremental), which is one more epoch."""
        self._check_parameters(incremental=incremental)
        # First of all, because scikit-learn tears these down however the fit ends.
        given = vars(self).get("_skl_callbacks")
        tasks = SklearnTasks(self, X, y, sample_weight) if given else None
        callbacks = [tasks, *epoch_callbacks(given)] if given and tasks else []
        with rollback_on_failure(self, keeps_first=not incremental):
            fit = self._prepare(
                X,
                y,
                sample_weight,
                callbacks,
                incremental=incremental,
                classes=classes,
                validation=validation,
                groups=groups,
                resume=resume,
            )
            if tasks:
                tasks.begin()
            run_solver(fit, end_of_epoch=end_of_epoch)
            self._publish()
        if tasks:
            tasks.end()
        return self

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        callbacks: Sequence[EpochCallback],
        *,
        incremental: bool,
        classes: Any,
        validation: tuple[Any, Any, Any],
        groups: Any,
        resume: Any,
    ) -> Fit:
        """Check all arguments of a fit, create the network, and select the validation rows."""
        first = not (hasattr(self, "coefs_") and (self.warm_start or incremental))
        dtype = self._wanted_dtype(first=first)
        if isinstance(X, Source):
            check_none({"y": y, "sample_weight": sample_weight, "groups": groups})
            check_fit(self, X, incremental=incremental, has_validation=validation[0] is not None)
            x, labels, known = learn_from(self, X, dtype, reset=first)
        else:
            x, labels = self._check_data(X, y, dtype, reset=first)
            known = labels
        self._learn_targets(known, first=first, incremental=incremental, classes=classes)
        weights = check_weights("sample_weight", sample_weight, len(x), x.dtype)
        self._learn_scale(known, weights, first=first)
        output, loss = self._output_and_loss()
        rows = self._rows(x, labels, weights, loss)
        held_out = self._given_validation(*validation, x.dtype, loss)
        if held_out is not None and held_out[0].y.shape[1] != rows.y.shape[1]:
            raise ValueError(
                f"y_val must have as many columns as y, {rows.y.shape[1]}; got "
                f"{held_out[0].y.shape[1]}"
            )
        if first:
            warn_if_unscaled(x, SOURCE_ADVICE if isinstance(X, Source) else STEP_ADVICE)
            if self.solver != "lbfgs":  # which adapts to the scale of the targets
                self._warn_of_targets(rows.y)
        random_state = as_random_state(self.random_state)
        resumable = None
        if resume is not None or any(isinstance(call, Checkpoint) for call in callbacks):
            resumable = resumable_fit(resume, random_state, incremental=incremental)
        record = self._start(rows, output, first=first, random_state=random_state)
        row_index = None
        if self.early_stopping and self.solver != "lbfgs" and held_out is None:
            X, row_index, held_out = hold_out(self, X, rows, labels, groups, loss, random_state)
        train = rows._replace(
            y=self._training_targets(rows.y), weights=self._sample_weights(rows.y, rows.weights)
        )
        if not incremental and not isinstance(X, Source):  # whose reader sees all weights
            check_training_weights(train.weights, row_index)
        reader = reader_of(self, X, rows, loss) if isinstance(X, Source) else None
        fingerprint = saved = None
        if resumable is not None:
            validation_rows = None if held_out is None else held_out[0]
            saved = resumable.saved
            fingerprint = resumable.fingerprint(
                type(self).__name__, self, reader or train, row_index, validation_rows, first=first
            )
        return Fit(
            parameters=self,
            record=record,
            publish=self._publish,
            train=reader or train,
            row_index=row_index,
            validator=None if held_out is None else self._validator(record, *held_out),
            loss=loss,
            loss_scale=self._loss_scale(),
            has_accuracy=self._has_accuracy(),
            random_state=random_state,
            callbacks=callbacks,
            incremental=incremental,
            fingerprint=fingerprint,
            saved=saved,
        )

    def _check_parameters(self, *, incremental: bool) -> None:
        """Reject invalid parameters; in partial_fit, check them only if they have changed."""
        last = None if self._record is None else self._record.last
        known = incremental and isinstance(last, LastTrainer) and last.has_parameters(vars(self))
        if not known:
            check_parameters(self.get_params(deep=False), self._losses)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")

    def _wanted_dtype(self, *, first: bool) -> Any:
        """Return the dtypes that X may have: any for a new network, that of an existing one."""
        record = None if first else self._record
        return wanted_dtype(self.dtype, None if record is None else record.architecture.dtype)

    def _check_data(
        self, X: Any, y: Any, dtype: Any, *, reset: bool, suffix: str = ""
    ) -> tuple[Inputs, Any]:
        """Return X as checked rows of a dtype, and y checked."""
        numeric = is_regressor(self)
        refuse_lazy(f"X{suffix}", X)
        if y is None:  # reported first, as in scikit-learn
            check_y(f"y{suffix}", y, self, numeric=numeric)
        x = self._check_rows(f"X{suffix}", X, dtype, reset=reset)
        labels = check_targets_of(f"y{suffix}", y, self, f"X{suffix}", x.shape[0], numeric=numeric)
        return as_inputs(x), labels

    def _check_rows(self, name: str, X: Any, dtype: Any, *, reset: bool) -> Any:
        """Return X as a checked C-ordered array or sparse matrix of a dtype."""
        with naming(name), naming_columns(name, X):
            return validate_data(
                self,
                X,
                accept_sparse=list(SPARSE_FORMATS),
                dtype=frame_dtype(X, dtype),
                order="C",
                reset=reset,
            )

    def _rows(
        self, x: Inputs, labels: Any, weights: Array | None, loss: Loss, *, suffix: str = ""
    ) -> Rows:
        """Return checked rows with targets; `suffix` is appended to names in error messages."""
        targets = self._encode(labels, x.dtype, name=f"y{suffix}")
        check_targets(f"y{suffix}", targets, loss.name, LOSS_FACTS[loss.name].targets)
        return Rows(x, targets, weights)

    def _given_validation(
        self, X: Any, y: Any, weights: Any, dtype: np.dtype[Any], loss: Loss
    ) -> tuple[Rows, Any] | None:
        """Return the validation data given to `fit`, as rows and as labels, or None."""
        if isinstance(X, Source):
            check_none({"y_val": y, "sample_weight_val": weights}, "X_val")
            return validation_rows(self, X, dtype, loss)
        if not has_validation_set(X, y, weights):
            return None
        x, labels = self._check_data(X, y, dtype, reset=False, suffix="_val")
        checked = check_weights("sample_weight_val", weights, len(x), dtype)
        return self._rows(x, labels, checked, loss, suffix="_val"), labels

    def _start(
        self, rows: Rows, output: str, *, first: bool, random_state: np.random.RandomState
    ) -> FitRecord:
        """Make a new network and its record, or continue with the existing ones."""
        hidden = hidden_sizes(self.hidden_layer_sizes)
        architecture = Architecture(
            (rows.x.shape[1], *hidden, rows.y.shape[1]),
            layer_activations(self.activation, len(hidden)),
            output,
            str(rows.x.dtype),
        )
        record = None if first else self._record
        if record is None:
            # Even without hidden layers, scikit-learn's initialization depends on `activation`.
            names = architecture.activations or layer_activations(self.activation or "identity", 1)
            with naming("hidden_layer_sizes"):
                network = initial_network(architecture, names, self.initializer, random_state)
            if not first:  # copy weights that the user has replaced
                copy_weights(network, self.coefs_, self.intercepts_)
            record = FitRecord.new(architecture, Weights(network), self)
        elif architecture != record.architecture:
            raise ValueError(
                "warm_start and partial_fit continue with the network of the previous fit: "
                + architecture.differences(record.architecture)
            )
        elif not record.weights.are(self.coefs_, self.intercepts_):
            record.weights = Weights(network_of(architecture, self.coefs_, self.intercepts_))
        self._adopt(record)
        return record

    def _validator(self, record: FitRecord, rows: Rows, labels: Any) -> Validator:
        """Return the Validator that evaluates the validation rows after every epoch."""
        check_validation_weights(rows.weights)
        if record.validation_scores is None:
            record.validation_scores = []
        # Scorers predict with the network that is being trained. Their rows are arrays, which
        # must not be compared with the names of a data frame's columns.
        view = object.__new__(type(self))
        view.__dict__ |= {k: v for k, v in self.__dict__.items() if k != "feature_names_in_"}
        return Validator(
            rows,
            loss_scale=self._loss_scale(),
            score=self._default_score(rows.y, rows.weights),
            scorers=named_scorers(
                view, self.scoring, as_matrix(rows.x), self._hard_labels(labels), rows.weights
            ),
        )

    # --- Using the network

    @property
    def network_(self) -> Network:
        """The fitted network, whose `predict` can write into an existing array."""
        check_is_fitted(self)
        return self._network()

    def _exported_network(self) -> Network:
        """Return a network for other libraries, whose outputs are those of the estimator."""
        return self._network()

    def _network(self) -> Network:
        """Return the fitted network, updated with the values in `coefs_` and `intercepts_`."""
        record = self._record
        assert record is not None
        if record.weights.are(self.coefs_, self.intercepts_):
            return record.weights.network
        return network_of(record.architecture, self.coefs_, self.intercepts_)

    def _predicted(self, X: Any, finish: Callable[[Array], Any]) -> Any:
        """Return what `finish` makes of the outputs, of the rows of a source window by window."""
        if type(X) is not np.ndarray and isinstance(X, Source):
            return predicted(self, X, finish)
        return finish(self._outputs(X))

    def _outputs(self, X: Any) -> Array:
        """Return the network's outputs (n, n_outputs)."""
        if self._record is None:
            check_is_fitted(self)
        network = self._network()
        if type(X) is np.ndarray and "feature_names_in_" not in vars(self):
            done = network._predict_dense(X, n_threads=self.n_threads)
            if done is not None:
                return done
        x = self._check_rows("X", X, network.dtype, reset=False)
        return network.predict(x, n_threads=self.n_threads)

    def hidden_outputs(self, X: Any, *, layer: int = -2) -> Array:
        """Compute the outputs of one layer of the network, by default of the last hidden layer.

        This is not called `transform`, because the estimator would then be a transformer too, whose
        `fit_transform` and place in the middle of a Pipeline would not be about its predictions;
        ``FunctionTransformer(clf.hidden_outputs)`` is such a step.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or fastmlp.data.Source
        layer : int
            0 is the input layer, i the layer behind ``coefs_[i - 1]``, and negative numbers count
            from the end: -1 is the output layer, -2 the last hidden layer.

        Returns
        -------
        ndarray of shape (n_samples, n_nodes)
            As returned by :meth:`fastmlp.Network.transform`, in the network's dtype.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If there is no such layer, or `X` is not as in `predict`.
        """
        check_is_fitted(self)
        network = self._network()
        if isinstance(X, Source):
            return hidden_outputs(self, X, layer)
        x = self._check_rows("X", X, network.dtype, reset=False)
        return network.transform(x, layer=layer, n_threads=self.n_threads)

    def summary(self) -> Summary:
        """Summarize the fitted network: its layers, their output shapes, functions and parameters.

        Returns
        -------
        Summary
            As returned by :meth:`fastmlp.Network.summary`: a table, in notebooks as HTML.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        return self._network().summary()

    def drop_training_state(self) -> Self:
        """Discard what is only needed for further training, to make pickles and files smaller.

        This discards the optimizer states (with Adam, two numbers per weight), the state of the
        generator for shuffling, and early stopping's copy of the best weights. Predictions, records
        and parameters remain; the next `partial_fit` starts with a new optimizer.

        Returns
        -------
        self

        Raises
        ------
        NotFittedError
            Before `fit`.

        See Also
        --------
        fastmlp.save : With ``resumable=False``, saves without this state but keeps it in memory.
        """
        check_is_fitted(self)
        assert self._record is not None
        self._record.last = self._record.best_parameters = None
        return self

    def to_sklearn(self) -> Any:
        """Convert to scikit-learn's estimator, for code that requires exactly that class.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            A fitted estimator with the same predictions, up to rounding. Parameters that it does
            not have are omitted or replaced by the closest ones; its `fit` and `partial_fit` start
            with a new optimizer.

        Raises
        ------
        ValueError
            If hidden layers have different activations, or one that scikit-learn does not have.
        """
        check_is_fitted(self)
        return to_sklearn(
            self._sklearn_name, self._exported_network(), self.get_params(deep=False), vars(self)
        )

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        for name, parameter in signature(type(self)).parameters.items():
            self.__dict__.setdefault(name, parameter.default)  # newer than the pickle

    def __sklearn_is_fitted__(self) -> bool:
        return self._record is not None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
