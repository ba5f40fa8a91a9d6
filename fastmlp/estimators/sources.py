"""Fits on a source of rows, which is never in memory as a whole.

A fit on arrays learns classes, scales and widths from all rows. Here one pass over the targets
finds the classes, or mean and deviation; widths and types are those of the first rows, which stand
for the others in the checks.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.preprocessing import StandardScaler

from fastmlp._checks import shown
from fastmlp._types import Array
from fastmlp.data.classes import join_labels
from fastmlp.data.reader import Format, WindowReader
from fastmlp.data.scaling import NARROW
from fastmlp.data.source import Indices, Source, SourceRows
from fastmlp.data.split import count_held_out
from fastmlp.data.wrapped import WrappedSource
from fastmlp.engine.rows import Inputs, Rows, first_rows
from fastmlp.estimators.inputs import SCALE_SAMPLE_ROWS, as_inputs
from fastmlp.estimators.parameters import STOCHASTIC_SOLVERS, Parameters
from fastmlp.estimators.settings import AUTO_BATCH_ROWS
from fastmlp.estimators.validation import check_numbers, check_positive
from fastmlp.exceptions import DataFormatError, ParameterError
from fastmlp.losses import LOSS_FACTS, Loss
from fastmlp.training.feeds import Feed

HEAVY = ("_record", "callbacks", "coefs_", "intercepts_")
"""Attributes of an estimator that an Encoder does without on other machines."""

Encode = Callable[[NDArray[Any], Array | None], tuple[Array, Array | None]]
"""Returns targets and weights for training of labels and sample weights."""


class EncodedSource(WrappedSource):
    """The rows of a source with the targets and weights of an estimator's network.

    Parameters
    ----------
    source : Source
    encode : Encode
    n_outputs : int
        Number of outputs of the network.
    has_weights : bool
        Whether `encode` returns weights.
    """

    def __init__(
        self, source: Source, encode: Encode, n_outputs: int, *, has_weights: bool
    ) -> None:
        super().__init__(source)
        self._encode, self._n_outputs, self._has_weights = encode, n_outputs, has_weights

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the network."""
        return self._n_outputs

    @property
    def has_weights(self) -> bool:
        """Whether rows have sample weights or their classes have."""
        return self._has_weights

    @property
    def fingerprint(self) -> str:
        """That of the source: the encoding follows from the estimator's parameters."""
        return self._source.fingerprint

    def read(self, begin: int, end: int) -> SourceRows:
        """Return some rows."""
        return self._encoded(self._source.read(begin, end), begin)

    def take(self, rows: Indices) -> SourceRows:
        """Return the rows with these indices."""
        return self._encoded(self._source.take(rows), int(rows[0]))

    def _encoded(self, rows: SourceRows, first: int) -> SourceRows:
        try:
            y, weights = self._encode(single_column(rows.y), rows.weights)
        except (ValueError, TypeError) as error:
            where = self._source.locate(first, "y", 0)
            raise DataFormatError(f"{where}, or a row read with it: {error}") from error
        return rows._replace(y=y, weights=weights)

    def locate(self, row: int, what: str = "X", column: int | None = None) -> str:
        """Say where a number is; the network may have more outputs than the source has targets."""
        last = self._source.n_outputs - 1
        return self._source.locate(row, what, min(column or 0, last) if what == "y" else column)


