"""TabularRegressor: an ensemble of networks for tables with numbers as targets."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from fastmlp._checks import check_iterable, check_number, shown
from fastmlp._types import Array
from fastmlp.estimators.bounds import check_within, read_bounds
from fastmlp.estimators.labels import check_score, check_targets_of
from fastmlp.estimators.naming import naming
from fastmlp.estimators.validation import d2_pinball, r2
from fastmlp.losses import Loss, Quantile, check_loss
from fastmlp.tables.base import BaseTabular
from fastmlp.tables.intervals import Residuals
from fastmlp.tables.weighted import Numbers, weighted_moments


class TabularRegressor(RegressorMixin, BaseTabular):  # type: ignore[misc]
    """Regressor for tables as they come: numbers, text, categories, dates, missing values.

    An ensemble of small networks, each of which is trained on four fifths of the rows and stopped
    by the others. The columns are encoded as described in :class:`TabularEncoder`, and `y` is
    standardized, so that its scale does not matter. The prediction is the mean of the members',
    within the range of `y` in training.

    Parameters
    ----------
    preset, n_members, size, encoding, max_one_hot, categorical, numerical, ordinal, validation, \
time_limit, network, n_threads, random_state, callbacks, verbose
        As for :class:`TabularClassifier`.
    bounds : (float or None, float or None) or None, default=None
        Lowest and highest possible value of `y`, such as ``(0, 1)`` or ``(0, None)``. Predictions
        stay within them; by default within the range of `y` in training.
    quantiles : sequence of float in (0, 1) or None, default=None
        Increasing levels, such as ``[0.05, 0.5, 0.95]``: predict these quantiles, which never
        cross, instead of the mean. Needs one target.

    Attributes
    ----------
    oof_prediction_ : ndarray like `y` or None
        Predictions of the training rows by members that held them out; NaN for rows that none did.
        None if no rows were held out: with fewer than 25 different rows, or `X_val`.
    oof_score_ : float or None
        R^2 of these; with quantiles the mean of D^2, see :class:`MLPRegressor`. On how honest it
        is see :class:`TabularClassifier`.
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
    TabularClassifier, TabularEncoder, MLPRegressor

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = TabularRegressor(preset="fast", random_state=0).fit(X, 1000 * y)
    >>> bool(model.oof_score_ > 0.3)
    True
    """

    __module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file
    _residuals: Residuals | None

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
        bounds: Any = None,
        quantiles: Any = None,
    ) -> None:
        self._keep_parameters(locals())

    def predict(self, X: Any) -> Array:
        """Predict.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
            With the columns of `fit`; new categories are allowed.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_outputs) or (n_samples, n_quantiles), float64
            With several quantiles, one column each, increasing along a row.

        Raises
        ------
        ValueError
            Naming columns that are missing, unknown, or not of their kind.
        """
        return self._finish(self._outputs(X))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Return intervals that contain a share of new values, learned from held-out rows.

        Around predictions of the mean, the interval has the same width for all rows: the
        `coverage` quantile of the absolute errors for held-out rows. With several quantiles it lies
        between the lowest and the highest, both moved by the same amount, so that the share of
        held-out rows within is `coverage`. This holds on average over rows like those of `fit`.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
        coverage : float in (0, 1)

        Returns
        -------
        ndarray of shape (n_samples, 2), float64
            Lower and upper ends.

        Raises
        ------
        ValueError
            If no rows were held out, or with several targets.

        References
        ----------
        V. Vovk, A. Gammerman and G. Shafer, "Algorithmic learning in a random world" (2005);
        Y. Romano, E. Patterson and E. Candès, "Conformalized quantile regression" (2019).
        """
        share = check_number("coverage", coverage, below=1.0)
        if share == 0:
            raise ValueError("coverage must be between 0 and 1; got 0")
        predicted = self.predict(X)
        if self._residuals is None:
            raise ValueError(
                "predict_interval needs held-out rows and one target: fit at least 25 different "
                "rows, without X_val, with y of shape (n_samples,)"
            )
        columns = predicted if predicted.ndim == 2 else predicted[:, np.newaxis]
        return self._within_bounds(self._residuals.interval(columns, share))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R^2 of the predictions; with quantiles the mean of D^2, see :class:`MLPRegressor`.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
            1 for perfect predictions, 0 for those as good as the best constant.
        """
        check_is_fitted(self)
        check_score(X, y, sample_weight)
        predicted = self.predict(X)
        with naming("y"):
            if self.quantiles is None:
                return float(r2_score(y, predicted, sample_weight=sample_weight))
            targets = np.asarray(y, np.float64).reshape(-1, 1)
            levels = _levels(self.quantiles)
            columns = np.repeat(targets, len(levels), 1)
            return d2_pinball(columns, sample_weight, levels)(predicted.reshape(columns.shape))

    # --- Methods required by BaseTabular

    def _learn_targets(self, y: Any, n_rows: int, weights: Numbers | None) -> Numbers:
        levels = _levels(self.quantiles)
        low, high = read_bounds(self.bounds)
        columns, self._is_single = self._check_numbers("y", y, n_rows)
        if levels and columns.shape[1] > 1:
            raise ValueError(f"quantiles need one target; got y of shape {columns.shape}")
        counted = columns if weights is None else columns[weights > 0]
        self._low, self._high = counted.min(axis=0), counted.max(axis=0)
        check_within("y", counted, self.bounds)
        if self.bounds is not None:
            self._low, self._high = np.full_like(self._low, low), np.full_like(self._high, high)
        present = None if weights is None else weights[weights > 0]
        self._mean, self._deviation = weighted_moments(counted, present)
        return self._standardized(columns)

    def _check_numbers(self, name: str, y: Any, n_rows: int) -> tuple[Numbers, bool]:
        """Return targets as columns, and whether they were given as one."""
        if hasattr(y, "tocsr"):
            raise ValueError(f"{name} must be a dense array of numbers; got a sparse matrix")
        x_name = name.replace("y", "X")
        try:
            array = check_targets_of(name, y, self, x_name, n_rows, numeric=True)
            if array.dtype.kind in "mM":
                raise TypeError(f"{name} must be numbers; got {array.dtype}. Convert times to days")
            numbers = array.astype(np.float64)
        except ValueError as error:
            if "could not convert string" not in str(error):
                raise
            raise ValueError(
                f"{name} must be numbers: {error}. TabularClassifier learns labels"
            ) from None
        return numbers.reshape(n_rows, -1), numbers.ndim == 1

    def _encode_targets(self, y: Any, n_rows: int) -> Numbers:
        columns, _ = self._check_numbers("y_val", y, n_rows)
        if columns.shape[1] != len(self._mean):
            raise ValueError(
                f"y_val must have {len(self._mean)} columns, as y; got {columns.shape[1]}"
            )
        return self._standardized(columns)

    def _standardized(self, columns: Numbers) -> Numbers:
        z = (columns - self._mean) / self._deviation
        return np.repeat(z, max(len(_levels(self.quantiles)), 1), axis=1)

    def _output_and_loss(self) -> tuple[str, Loss]:
        levels = _levels(self.quantiles)
        if not levels:
            return "identity", check_loss("squared_error")
        return "increasing" if len(levels) > 1 else "identity", Quantile(levels)

    def _strata(self, targets: Numbers) -> NDArray[np.intp]:
        return np.zeros(len(targets), np.intp)

    def _statistic_targets(self, targets: Numbers) -> Numbers:
        return targets[:, : len(self._mean)]

    def _restored(self, outputs: Array) -> Array:
        """Return outputs in the unit of y, within its limits, (n, n_outputs)."""
        return self._within_bounds(np.asarray(outputs, np.float64) * self._deviation + self._mean)

    def _within_bounds(self, values: Array) -> Array:
        return np.clip(values, self._low, self._high)

    def _finish(self, outputs: Array) -> Array:
        values = self._restored(outputs)
        return values[:, 0] if self._is_single and values.shape[1] == 1 else values

    def _reset_learned(self) -> None:
        self._residuals = None

    def _learn_from_held_out(
        self, outputs: Array, targets: Numbers, weights: Numbers | None
    ) -> None:
        if len(self._mean) == 1:
            y = targets[:, :1] * self._deviation + self._mean
            self._residuals = Residuals.of(self._restored(outputs), y, weights)

    def _score_name(self) -> str:
        return "R^2" if self.quantiles is None else "D^2"

    def _loss_of(self, outputs: Array, targets: Numbers, weights: Numbers | None) -> float:
        errors = targets - outputs
        levels = _levels(self.quantiles)
        if levels:
            losses = np.maximum(np.array(levels) * errors, (np.array(levels) - 1) * errors)
        else:
            losses = errors**2
        return float(np.average(losses.mean(axis=1), weights=weights))

    def _oof_score(self, predictions: Array, targets: Numbers, weights: Numbers | None) -> float:
        levels = _levels(self.quantiles)
        score = d2_pinball(targets, weights, levels) if levels else r2(targets, weights)
        # Of standardized numbers, whose squares cannot overflow.
        return score((predictions.reshape(targets.shape) - self._mean) / self._deviation)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self.quantiles is None
        return tags


def _levels(quantiles: Any) -> tuple[float, ...]:
    """Return the levels of the quantiles, an empty tuple for None."""
    if quantiles is None:
        return ()
    given = check_iterable("quantiles", quantiles, "levels")
    levels = tuple(
        check_number(f"quantiles[{i}]", level, minimum=1e-6, maximum=1 - 1e-6)
        for i, level in enumerate(given)
    )
    if not levels or any(a >= b for a, b in pairwise(levels)):
        raise ValueError(f"quantiles must be increasing levels; got {shown(quantiles)}")
    return levels
