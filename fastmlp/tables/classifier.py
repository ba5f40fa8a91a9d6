"""TabularClassifier: an ensemble of networks for tables with class labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from fastmlp._checks import check_choice
from fastmlp._types import Array
from fastmlp.estimators.inputs import class_sample_weights
from fastmlp.estimators.labels import check_score, check_targets_of
from fastmlp.estimators.naming import naming
from fastmlp.estimators.targets import ClassTargets, learn_classes
from fastmlp.losses import Loss, check_loss
from fastmlp.tables.base import BaseTabular
from fastmlp.tables.calibration import find_temperature, log_loss, tempered
from fastmlp.tables.soft_labels import check_probabilities, is_soft
from fastmlp.tables.weighted import Numbers


class TabularClassifier(ClassifierMixin, BaseTabular):  # type: ignore[misc]
    """Classifier for tables as they come: numbers, text, categories, dates, missing values.

    An ensemble of small networks, each of which is trained on four fifths of the rows and stopped
    by the others. The columns are encoded as described in :class:`TabularEncoder`; the prediction
    is the mean of the members' probabilities.

    Parameters
    ----------
    preset : {"fast", "default", "best"}, default="default"
        1, 5 or 10 members.
    n_members : int >= 1 or None, default=None
        Number of networks; None for that of the preset.
    size : "auto", int, sequence of int or str, default="auto"
        Widths of the hidden layers, such as ``(128, 64)`` or ``"128x64"``, which "auto" stands for.
    encoding : {"auto", "plain", "ple"}, default="auto"
        Whether numbers are also encoded by their position in 16 bins, see
        :class:`PiecewiseLinearEncoder`; "auto": from 10,000 rows on, before that in every other
        member.
    max_one_hot : int >= 1, default=9
        Number of categories up to which each has an input of its own, and nothing else.
    categorical, numerical : sequence of names or positions, or None
        Columns of these kinds, whatever they look like.
    ordinal : mapping, or None
        Ordered categories by column: ``{"size": ["small", "medium", "large"]}``.
    validation : None, float, splitter or iterable, default=None
        What each member holds out to stop by: None for one of five folds (ten, with ten members); a
        fraction of the rows; or the splits of a splitter (``TimeSeriesSplit``, ...), or pairs of
        row indices, in their order.
    time_limit : float, str or None, default=None
        Seconds, or a string such as "5min", after which training ends with what there is. The
        result then depends on the machine.
    network : mapping or None
        Settings of the members for experts, by name, with the defaults activation="relu",
        dropout=0.2, learning_rate=0.003, schedule="cosine", weight_decay=0.01, batch_size=None (a
        twentieth of the rows, from 32 to 256), max_epochs=100, patience=20 (epochs without a lower
        loss of the held-out rows), initializer="glorot"; from 10,000 rows on dropout=0.05,
        max_epochs=30, patience=10.
    n_threads : int >= 1 or None, default=None
        Number of threads, on which members are trained side by side; None for the default of
        :func:`fastmlp.resolve_threads`. It does not affect the result.
    random_state : int, RandomState instance or None, default=None
        Seed or generator of folds, initial weights, shuffling and dropout.
    callbacks : sequence of callables or fastmlp.callbacks.EpochCallback, default=()
        Called after every epoch of every member, in the member's thread.
    verbose : bool, default=False
        Whether to print a line per member.
    class_weight : mapping, "balanced" or None, default=None
        Weight of each class by its label, 1 for classes not listed; see :class:`MLPClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    oof_prediction_ : ndarray of shape (n_samples, n_classes) or None
        Probabilities of the training rows from members that held them out; NaN for rows that none
        did. None if no rows were held out: with fewer than 25 different rows, or `X_val`.
    oof_score_ : float or None
        Accuracy of these. The rows have also chosen their member's epoch, so that it is optimistic
        for a single member, and about right for their mean: see docs/tables.md.
    temperature_ : float
        Number by which the logarithms of the members' probabilities are divided, learned from
        `oof_prediction_`; 1 where that does not lower their log loss.
    linear_score_ : float or None
        The same of ridge or logistic regression on the same inputs (without bins) and rows, to
        compare with; None with fewer than 400 rows, without held-out rows, and for quantiles.
    encoder_ : TabularEncoder
        What was learned of the columns.
    members_ : list of Member
        Their ``network``, ``history`` and ``best_epoch``.
    fit_seconds_ : float
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Defined only if `X` has names that are all strings.

    See Also
    --------
    TabularRegressor, TabularEncoder, MLPClassifier

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = TabularClassifier(preset="fast", random_state=0).fit(X, y)
    >>> bool(model.oof_score_ > 0.9)
    True
    """

    __module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file
    classes_: NDArray[Any]
    temperature_: float

    def __init__(
        self,
        *,
        preset: str = "default",
        n_members: int | None = None,
        size: Any = "auto",
        encoding: str = "auto",
        max_one_hot: int = 9,
        categorical: Any = None,
        numerical: Any = None,
        ordinal: Any = None,
        validation: Any = None,
        time_limit: float | str | None = None,
        network: Mapping[str, Any] | None = None,
        n_threads: int | None = None,
        random_state: Any = None,
        callbacks: Any = (),
        verbose: bool | int = False,
        class_weight: Mapping[Any, float] | str | None = None,
    ) -> None:
        self._keep_parameters(locals())

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of every class.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
            With the columns of `fit`; new categories are allowed.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64
            In the order of `classes_`.

        Raises
        ------
        ValueError
            Naming columns that are missing, unknown, or not of their kind.
        """
        return self._finish(self._outputs(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of every row.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        chosen = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[chosen]
        return labels

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy: the share of rows (of their weights) whose label is predicted.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        check_is_fitted(self)
        check_score(X, y, sample_weight)
        with naming("y"):
            return float(super().score(X, y, sample_weight))

    # --- Methods required by BaseTabular

    def _learn_targets(self, y: Any, n_rows: int, weights: Numbers | None) -> Numbers:
        if is_soft(y):
            targets, self.classes_ = check_probabilities("y", y, n_rows)
        else:
            labels = self._check_labels("y", y, n_rows)
            counted = labels if weights is None else labels[weights > 0]
            self.classes_ = learn_classes(counted).classes
            targets = np.zeros((n_rows, len(self.classes_)))
            there = np.arange(n_rows) if weights is None else np.flatnonzero(weights)
            codes = np.searchsorted(self.classes_, labels[there])
            targets[there, codes] = 1
        return self._outputs_from_probabilities(targets)

    def _check_labels(self, name: str, y: Any, n_rows: int) -> NDArray[Any]:
        x_name = name.replace("y", "X")
        labels = check_targets_of(name, y, self, x_name, n_rows, numeric=False)
        learn_classes(labels)
        return np.asarray(labels)

    def _encode_targets(self, y: Any, n_rows: int) -> Numbers:
        n_classes = len(self.classes_)
        if is_soft(y):
            targets, _ = check_probabilities("y_val", y, n_rows)
            if targets.shape[1] != n_classes:
                raise ValueError(
                    f"y_val must have {n_classes} columns, one per class; got {targets.shape[1]}"
                )
        else:
            labels = self._check_labels("y_val", y, n_rows)
            kind = "multiclass" if n_classes > 2 else "binary"
            targets = ClassTargets(self.classes_, kind).encode(labels, np.dtype(np.float64))
            if kind == "binary":
                targets = np.concatenate([1 - targets, targets], axis=1)[:, -n_classes:]
        return self._outputs_from_probabilities(targets)

    def _outputs_from_probabilities(self, probabilities: Numbers) -> Numbers:
        """Return the targets: one column, the second class, for two classes."""
        n_classes = probabilities.shape[1]
        if n_classes == 1:
            return np.zeros((len(probabilities), 1))
        return np.ascontiguousarray(probabilities[:, 1:]) if n_classes == 2 else probabilities

    def _output_and_loss(self) -> tuple[str, Loss]:
        if len(self.classes_) <= 2:
            return "sigmoid", check_loss("log_loss")
        return "softmax", check_loss("cross_entropy")

    def _labels(self, y: Any, targets: Numbers) -> NDArray[Any]:
        if is_soft(y):
            return self._strata(targets)
        return self._check_labels("y", y, len(targets))

    def _strata(self, targets: Numbers) -> NDArray[np.intp]:
        codes = targets.argmax(axis=1) if targets.shape[1] > 1 else targets[:, 0] > 0.5
        return codes.astype(np.intp)

    def _training_weights(self, targets: Numbers, weights: Numbers | None) -> Numbers | None:
        if self.class_weight is None:
            return weights
        if not isinstance(self.class_weight, Mapping):
            check_choice("class_weight", self.class_weight, ["balanced"])
        of_rows = class_sample_weights(self.class_weight, self.classes_, targets, weights)
        if not of_rows.any():
            raise ValueError("class_weight must leave a row with a positive weight")
        return np.asarray(of_rows, np.float64)

    def _learn_from_held_out(
        self, outputs: Array, targets: Numbers, weights: Numbers | None
    ) -> None:
        if self.class_weight is None:  # whose probabilities are shifted on purpose
            full = self._probabilities(outputs)
            truth = self._probabilities(targets)
            self.temperature_ = find_temperature(full, truth, weights)

    def _reset_learned(self) -> None:
        self.temperature_ = 1.0

    def _probabilities(self, outputs: Array) -> Array:
        if len(self.classes_) == 1:
            return np.ones((len(outputs), 1))
        if len(self.classes_) == 2:
            return np.concatenate([1 - outputs, outputs], axis=1)
        shares: Array = outputs / outputs.sum(axis=1, keepdims=True)
        return shares

    def _finish(self, outputs: Array) -> Array:
        return tempered(self._probabilities(np.asarray(outputs, np.float64)), self.temperature_)

    def _score_name(self) -> str:
        return "accuracy"

    def _loss_of(self, outputs: Array, targets: Numbers, weights: Numbers | None) -> float:
        return log_loss(
            self._probabilities(outputs.astype(np.float64)), self._probabilities(targets), weights
        )

    def _oof_score(self, predictions: Array, targets: Numbers, weights: Numbers | None) -> float:
        right = predictions.argmax(axis=1) == self._probabilities(targets).argmax(axis=1)
        return float(np.average(right, weights=weights))
