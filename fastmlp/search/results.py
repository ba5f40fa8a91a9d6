"""Results of a search in the form of scikit-learn's `cv_results_`, and its best row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.search.tasks import Outcome
from fastmlp.search.tournament import RungResult

Table = dict[str, Any]


def table_of(
    rungs: Sequence[RungResult],
    candidates: Sequence[Mapping[str, Any]],
    n_splits: int,
    error_score: float,
) -> Table:
    """Return `cv_results_`: a row per candidate and rung, by bracket, rung and candidate.

    Parameters
    ----------
    rungs : sequence of RungResult
        All of their tasks are done.
    candidates : sequence of mapping
        Their parameters.
    n_splits : int
    error_score : float
        Score of a model that has failed.

    Returns
    -------
    dict of str to ndarray, masked array or list
        ``bracket``, ``iter``, ``candidate`` and ``n_resources`` (int); ``params`` (list of dict)
        and ``param_<name>``; mean and standard deviation of ``fit_time`` (seconds, of this rung
        alone) and ``score_time``; ``split<i>_test_<score>``, ``mean_test_<score>``,
        ``std_test_<score>`` and ``rank_test_<score>``, 1 for the best of all rows.
    """
    rows = [(rung, candidate) for rung in rungs for candidate in rung.candidates]
    outcomes = [[rung.outcomes[c, split] for split in range(n_splits)] for rung, c in rows]
    numbers = {
        "bracket": [rung.bracket for rung, _ in rows],
        "iter": [rung.rung for rung, _ in rows],
        "candidate": [candidate for _, candidate in rows],
        "n_resources": [rung.n_epochs for rung, _ in rows],
    }
    table: Table = {name: np.array(values, np.int64) for name, values in numbers.items()}
    for name in ("fit", "score"):
        seconds = np.array([[getattr(o, f"{name}_seconds") for o in row] for row in outcomes])
        table[f"mean_{name}_time"], table[f"std_{name}_time"] = seconds.mean(1), seconds.std(1)
    params = [dict(candidates[candidate]) for _, candidate in rows]
    table |= _parameter_columns(params)
    table["params"] = params
    for name in score_names(rungs):
        scores = np.array([[_score(o, name, error_score) for o in row] for row in outcomes])
        table |= {f"split{i}_test_{name}": scores[:, i] for i in range(n_splits)}
        table[f"mean_test_{name}"], table[f"std_test_{name}"] = scores.mean(1), scores.std(1)
        table[f"rank_test_{name}"] = ranks(table[f"mean_test_{name}"])
    return table


def score_names(rungs: Sequence[RungResult]) -> list[str]:
    """Return the names of all scores."""
    outcomes = [rung.outcomes[place] for rung in rungs for place in sorted(rung.outcomes)]
    return list(dict.fromkeys(name for outcome in outcomes for name in outcome.scores or ()))


def _score(outcome: Outcome, name: str, error_score: float) -> float:
    return error_score if outcome.scores is None else outcome.scores.get(name, math.nan)


def _parameter_columns(params: Sequence[Mapping[str, Any]]) -> Table:
    """Return a masked array per parameter, masked where a row does not have it."""
    columns: Table = {}
    for name in dict.fromkeys(name for row in params for name in row):
        values = [row.get(name) for row in params]
        column: Any = np.ma.array(np.zeros(len(params), _dtype_of(values, params, name)), mask=True)
        for i, row in enumerate(params):
            if name in row:
                column[i] = row[name]
        columns[f"param_{name}"] = column
    return columns


def _dtype_of(values: Sequence[Any], params: Sequence[Mapping[str, Any]], name: str) -> Any:
    """Return bool, int64 or float64 if all values are of that type, otherwise object."""
    types = {type(value) for value, row in zip(values, params, strict=True) if name in row}
    for dtype, known in ((bool, {bool, np.bool_}), (float, {float, np.float64})):
        if types <= known:
            return dtype
    fits = types <= {int, np.int64} and all(-(2**63) <= (v or 0) < 2**63 for v in values)
    return np.int64 if fits else object


def ranks(scores: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the rank of every score, 1 for the highest; equal ones share the best, NaN is last."""
    from scipy.stats import rankdata

    lowest = np.nanmin(scores) - 1 if not np.isnan(scores).all() else 0.0
    found: NDArray[np.int32] = rankdata(-np.nan_to_num(scores, nan=lowest), method="min").astype(
        np.int32
    )
    return found


def best_row(
    rungs: Sequence[RungResult], table: Table, metric: str, refit: bool | str | Callable[..., Any]
) -> int:
    """Return the row of the best candidate among those that have reached the end of a bracket.

    If none has, without a failure, it is the best one of those trained longest. A function `refit`
    chooses among all rows. Ties are broken by the order of the rows.

    Raises
    ------
    TypeError, ValueError
        If a function returns no row.
    """
    if callable(refit):
        return _chosen_row(table, refit)
    failed = {
        (rung.bracket, rung.rung, candidate)
        for rung in rungs
        for (candidate, _), outcome in rung.outcomes.items()
        if outcome.scores is None
    }
    last = {rung.bracket: rung.rung for rung in rungs}
    scores = table[f"mean_test_{metric}"]
    columns = (table[name].tolist() for name in ("bracket", "iter", "candidate"))
    places = list(zip(*columns, strict=True))
    working = [row for row, place in enumerate(places) if place not in failed]
    scored = [row for row in working if not np.isnan(scores[row])]
    at_end = [row for row in scored if places[row][1] == last[places[row][0]]]
    usable = at_end or _trained_longest(scored, table) or working
    return max(usable, key=lambda row: (scores[row], -row))


def _chosen_row(table: Table, choose: Callable[..., Any]) -> int:
    n_rows = len(table["params"])
    row = choose(table)
    if isinstance(row, bool) or not isinstance(row, int | np.integer):
        raise TypeError(f"refit must return an integer, a row of cv_results_; got {row!r}")
    if not 0 <= row < n_rows:
        raise ValueError(f"refit must return a row of cv_results_, below {n_rows}; got {row}")
    return int(row)


def _trained_longest(rows: Sequence[int], table: Table) -> list[int]:
    most = max((table["n_resources"][row] for row in rows), default=0)
    return [row for row in rows if table["n_resources"][row] == most]
