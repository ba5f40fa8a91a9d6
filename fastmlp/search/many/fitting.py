"""fit_many: one model per group of rows, on all processors."""

from __future__ import annotations

import threading
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import indexable

from fastmlp._checks import check_choice, check_flag, check_same_length, shown
from fastmlp.engine.environment import arithmetic_collected_once
from fastmlp.exchange.saving import describe_model
from fastmlp.search.base import SearchRandomState, entropy_of
from fastmlp.search.candidates import Seed, model_of
from fastmlp.search.epochs import CancelledError
from fastmlp.search.many.models import GroupModels, check_groups
from fastmlp.search.many.progress import GroupProgress
from fastmlp.search.many.store import Store
from fastmlp.search.pools import check_backend, open_pool
from fastmlp.search.tasks import as_rows, has_rows, n_rows_of, select_rows

LARGEST_CHUNK = 100
MOST_CHUNKS = 40
"""A chunk costs about as much as the fit of a group; more chunks would share the work no better."""
ON_ERROR = ("warn", "raise")


class GroupData:
    """All rows, sorted by group, so that those of a group are a slice.

    Parameters
    ----------
    x, y : rows and targets
    ends : ndarray of shape (n_groups,)
        Where the rows of each group end.
    params : mapping
        More arguments of `fit`; those with an entry per row are sorted like the rows.
    """

    def __init__(self, x: Any, y: Any, ends: NDArray[np.intp], params: Mapping[str, Any]) -> None:
        self.x, self.y, self.ends, self.params = x, y, ends, dict(params)

    def rows(self, position: int) -> tuple[Any, Any, dict[str, Any]]:
        """Return rows, targets and arguments of a group."""
        begin = int(self.ends[position - 1]) if position else 0
        part = slice(begin, int(self.ends[position]))
        n_rows = int(self.ends[-1])
        params = {
            name: _sliced(value, part) if has_rows(value, n_rows) else value
            for name, value in self.params.items()
        }
        return _sliced(self.x, part), _sliced(self.y, part), params


def _sliced(values: Any, part: slice) -> Any:
    if isinstance(values, np.ndarray):
        return np.asarray(values)[part]  # not as a memmap
    return values.iloc[part] if hasattr(values, "iloc") else values[part]


@dataclass(frozen=True)
class Chunk:
    """Groups that one task fits.

    Attributes
    ----------
    begin, end : int
        Positions of the groups.
    estimator : estimator
    entropy : int
    raises : bool
        Whether the first failure ends everything.
    """

    begin: int
    end: int
    estimator: Any
    entropy: Seed
    raises: bool


@dataclass
class FittedChunk:
    """What a task returns.

    Attributes
    ----------
    begin, end : int
    store : Store
        Models of these groups.
    others : dict of int to estimator
        Models that a store cannot hold, by position.
    failures : dict of int to str
    warned : list of (type, str)
        Warnings.
    """

    begin: int
    end: int
    store: Store = field(default_factory=Store)
    others: dict[int, Any] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    warned: list[tuple[type[Warning], str]] = field(default_factory=list)


