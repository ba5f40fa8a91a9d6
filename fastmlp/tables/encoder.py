"""TabularEncoder: a table with numbers, categories, dates and gaps as a matrix for a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from fastmlp._checks import check_choice, check_dtype, check_integer
from fastmlp._links import Documented
from fastmlp.estimators.inputs import check_weights
from fastmlp.estimators.labels import check_length, check_y
from fastmlp.estimators.parameters import as_random_state
from fastmlp.estimators.targets import learn_classes
from fastmlp.tables.features import Features, different
from fastmlp.tables.frames import Frame, check_frame
from fastmlp.tables.plain import PlainPickles, is_part
from fastmlp.tables.reader import Cells, Reader, learn_columns
from fastmlp.tables.statistics import N_FOLDS, TargetStatistics
from fastmlp.tables.weighted import Numbers, weighted_moments

ENCODINGS = ("plain", "ple")


@is_part
class TabularEncoder(PlainPickles, Documented, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turn a table of numbers, categories, dates and missing values into inputs for a network.

    A column is

    - *numerical*: ``z = (x - median) / IQR`` (half the range where the interquartile range is 0)
      becomes ``z / sqrt(1 + (z / 3)**2)``, which leaves ordinary values nearly as they are and
      keeps extreme ones within (-3, 3). Missing values become the median, with a mark in a column
      of its own. With ``encoding="ple"`` the positions in 16 bins stand beside it, see
      :class:`PiecewiseLinearEncoder`. Booleans and durations (in days) are numbers.
    - *ordinal*: the position in the given order, as a number; other values are missing.
    - *date*: days since 1970, and sine and cosine of its places in year, week and day, as numbers.
    - *categorical*: up to `max_one_hot` categories get an indicator each, and rare ones (fewer than
      10 rows and 2 %) a common one. Of more categories, those in at least 20 rows have indicators
      (the 200 most frequent ones); all are described by their frequency and, if `y` is given, by
      the smoothed means of `y`, in `fit_transform` by those of the rows in other folds. A missing
      value is a category. Categories that were not in `fit` are treated like the average row.

    Constant columns are dropped.

    Parameters
    ----------
    categorical, numerical : sequence of names or positions, or None
        Columns that are of this kind, whatever they look like. By default columns of numbers are
        numerical, those of text categorical, text such as 2026-11-28 is a date, and pandas's
        ordered categories are ordinal.
    ordinal : mapping, or None
        Ordered categories by column: ``{"size": ["small", "medium", "large"]}``.
    max_one_hot : int >= 1, default=9
        Number of categories up to which indicators are all that there is.
    encoding : {"plain", "ple"}, default="plain"
        Whether numbers also have piecewise-linear bins.
    n_bins : int >= 2, default=16
        Bins per number at most, with "ple".
    dtype : {"float32", "float64"}, default="float32"
        Type of the result.
    random_state : int, RandomState instance or None, default=None
        Draws the folds of `fit_transform`; used only for columns with many categories.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Defined only if `X` has names that are all strings.
    kinds_ : dict of str to str
        Kind of every column: numerical, boolean, ordinal, date or categorical.

    Examples
    --------
    >>> encoder = TabularEncoder().fit([[1.0, "a"], [2.0, "b"], [4.0, "a"]])
    >>> encoder.get_feature_names_out().tolist()
    ['x0', 'x1_a', 'x1_b']
    >>> encoder.transform([[2.0, "c"]]).tolist()
    [[0.0, 0.0, 0.0]]
    """

    __module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file

    def __init__(
        self,
        *,
        categorical: Any = None,
        numerical: Any = None,
        ordinal: Any = None,
        max_one_hot: int = 9,
        encoding: str = "plain",
        n_bins: int = 16,
        dtype: str = "float32",
        random_state: Any = None,
    ) -> None:
        self.categorical = categorical
        self.numerical = numerical
        self.ordinal = ordinal
        self.max_one_hot = max_one_hot
        self.encoding = encoding
        self.n_bins = n_bins
        self.dtype = dtype
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> TabularEncoder:
        """Learn kinds, medians, bins and categories, and with `y` the statistics of categories.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
            A table of pandas, polars or pyarrow, an array, or nested lists.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
            Class labels or numbers; used only for columns with more than `max_one_hot` categories.
        sample_weight : array-like of shape (n_samples,), optional
            Weights >= 0; a weight of k counts like k copies of the row, except for frequencies.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For arguments that are not allowed, and for columns that do not exist or cannot be read,
            by name.
        """
        self._fit(X, y, sample_weight)
        return self

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[Any]:
        """Fit, and encode the same rows; means of `y` are taken from the other folds' rows.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
        """
        cells, own = self._fit(X, y, sample_weight)
        return self._joined(cells, own)

    def transform(self, X: Any) -> NDArray[Any]:
        """Encode a table with the same columns.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            Finite numbers of type `dtype`.

        Raises
        ------
        ValueError
            Naming columns that are missing, unknown, or not of their kind.
        """
        check_is_fitted(self)
        cells = self.read(X)
        return self._joined(cells, self._statistics.encode(cells.codes[:, self.many]))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the encoded columns, such as ``age``, ``age_missing``, ``town_Bonn``.

        Parameters
        ----------
        input_features : array-like of str, shape (n_features,), or None
            Must be the names of the columns in `fit`, if given.

        Returns
        -------
        ndarray of str, shape (n_encoded,)
        """
        from sklearn.utils.validation import _check_feature_names_in

        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        names = self.features_.names(self.reader_)
        tables = self._statistics.tables
        many = [column for column, is_many in zip(self.reader_.categorical, self.many, strict=True)
                if is_many]  # fmt: skip
        if not (names or tables):
            return np.array(["constant"], object)
        for column, table in zip(many if tables else [], tables, strict=True):
            k = table.shape[1]
            names += [f"{column.name}_target" + (f"_{i}" if k > 1 else "") for i in range(k)]
        return np.array(different(names), object)

    # --- What the estimators share

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> tuple[Cells, Numbers]:
        """Learn everything; return the cells, and the statistics of the rows themselves."""
        self._check_parameters()
        frame = check_frame(self, X, reset=True)
        weights = check_weights("sample_weight", sample_weight, frame.n_rows, np.dtype(np.float64))
        cells = self.learn(frame, weights)
        targets = None if y is None else _targets(self, y, frame.n_rows, weights)
        if targets is None or not self.many.any():
            return cells, np.zeros((frame.n_rows, 0))
        rng = as_random_state(self.random_state)
        fold = rng.permutation(np.arange(frame.n_rows) % N_FOLDS)
        self._statistics, own = TargetStatistics.learn(
            cells.codes[:, self.many], self.n_many, targets, weights, fold
        )
        return cells, own

    def _check_parameters(self) -> None:
        check_integer("max_one_hot", self.max_one_hot, minimum=1)
        check_integer("n_bins", self.n_bins, minimum=2)
        check_choice("encoding", self.encoding, ENCODINGS)
        check_dtype("dtype", self.dtype)

    def learn(self, frame: Frame, weights: Numbers | None) -> Cells:
        """Learn from a checked frame what needs no target, and return its cells.

        Rows whose weight, of (n_rows,), is 0 do not count.
        """
        counting = frame
        if weights is not None and not weights.all():
            counting = frame.rows(np.flatnonzero(weights))
        self._statistics = TargetStatistics([])
        self.reader_: Reader = learn_columns(
            counting, categorical=self.categorical, numerical=self.numerical, ordinal=self.ordinal
        )
        self.kinds_ = {column.name: column.kind for column in self.reader_.columns}
        cells = self.reader_.read(frame)
        counted = cells
        if weights is not None and not weights.all():
            there = np.flatnonzero(weights)
            counted, weights = cells.rows(there), weights[there]
        self.features_: Features = Features.learn(
            counted,
            [len(column.categories) for column in self.reader_.categorical],
            weights,
            max_one_hot=self.max_one_hot,
            n_bins=self.n_bins if self.encoding == "ple" else 0,
        )
        return cells

    @property
    def many(self) -> NDArray[np.bool_]:
        """Mask of the categorical columns that have statistics of the target."""
        return self.features_.many

    @property
    def n_many(self) -> list[int]:
        """Numbers of categories of these columns."""
        return [
            len(column.categories)
            for column, is_many in zip(self.reader_.categorical, self.many, strict=True)
            if is_many
        ]

    def sources(self, features: Features, statistics: TargetStatistics) -> NDArray[np.intp]:
        """Return for every input of a member the position of its column, (n_inputs,).

        Parameters
        ----------
        features : Features
        statistics : TargetStatistics
            Whose inputs stand last.
        """
        sources = features.sources(self.reader_)
        many = [i for i, c in enumerate(self.reader_.columns) if c.kind == "categorical"]
        many = [i for i, is_many in zip(many, self.many, strict=True) if is_many]
        if statistics.tables:
            for column, table in zip(many, statistics.tables, strict=True):
                sources += [column] * table.shape[1]
        return np.array(sources, np.intp)

    def read(self, X: Any, name: str = "X") -> Cells:
        """Return a table with the columns of `fit`, (n_rows, n_features), as cells."""
        return self.reader_.read(check_frame(self, X, reset=False, name=name))

    def _joined(self, cells: Cells, statistics: Numbers) -> NDArray[Any]:
        return inputs_of(self.features_, cells, statistics, self.dtype)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def inputs_of(features: Features, cells: Cells, statistics: Numbers, dtype: Any) -> NDArray[Any]:
    """Return features and statistics (n, k) side by side; a column of zeros if there are none."""
    k = statistics.shape[1]
    constant = features.n_inputs + k == 0
    inputs = features.encode(cells, dtype, extra=k + constant)
    if k:
        inputs[:, -k:] = statistics
    if constant:
        inputs[...] = 0
    return inputs


def _targets(owner: Any, y: Any, n_rows: int, weights: Numbers | None) -> Numbers:
    """Return y as the numbers whose means are taken: standardized, or 0 and 1 per class."""
    numeric = type_of_target(y, input_name="y").startswith("continuous")
    labels = check_y("y", y, owner, numeric=numeric)
    check_length("y", labels.shape[0], "X", n_rows)
    if not numeric and labels.ndim == 1:
        encoded: Numbers = learn_classes(labels).encode(labels, np.dtype(np.float64))
        return encoded
    columns = np.asarray(labels, np.float64).reshape(n_rows, -1)
    mean, deviation = weighted_moments(columns, weights)
    return (columns - mean) / deviation
