"""The tables of docs/benchmarks.md, from a result's JSON alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastmlp.bench.contenders import BASELINE, REFERENCE
from fastmlp.bench.report import UNITS

NAMES = {
    BASELINE: "fastmlp",
    "jax-scan": "JAX scan",
    REFERENCE: "NumPy",
    "sklearn": "scikit-learn",
    "torch": "PyTorch",
    "keras": "Keras",
}
"""The contenders of the tables, in the order of their columns."""

SHARES = {"% of sgemm": "peak_fraction", "% of FMA": "fma_fraction"}
"""Columns with fastmlp's share of the machine's highest rates, where these were measured."""

Row = dict[str, Any]


def tables(content: dict[str, Any]) -> str:
    """One table of all jobs but the estimators, one of these; either only if it has rows.

    content: what `report.as_json` returned, or the same read from a file. Times are medians; in
    brackets times fastmlp's.
    """
    rows: dict[str, dict[str, Row]] = {}
    for row in content["summary"]:
        if row["job"] and row["contender"] in NAMES:
            rows.setdefault(row["job"], {})[row["contender"]] = row
    kinds = {job["name"]: job.get("kind", "train") for job in content["settings"]["jobs"]}
    fits = {job: found for job, found in rows.items() if kinds[job] == "estimator"}
    others = {job: found for job, found in rows.items() if job not in fits}
    parts = [_times(others)] if others else []
    return "\n\n".join([*parts, _fits(fits)] if fits else parts)


def _times(jobs: dict[str, dict[str, Row]]) -> str:
    """Format a column per contender, and fastmlp's shares of the machine's highest rates."""
    columns = [name for name in NAMES if any(name in found for found in jobs.values())]
    mine = [found.get(BASELINE, {}) for found in jobs.values()]
    shares = {head: key for head, key in SHARES.items() if any(row.get(key) for row in mine)}
    lines = [
        [
            f"`{job}`",
            *(_cell(found.get(name)) for name in columns),
            *(_percent(found.get(BASELINE, {}).get(key)) for key in shares.values()),
        ]
        for job, found in jobs.items()
    ]
    return _table(["job", *(NAMES[name] for name in columns), *shares], lines)


def _fits(jobs: dict[str, dict[str, Row]]) -> str:
    """Times, scores and epochs of the estimators of both libraries."""
    columns = [name for name in NAMES if any(name in found for found in jobs.values())]
    lines = []
    for job, found in jobs.items():
        rows = [found.get(name) for name in columns]
        cells = [f"`{job.removeprefix('estimator-')}`", *map(_cell, rows)]
        lines.append([*cells, *map(_score, rows), *map(_epochs, rows)])
    names = [NAMES[name] for name in columns]
    heads = [f"{what}, {name}" for what in ("score", "epochs") for name in names]
    return _table(["job", *names, *heads], lines)


def _cell(row: Row | None) -> str:
    """Median and ratio: "152 ms (1.6×)"."""
    if row is None:
        return "–"
    if row["seconds"] is None or row["check"] == "FAILS":
        return str(row["check"])
    unit, scale = next((u, s) for limit, u, s in UNITS if row["seconds"] < limit)
    number = row["seconds"] * scale
    time = f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
    if row["contender"] == BASELINE:
        return f"**{time}**"
    return time if row["ratio"] is None else f"{time} ({row['ratio']:.1f}×)"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}"


def _score(row: Row | None) -> str:
    """Mean and spread of accuracy or R² in percent: "97.42 (0.31)"."""
    if row is None or row["accuracy"] is None:
        return "–"
    spread = row["accuracy_spread"]
    return f"{100 * row['accuracy']:.2f}" + ("" if spread is None else f" ({100 * spread:.2f})")


def _epochs(row: Row | None) -> str:
    return "–" if row is None or row["n_epochs"] is None else f"{row['n_epochs']:g}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Rows of a Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows).replace(" --- ", "---")
