"""What the exchange of gradients costs, in a sentence."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fastmlp.dask.member import Report


def advice(reports: Sequence[Report], n_workers: int, n_parameters: int) -> str | None:
    """Return a sentence if workers cost more time than they bring, or None.

    A step takes ``computing + exchange`` on each of W workers, and about ``W * computing`` on one.

    Parameters
    ----------
    reports : sequence of Report
        Of all pieces of a run, from the first worker.
    n_workers : int
    n_parameters : int
    """
    seconds = sum(report.seconds for report in reports)
    exchange = sum(report.exchange_seconds for report in reports)
    n_steps = sum(report.n_steps for report in reports)
    alone = n_workers * (seconds - exchange)
    if n_workers < 2 or not n_steps or seconds <= alone:
        return None
    return (
        f"fastmlp.dask: a step of {1e3 * seconds / n_steps:.1f} ms on {n_workers} workers spends "
        f"{exchange / seconds:.0%} on the exchange of {n_parameters:,} parameters; one worker "
        f"would take about {1e3 * alone / n_steps:.1f} ms. Larger batches or networks are worth "
        "more workers."
    )


def print_advice(reports: Sequence[Report], n_workers: int, n_parameters: int) -> None:
    """Print that sentence to the standard error output, if there is one."""
    sentence = advice(reports, n_workers, n_parameters)
    if sentence is not None:
        print(sentence, file=sys.stderr)
