"""Training rows of a fit, and what every member gets of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.engine.rows import Rows
from fastmlp.tables.encoder import TabularEncoder, inputs_of
from fastmlp.tables.features import Features
from fastmlp.tables.folds import fold_numbers
from fastmlp.tables.members import Job, Member
from fastmlp.tables.reader import Cells
from fastmlp.tables.statistics import N_FOLDS, TargetStatistics
from fastmlp.tables.weighted import Numbers


class TrainingData:
    """Training rows of a fit, those of weight 0 left out.

    Attributes
    ----------
    inputs : dict of int to ndarray
        Inputs that members share, by their number.
    validation : (Cells, targets, weights) or None
    """

    def __init__(
        self,
        cells: Cells,
        targets: Numbers,
        weights: Numbers | None,
        groups: NDArray[Any] | None,
    ) -> None:
        self.cells, self.targets, self.weights, self.groups = cells, targets, weights, groups
        self.n_rows = len(targets)
        self.inputs: dict[int, Array] = {}
        self.validation: tuple[Cells, Numbers, Numbers | None] | None = None


def make_job(
    encoder: TabularEncoder,
    features: Features,
    data: TrainingData,
    statistic_targets: Numbers,
    weights: Numbers | None,
    dtype: str,
    strata: NDArray[np.intp],
    train: NDArray[np.intp],
    held: NDArray[np.intp],
    *,
    seeds: tuple[int, int, int],
) -> Job:
    """Encode the rows for a member, whose statistics come from its training rows alone."""
    many = encoder.many
    statistics, inputs = TargetStatistics([]), data.inputs.get(features.n_inputs)
    if inputs is None:
        codes = data.cells.codes[:, many]
        rng = np.random.RandomState(seeds[2])
        groups = None if data.groups is None else data.groups[train]
        fold = fold_numbers(N_FOLDS, strata[train], groups, rng)
        statistics, own = TargetStatistics.learn(
            codes[train],
            encoder.n_many,
            statistic_targets[train],
            None if data.weights is None else data.weights[train],
            fold,
        )
        columns = statistics.encode(codes)
        columns[train] = own
        inputs = inputs_of(features, data.cells, columns, dtype)
    targets = np.ascontiguousarray(data.targets, dtype)
    of_rows = None if weights is None else np.ascontiguousarray(weights, dtype)
    rows = Rows(inputs, targets, of_rows)
    held_out = None
    if data.validation is not None:
        cells, y, w = data.validation
        x = inputs_of(features, cells, statistics.encode(cells.codes[:, many]), dtype)
        held_out = Rows(x, np.ascontiguousarray(y, dtype), None if w is None else w.astype(dtype))
    elif len(held):
        held_out = Rows(inputs[held], targets[held], None if of_rows is None else of_rows[held])
        if of_rows is not None and not of_rows[held].any():
            held_out = held_out._replace(weights=None)
    return Job(rows, train, held_out, features, statistics, seeds[:2])


def report_member(n_members: int, number: int, member: Member) -> None:
    """Print a line about a trained member."""
    last = member.history.get("val_loss") or member.history.get("loss") or [np.nan]
    best = last[-1] if member.best_epoch is None else last[member.best_epoch]
    print(
        f"member {number + 1} of {n_members}: {len(member.history.get('loss', []))} epochs, "
        f"best loss {best:.5g}",
        flush=True,
    )
