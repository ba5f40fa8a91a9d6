"""Which rows each member trains on, and which it holds out."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_number, shown

Rows = NDArray[np.intp]
Split = tuple[Rows, Rows]

MIN_FOLDS, MAX_FOLDS = 5, 10


def member_splits(
    validation: Any,
    n_members: int,
    n_rows: int,
    *,
    y: NDArray[Any],
    strata: NDArray[np.intp],
    groups: NDArray[Any] | None,
    rng: np.random.RandomState,
    there: Rows | None = None,
) -> list[Split]:
    """Return training and held-out rows of every member.

    Parameters
    ----------
    validation : None, float in (0, 1), splitter or iterable
        None: folds of all rows, of which each member holds out another one. A fraction: each member
        holds out other rows, drawn at random. Otherwise the splits in their order, from the
        beginning again if there are fewer than members.
    n_rows : int
        All rows that were given.
    y : ndarray of shape (n_rows, ...)
        For a splitter.
    strata : ndarray of shape (n_rows,)
        Classes, of which every fold gets its share; zeros for none.
    groups : ndarray of shape (n_rows,) or None
        Rows of a group stay together.
    there : ndarray of shape (n_there,), intp, or None
        Rows that count, of which the result has the positions; None for all. A splitter, and given
        indices, are about all rows.

    Raises
    ------
    ValueError, TypeError
        Naming `validation`; also where a row or a group is on both sides.
    """
    if not (validation is None or _is_fraction(validation)):
        return _given(validation, n_members, n_rows, y, groups, there)
    if there is not None:
        n_rows, strata = len(there), strata[there]
        groups = None if groups is None else groups[there]
    if validation is None:
        return _folds(n_members, n_rows, strata, groups, rng)
    fraction = check_number("validation", validation, below=1.0)
    if fraction == 0:
        raise ValueError("validation must be more than 0, the fraction of held-out rows; got 0")
    units = strata if groups is None else _numbered(groups)
    return [_random(fraction, strata, units, groups is not None, rng) for _ in range(n_members)]


def _is_fraction(validation: Any) -> bool:
    return isinstance(validation, numbers.Real) and not isinstance(validation, bool)


def mean_of_held_out(
    n_rows: int, parts: Iterable[tuple[Rows, NDArray[Any]]]
) -> tuple[Rows, NDArray[np.float64]] | None:
    """Return the rows that were held out, (n,), and the means of their outputs, (n, n_outputs).

    Parameters
    ----------
    n_rows : int
    parts : iterable of (ndarray of shape (n_held,), ndarray of shape (n_held, n_outputs))
        Rows that a member held out, and what it predicted for them.

    Returns
    -------
    tuple or None
        None if no row was held out.
    """
    total: Any = None
    count = np.zeros(n_rows)
    for held, outputs in parts:
        if total is None:
            total = np.zeros((n_rows, outputs.shape[1]))
        total[held] += outputs
        count[held] += 1
    if total is None:
        return None
    seen = np.flatnonzero(count)
    return seen, total[seen] / count[seen, np.newaxis]


def fold_numbers(
    n_folds: int, strata: NDArray[np.intp], groups: NDArray[Any] | None, rng: Any
) -> NDArray[np.intp]:
    """Return a random fold for every row; strata are dealt evenly, groups stay together."""
    fold = np.empty(len(strata), np.intp)
    if groups is None:
        order = np.lexsort((rng.random_sample(len(strata)), strata))
        fold[order] = (np.arange(len(strata)) + rng.randint(n_folds)) % n_folds
        return fold
    unit = _numbered(groups)
    sizes = np.bincount(unit)
    # The largest groups first, each to the fold with the fewest rows.
    load = np.zeros(n_folds)
    of_group = np.empty(len(sizes), np.intp)
    for group in np.lexsort((rng.random_sample(len(sizes)), -sizes)):
        of_group[group] = load.argmin()
        load[of_group[group]] += sizes[group]
    return of_group[unit]


def _numbered(groups: NDArray[Any]) -> NDArray[np.intp]:
    numbers_: NDArray[np.intp] = np.unique(groups, return_inverse=True)[1].ravel()
    return numbers_


def _folds(
    n_members: int,
    n_rows: int,
    strata: NDArray[np.intp],
    groups: NDArray[Any] | None,
    rng: np.random.RandomState,
) -> list[Split]:
    n_units = n_rows if groups is None else len(np.unique(groups))
    if n_units < 2:
        raise ValueError("groups must be at least 2, so that one can be held out; got 1")
    n_folds = min(max(MIN_FOLDS, n_members), MAX_FOLDS, n_units)
    splits: list[Split] = []
    while len(splits) < n_members:
        fold = fold_numbers(n_folds, strata, groups, rng)
        splits += [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_folds)]
    return splits[:n_members]


def _random(
    fraction: float,
    strata: NDArray[np.intp],
    units: NDArray[np.intp],
    grouped: bool,
    rng: np.random.RandomState,
) -> Split:
    """Hold out a fraction of every stratum, or of the groups."""
    if grouped:
        names = rng.permutation(units.max() + 1)
        n = min(max(1, round(fraction * len(names))), len(names) - 1)
        held = np.isin(units, names[:n])
    else:
        order = np.lexsort((rng.random_sample(len(strata)), strata))
        n = min(max(1, round(fraction * len(order))), len(order) - 1)
        held = np.zeros(len(order), bool)
        held[order[(np.arange(n) * len(order)) // n]] = True
    if held.all() or not held.any():
        raise ValueError("groups must be at least 2, so that one can be held out; got 1")
    return np.flatnonzero(~held), np.flatnonzero(held)


def _given(
    validation: Any,
    n_members: int,
    n_rows: int,
    y: NDArray[Any],
    groups: NDArray[Any] | None,
    there: Rows | None,
) -> list[Split]:
    splits: Iterable[Any]
    is_text = isinstance(validation, str | bytes | bytearray)
    is_text |= isinstance(validation, np.ndarray) and validation.ndim == 0
    if hasattr(validation, "split") and not is_text:
        splits = validation.split(np.zeros((n_rows, 1)), y, groups)
    elif isinstance(validation, Iterable) and not is_text:
        splits = validation
    else:
        raise TypeError(
            "validation must be None, a fraction, a splitter, or pairs of row indices; got "
            f"{shown(validation)}"
        )
    pairs = [_pair(split, n_rows, groups, there) for split in islice(splits, n_members)]
    if not pairs:
        raise ValueError("validation must yield at least one split")
    return [pairs[i % len(pairs)] for i in range(n_members)]


def _pair(split: Any, n_rows: int, groups: NDArray[Any] | None, there: Rows | None) -> Split:
    if not isinstance(split, tuple | list) or len(split) != 2:
        raise ValueError(
            f"validation must yield pairs (train, validation) of row indices; got {shown(split)}"
        )
    train, held = (_indices(rows, n_rows) for rows in split)
    _check_apart(train, held, groups)
    if there is not None:
        place = np.full(n_rows, -1, np.intp)
        place[there] = np.arange(len(there))
        train, held = (place[rows[place[rows] >= 0]] for rows in (train, held))
    if not len(train) or not len(held):
        raise ValueError(
            f"validation must leave rows on both sides; got {len(train)} for training and "
            f"{len(held)} held out"
        )
    return train, held


def _check_apart(train: Rows, held: Rows, groups: NDArray[Any] | None) -> None:
    """Refuse a split that would score rows, or groups, by what was learned from them."""
    both = np.intersect1d(train, held)
    if len(both):
        raise ValueError(
            f"validation must not hold out rows that it trains on; row {both[0]} is on both sides"
        )
    if groups is None:
        return
    shared = np.intersect1d(groups[train], groups[held])
    if len(shared):
        raise ValueError(
            f"validation has rows of group {shown(shared[0].item())} on both sides of a split; use "
            "a splitter such as GroupKFold, or fit without groups"
        )


def _indices(rows: Any, n_rows: int) -> Rows:
    array = np.asarray(rows)
    if array.shape == (n_rows,) and array.dtype == bool:
        return np.flatnonzero(array)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
        raise ValueError(f"validation must yield row indices or masks; got {shown(rows)}")
    if array.min() < 0 or array.max() >= n_rows:
        raise ValueError(f"validation must yield row indices from 0 to {n_rows - 1}")
    return np.ascontiguousarray(array, np.intp)
