"""Tasks: one model, one split, some more epochs, and the scores at their end."""

from __future__ import annotations

import math
import numbers
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sklearn.utils import _safe_indexing

from fastmlp._checks import as_array, shown
from fastmlp.search.epochs import CancelledError, train

select_rows = _safe_indexing
"""``select_rows(values, index)`` returns rows of an array, sparse matrix, data frame or list."""

ONE_SCORE = "score"
"""Name of the score of a scorer that returns a number."""


class Unit(NamedTuple):
    """What a rung is made of, numbered from 0: a candidate (of all brackets) on a split."""

    bracket: int
    rung: int
    candidate: int
    split: int


class SplitRows(NamedTuple):
    """Rows of a split, and the arguments of partial_fit for its training rows."""

    x_train: Any
    y_train: Any
    x_test: Any
    y_test: Any
    params: dict[str, Any]


class SearchData:
    """All rows of a search and its splits, of which every worker has one copy.

    Parameters
    ----------
    x, y : rows and targets
        y may be None.
    splits : sequence of (ndarray, ndarray)
        Indices of training and test rows.
    params : mapping
        Arguments of partial_fit; those with an entry per row are split like the rows.
    classes : array-like or None
        For the first call of partial_fit.
    """

    def __init__(
        self, x: Any, y: Any, splits: Sequence[Any], params: Mapping[str, Any], classes: Any
    ) -> None:
        self.x, self.y, self.splits, self.classes = x, y, list(splits), classes
        self.params = dict(params)
        self._clear()

    def _clear(self) -> None:
        self._rows: dict[int, SplitRows] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_rows", "_lock")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._clear()

    def rows(self, split: int) -> SplitRows:
        """Return the rows of a split, which are copied once per worker."""
        with self._lock:
            if split not in self._rows:
                self._rows[split] = self._select(*self.splits[split])
            return self._rows[split]

    def _select(self, train_rows: Any, test_rows: Any) -> SplitRows:
        n_rows = n_rows_of(self.x)
        params = {
            name: select_rows(value, train_rows) if has_rows(value, n_rows) else value
            for name, value in self.params.items()
        }
        x_train, x_test = (select_rows(self.x, index) for index in (train_rows, test_rows))
        if self.y is None:
            return SplitRows(x_train, None, x_test, None, params)
        y_train, y_test = (select_rows(self.y, index) for index in (train_rows, test_rows))
        return SplitRows(x_train, y_train, x_test, y_test, params)


def n_rows_of(x: Any) -> int:
    """Return the number of rows of an array, sparse matrix, data frame or list."""
    return int(x.shape[0]) if hasattr(x, "shape") else len(x)


def as_rows(name: str, values: Any) -> Any:
    """Return rows as they are; a list or tuple as an array.

    Raises
    ------
    TypeError, ValueError
        If there are none, or a list is no array.
    """
    if isinstance(values, list | tuple):
        values = as_array(name, values)
    if len(getattr(values, "shape", ())) == 0:
        raise TypeError(f"{name} must have rows; got {shown(values)}")
    return values


def has_rows(value: Any, n_rows: int) -> bool:
    """Return whether an argument has an entry per row: an array-like of this length."""
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__len__"):
        return False
    return getattr(value, "ndim", 1) > 0 and n_rows_of(value) == n_rows


@dataclass(frozen=True)
class Task:
    """Everything that a worker needs besides the data.

    Attributes
    ----------
    unit : Unit
    model : estimator
        After `begin` epochs; trained in place.
    begin, end : int
        Epochs from the beginning.
    scorer : callable
        Called with model, X and y of the test rows; returns a number or a mapping of them.
    raises : bool
        Whether an error of the model ends the search.
    """

    unit: Unit
    model: Any
    begin: int
    end: int
    scorer: Callable[..., Any]
    raises: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a task has brought.

    Attributes
    ----------
    unit : Unit
    scores : dict of str to float or None
        None if the model has failed.
    fit_seconds, score_seconds : float
        Wall time of this task.
    model : estimator or None
        With which the next rung continues.
    error : str
        Traceback of a failure.
    """

    unit: Unit
    scores: dict[str, float] | None
    fit_seconds: float
    score_seconds: float
    model: Any = None
    error: str = ""


def run_task(
    task: Task, data: SearchData, is_cancelled: Callable[[], bool] = lambda: False
) -> Outcome:
    """Train and score a model; an error becomes a part of the outcome.

    Raises
    ------
    CancelledError
    Exception
        Of the model, if the task says so.
    """
    rows = data.rows(task.unit.split)
    start = time.perf_counter()
    trained = None
    try:
        train(
            task.model,
            rows.x_train,
            rows.y_train,
            task.begin,
            task.end,
            classes=data.classes,
            params=rows.params,
            is_cancelled=is_cancelled,
        )
        trained = time.perf_counter()
        arguments = () if rows.y_test is None else (rows.y_test,)
        scores = as_scores(task.scorer(task.model, rows.x_test, *arguments))
    except CancelledError:
        raise
    except Exception:
        if task.raises:
            raise
        seconds = (trained or time.perf_counter()) - start
        return Outcome(task.unit, None, seconds, 0.0, error=traceback.format_exc(limit=-20))
    return Outcome(task.unit, scores, trained - start, time.perf_counter() - trained, task.model)


def as_scores(result: Any) -> dict[str, float]:
    """Return what a scorer has returned as numbers by name.

    Raises
    ------
    ValueError
        If it has not returned a number or a mapping of names to numbers.
    """
    scores = dict(result) if isinstance(result, Mapping) else {ONE_SCORE: result}
    for name, value in scores.items():
        if not isinstance(value, numbers.Number) and getattr(value, "shape", None) != ():
            raise ValueError(
                f"scoring must return a number, or a mapping of names to numbers; got {value!r} "
                f"for {name!r}"
            )
    return {str(name): float(value) for name, value in scores.items()}


def deciding_score(names: Iterable[str], metric: str) -> str:
    """Return the name of the score that decides: that of `refit`, unless there is only a number.

    As in scikit-learn, any name in `refit` is then as good as True.
    """
    return ONE_SCORE if list(names) == [ONE_SCORE] else metric


def is_usable(score: float) -> bool:
    """Return whether a score can be compared with others."""
    return not math.isnan(score)