def check_none(given: dict[str, Any], source: str = "X") -> None:
    """Raise ValueError for arguments next to a source, which has their values; by name."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} must be None, because {source} is a source")


def check_fit(
    parameters: Parameters, source: Source, *, incremental: bool, has_validation: bool
) -> None:
    """Refuse what needs all rows at once.

    Parameters
    ----------
    parameters : Parameters
        Of the estimator.
    source : Source
    incremental : bool
        Whether it is a partial_fit.
    has_validation : bool
        Whether there are validation rows.

    Raises
    ------
    ValueError
        Naming the argument or parameter.
    """
    if incremental:
        raise ValueError("X must be an array for partial_fit; fit takes a source as a whole")
    if parameters.solver not in STOCHASTIC_SOLVERS:
        raise ParameterError(
            f"solver={parameters.solver!r} needs all rows at once; with a source, use one of "
            f"{', '.join(map(repr, STOCHASTIC_SOLVERS))}"
        )
    if parameters.early_stopping and not has_validation:
        _check_fraction(parameters.validation_fraction, source)
    if getattr(parameters, "class_weight", None) == "balanced":
        raise ParameterError(
            "class_weight='balanced' needs all rows at once; with a source, pass a mapping of "
            "labels to weights"
        )


def _check_fraction(fraction: Any, source: Source) -> None:
    """Raise ValueError unless this fraction of a source can be held out."""
    if hasattr(source, "make_reader"):
        raise ValueError(
            "early_stopping=True on a cluster needs X_val, a source or an array; "
            "fastmlp.data.split holds out a part of a source"
        )
    if not isinstance(fraction, numbers.Real):
        raise ParameterError(
            "validation_fraction must be a number with a source, whose rows are not in memory; got "
            f"{shown(fraction)}. Pass other rows as X_val: fastmlp.data.split holds out the last "
            "ones, or whole blocks"
        )
    check_positive(float(fraction))
    n_held = count_held_out(len(source), float(fraction))
    check_numbers(len(source) - n_held, n_held)


def learn_from(
    estimator: Any, source: Source, dtype: Any, *, reset: bool
) -> tuple[Inputs, NDArray[Any], NDArray[Any]]:
    """Learn what must be known of a source before it is trained on.

    Parameters
    ----------
    estimator : BaseMLP
        Gets number and names of the features.
    source : Source
    dtype : dtype or tuple of dtypes
        As `BaseMLP._wanted_dtype` returns it.
    reset : bool
        Whether earlier features are forgotten.

    Returns
    -------
    x, labels
        Inputs and targets of the first rows.
    known : ndarray
        All classes; of a regressor two rows of targets that have mean and deviation of all.
    """
    take_features(estimator, source, reset=reset)
    x, labels = head_of(source, dtype)
    learn = typical_targets if is_regressor(estimator) else distinct_targets
    return x, labels, learn(source)


class Encoder:
    """Encodes labels as an estimator that has learned the targets does.

    Parameters
    ----------
    estimator : BaseMLP
    dtype : dtype
    """

    def __init__(self, estimator: Any, dtype: Any) -> None:
        self.estimator, self.dtype = estimator, dtype

    def __getstate__(self) -> dict[str, Any]:
        """Without weights and records, for other machines."""
        light = object.__new__(type(self.estimator))
        vars(light).update({k: v for k, v in vars(self.estimator).items() if k not in HEAVY})
        return {"estimator": light, "dtype": self.dtype}

    def __call__(self, labels: NDArray[Any], weights: Array | None) -> tuple[Array, Array | None]:
        """Return targets and weights for training."""
        y = self.estimator._encode(labels, self.dtype)
        return self.estimator._training_targets(y), self.estimator._sample_weights(y, weights)


def reader_of(estimator: Any, source: Source, head: Rows, loss: Loss) -> WindowReader | Feed:
    """Return the reader of a source's rows as the estimator trains on them.

    A source whose rows are trained on elsewhere makes it itself, with `make_reader`.

    Parameters
    ----------
    estimator : BaseMLP
        Has learned the targets.
    source : Source
    head : Rows
        First rows of the source, for the network.
    loss : Loss
    """
    dtype, n_outputs = head.x.dtype, head.y.shape[1]
    encode = Encoder(estimator, dtype)
    has_weights = source.has_weights or getattr(estimator, "class_weight", None) is not None
    encoded = EncodedSource(source, encode, n_outputs, has_weights=has_weights)
    size = AUTO_BATCH_ROWS if isinstance(estimator.batch_size, str) else estimator.batch_size
    allowed = LOSS_FACTS[loss.name].targets
    wanted = Format(dtype, source.n_features, n_outputs, loss.name, allowed)
    make: Callable[..., WindowReader | Feed] = getattr(source, "make_reader", WindowReader)
    return make(encoded, wanted, min(size, len(source)))


def take_features(estimator: Any, source: Source, *, reset: bool, name: str = "X") -> None:
    """Set number and names of the features as `validate_data` does, or compare them.

    Raises
    ------
    ValueError
        If they differ from those of the fit before.
    """
    names = source.feature_names
    if reset:
        estimator.n_features_in_ = source.n_features
        vars(estimator).pop("feature_names_in_", None)
        if names is not None:
            estimator.feature_names_in_ = np.array(names, dtype=object)
        return
    if source.n_features != estimator.n_features_in_:
        raise ValueError(
            f"{name} has {source.n_features} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input"
        )
    known = vars(estimator).get("feature_names_in_")
    if names is not None and known is not None and list(known) != list(names):
        raise ValueError(
            f"{name} must have the features {list(known)}, as in the fit before; got {list(names)}"
        )


def head_of(source: Source, dtype: Any) -> tuple[Inputs, NDArray[Any]]:
    """Return inputs and targets of the first rows.

    Parameters
    ----------
    source : Source
    dtype : dtype or tuple of dtypes
        The wanted one, or those that the first rows may keep; with neither of them these become
        float32 where it has all of their numbers, and else float64.
    """
    rows = source.read(0, min(SCALE_SAMPLE_ROWS, len(source)))
    if rows.X.dtype.kind not in "fiub":
        raise DataFormatError(f"{source.locate(0)}: expected real numbers, found {rows.X.dtype}")
    if isinstance(dtype, tuple):
        dtype = np.float32 if rows.X.dtype.name in NARROW else np.float64
    with np.errstate(over="ignore"):  # infinity is reported by the reader
        x = as_inputs(rows.X.astype(dtype))
    return first_rows(x, len(rows.y)), single_column(rows.y)


def distinct_targets(source: Source) -> NDArray[Any]:
    """Return the labels of a source, sorted, from one pass over its targets.

    Raises
    ------
    ValueError
        If there is more than one target per row.
    DataFormatError
        If a label is not finite, or some are numbers and others strings; with the place.
    """
    if source.n_outputs != 1:
        raise ValueError(
            f"X must be a source with one label per row for a classifier; got {source.n_outputs} "
            "targets"
        )
    labels: NDArray[Any] | None = None
    for begin, end in source.pieces():
        y = source.read_targets(begin, end).reshape(end - begin)
        check_labels(source, y, begin)
        labels = join_labels(labels, np.unique(y), source, begin)
    assert labels is not None
    return labels


def typical_targets(source: Source) -> NDArray[np.float64]:
    """Return two rows of targets with mean and deviation of all, by weight, from one pass.

    Raises
    ------
    ValueError
        If there are no targets, or all weights are 0.
    DataFormatError
        If they are no finite numbers.
    """
    if source.n_outputs == 0:
        raise ValueError("X must be a source with targets for a fit; this one has none")
    scaler, total = StandardScaler(), 0.0
    for begin, end in source.pieces():
        y, weights = _targets_and_weights(source, begin, end)
        weight = float(len(y) if weights is None else weights.sum())
        if weight > 0:  # scikit-learn refuses a part whose mean is not defined
            scaler.partial_fit(finite_targets(source, y, begin), sample_weight=weights)
        total += weight
    positive_weight(total)
    deviation = np.sqrt(scaler.var_)
    typical = np.stack([scaler.mean_ - deviation, scaler.mean_ + deviation])
    return typical[:, 0] if source.n_outputs == 1 else typical


def _targets_and_weights(
    source: Source, begin: int, end: int
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return targets and weights (n,) of some rows; of those without weights only the targets."""
    if not source.has_weights:
        return source.read_targets(begin, end), None
    rows = source.read(begin, end)
    assert rows.y is not None
    return rows.y, rows.weights