def fit_many(
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any,
    *,
    sample_weight: Any = None,
    backend: Any = "processes",
    n_workers: int | None = None,
    random_state: SearchRandomState = None,
    on_error: str = "warn",
    verbose: bool = False,
    **params: Any,
) -> GroupModels:
    """Fit a model to the rows of every group: of every shop, sensor or customer.

    The model of a group is that of ``estimator.fit`` with its rows alone, bit for bit. A random
    state that is None becomes a seed that depends on `random_state` and the position of the group
    in the sorted labels; ``models[label].random_state`` has it.

    Parameters
    ----------
    estimator : estimator with `fit`
        Cloned. Of fastmlp's estimators, and Pipelines of these, only what `fastmlp.save` keeps for
        predictions is stored; other estimators are kept as they are, and cannot be saved.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        All rows, in any order.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    groups : array-like of shape (n_samples,)
        Label of each row's group, integers or strings.
    sample_weight : array-like of shape (n_samples,), optional
    backend : {"processes", "threads"}, executor or client, default="processes"
        As in :class:`SuccessiveHalvingSearch`. A fit to few rows is mostly Python, of which threads
        run one at a time.
    n_workers : int >= 1 or None, default=None
        Number of processes or threads; None for the number of usable processors.
    random_state : int, RandomState, Generator or None, default=None
    on_error : {"warn", "raise"}, default="warn"
        Whether a fit that fails is a warning at the end, or ends everything.
    verbose : bool, default=False
        Show a progress bar.
    **params
        More arguments of `fit`; those with an entry per row are split like the rows.

    Returns
    -------
    GroupModels

    Raises
    ------
    TypeError, ValueError
        If an argument is not allowed, before any training; if all groups fail.
    KeyboardInterrupt
        After Ctrl-C.

    Warns
    -----
    FitFailedWarning
        If groups have failed.
    Warning
        Those of the fits, each text once, with the number of groups.
    """
    if isinstance(estimator, type) or not callable(getattr(estimator, "fit", None)):
        raise TypeError(f"estimator must be an object with fit; got {shown(estimator)}")
    check_backend(backend, n_workers)
    raises = check_choice("on_error", on_error, ON_ERROR) == "raise"
    check_flag("verbose", verbose)
    if sample_weight is not None:
        params["sample_weight"] = sample_weight
    entropy = entropy_of(random_state)
    labels, data = _sorted_by_group(X, y, groups, params)
    model_of(estimator, {}, entropy, 0, 0)  # an object that cannot be cloned
    n_groups = len(labels)
    size = max(1, min(LARGEST_CHUNK, n_groups // MOST_CHUNKS))
    chunks = [
        Chunk(begin, min(begin + size, n_groups), estimator, entropy, raises)
        for begin in range(0, n_groups, size)
    ]
    n_rows = np.diff(data.ends, prepend=0)
    fitted = _fit_chunks(chunks, data, backend, n_workers, n_groups, verbose=verbose)
    _warn(fitted, labels)
    store = Store()
    for chunk in fitted:
        store.extend(chunk.store)
    others = {position: model for chunk in fitted for position, model in chunk.others.items()}
    failures = {position: text for chunk in fitted for position, text in chunk.failures.items()}
    short = {position: text.strip().rsplit("\n", 1)[-1] for position, text in failures.items()}
    return GroupModels(labels, n_rows.astype(np.int64), short, store.packed(), others)


def _sorted_by_group(
    X: Any, y: Any, groups: Any, params: Mapping[str, Any]
) -> tuple[NDArray[Any], GroupData]:
    """Return the sorted labels, and all rows in their order."""
    X, y = as_rows("X", X), as_rows("y", y)
    n_rows = n_rows_of(X)
    if n_rows_of(y) != n_rows:
        raise ValueError(f"y must have as many rows as X, {n_rows}; got {n_rows_of(y)}")
    given = check_groups(groups, n_rows)
    weight = params.get("sample_weight")
    if weight is not None:
        n_weights = n_rows_of(as_rows("sample_weight", weight))
        check_same_length("sample_weight", n_weights, "X", n_rows)
    labels, inverse, counts = np.unique(given, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    of_rows = {
        name: _ordered(value, order) if has_rows(value, n_rows) else value
        for name, value in params.items()
    }
    ends = np.cumsum(counts)
    return labels, GroupData(_ordered(X, order), _ordered(y, order), ends, of_rows)


def _ordered(values: Any, order: NDArray[np.intp]) -> Any:
    """Return rows in another order; a sparse matrix in the format that gives rows, CSR."""
    return select_rows(*indexable(values), order)


def _fit_chunks(
    chunks: Sequence[Chunk],
    data: GroupData,
    backend: Any,
    n_workers: int | None,
    n_groups: int,
    *,
    verbose: bool,
) -> list[FittedChunk]:
    """Return the fitted chunks in their order."""
    fitted: dict[int, FittedChunk] = {}
    with ExitStack() as opened:
        progress = opened.enter_context(GroupProgress(n_groups)) if verbose else None
        caught = opened.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")  # of threads, which share this process's filters
        pool = opened.enter_context(open_pool(backend, n_workers, fit_chunk, data))
        for chunk in chunks:
            pool.submit(chunk)
        while len(fitted) < len(chunks):
            done = pool.next_outcome()
            fitted[done.begin] = done
            if progress is not None:
                progress.advance(done.end - done.begin)
    ordered = [fitted[chunk.begin] for chunk in chunks]
    ordered[0].warned.extend((one.category, str(one.message)) for one in caught or ())
    return ordered


def fit_chunk(chunk: Chunk, data: GroupData, is_cancelled: Callable[[], bool]) -> FittedChunk:
    """Fit the groups of a chunk."""
    done = FittedChunk(chunk.begin, chunk.end)
    with ExitStack() as opened:
        caught: Sequence[warnings.WarningMessage] | None = None
        if threading.current_thread() is threading.main_thread():  # in a process of its own
            caught = opened.enter_context(warnings.catch_warnings(record=True))
            warnings.simplefilter("always")
        opened.enter_context(arithmetic_collected_once())
        for position in range(chunk.begin, chunk.end):
            if is_cancelled():
                raise CancelledError
            _fit_group(chunk, position, data, done)
    done.warned.extend((one.category, str(one.message)) for one in caught or ())
    return done


def _fit_group(chunk: Chunk, position: int, data: GroupData, done: FittedChunk) -> None:
    model = model_of(chunk.estimator, {}, chunk.entropy, position, 0)
    x, y, params = data.rows(position)
    content = None
    try:
        model.fit(x, y, **params)
    except Exception:
        if chunk.raises:
            raise
        done.failures[position] = traceback.format_exc(limit=-20)
    else:
        try:
            content = describe_model(model, resumable=False)
        except TypeError:  # a model of another library
            done.others[position] = model
    done.store.add(content)


def _warn(fitted: Sequence[FittedChunk], labels: NDArray[Any]) -> None:
    """Warn of failures, and once of each warning of the fits."""
    failures = [(p, text) for chunk in fitted for p, text in chunk.failures.items()]
    if failures:
        position, text = failures[0]
        sentences = f"The first failure, of group {labels.tolist()[position]!r}:\n{text}"
        if len(failures) == len(labels):
            raise ValueError(f"estimator: the fits of all groups have failed. {sentences}")
        warnings.warn(
            f"the fits of {len(failures)} of {len(labels)} groups have failed. {sentences}",
            FitFailedWarning,
            stacklevel=3,
        )
    counts: dict[tuple[type[Warning], str], int] = {}
    for chunk in fitted:
        for warned in chunk.warned:
            counts[warned] = counts.get(warned, 0) + 1
    for (category, text), n in counts.items():
        times = f" ({n} times in {len(labels)} groups)" if n > 1 else ""
        warnings.warn(f"{text}{times}", category, stacklevel=3)