def positive_weight(total: float) -> float:
    """Return a sum of weights, which must be positive."""
    if not total > 0:
        raise ValueError(f"the sample weights of X must have a positive sum; got {total}")
    return total


def check_labels(source: Source, y: NDArray[Any], begin: int) -> None:
    """Raise DataFormatError if labels of a source, from the row `begin` on, are none.

    NaN and infinity are none, nor is what is missing among strings, or no string among these.
    """
    is_label = np.ones(y.shape, bool)
    if y.dtype.kind == "f":
        is_label = np.isfinite(y)
    elif y.dtype.kind == "O":
        are_text = np.array([isinstance(label, str) for label in y.flat], bool).reshape(y.shape)
        is_label = are_text if are_text.any() else is_label
    if not is_label.all():
        row, *column = map(int, np.argwhere(~is_label)[0])
        where = source.locate(begin + row, "y", *column or [0])
        raise DataFormatError(f"{where}: expected a label, found {y[row, *column]}")


def finite_targets(source: Source, y: NDArray[Any], begin: int) -> NDArray[np.float64]:
    """Return targets of a source, from the row `begin` on, as float64 (n, n_outputs).

    Raises
    ------
    DataFormatError
        If they are no finite numbers; with the place.
    """
    columns = y.reshape(len(y), -1)
    if y.dtype.kind not in "fiub":
        where = source.locate(begin, "y", 0)
        raise DataFormatError(f"{where}: expected a finite number, found {columns[0, 0]!s}")
    finite = np.isfinite(columns)
    if not finite.all():
        row, column = map(int, np.argwhere(~finite)[0])
        where = source.locate(begin + row, "y", column)
        raise DataFormatError(f"{where}: expected a finite number, found {columns[row, column]}")
    return columns.astype(np.float64)


def single_column(y: NDArray[Any]) -> NDArray[Any]:
    """Return targets (n, 1) as (n,), and others as they are."""
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
