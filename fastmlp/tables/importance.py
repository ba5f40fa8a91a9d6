"""Permutation importances of a table's columns, on rows that were held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.tables.encoder import TabularEncoder, inputs_of
from fastmlp.tables.members import Member
from fastmlp.tables.plain import is_part
from fastmlp.tables.reader import Cells
from fastmlp.tables.weighted import Numbers

MAX_ROWS, N_REPEATS = 2000, 5


@is_part
@dataclass(frozen=True)
class HeldOutRows:
    """Some training rows, each with a member that held it out.

    Attributes
    ----------
    cells : Cells
    targets : ndarray of shape (n, n_outputs)
    weights : ndarray of shape (n,) or None
    member : ndarray of shape (n,), intp
    """

    __module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file

    cells: Cells
    targets: Numbers
    weights: Numbers | None
    member: NDArray[np.intp]

    @classmethod
    def sample(
        cls,
        cells: Cells,
        targets: Numbers,
        weights: Numbers | None,
        held_out: list[NDArray[np.intp]],
    ) -> HeldOutRows:
        """Return at most ``MAX_ROWS`` rows, evenly from those that each member held out."""
        share = max(1, MAX_ROWS // max(1, len(held_out)))
        chosen = [rows[:: -(-len(rows) // share)] if len(rows) else rows for rows in held_out]
        rows = np.concatenate(chosen)
        return cls(
            cells.rows(rows),
            targets[rows],
            None if weights is None else weights[rows],
            np.repeat(np.arange(len(chosen)), [len(part) for part in chosen]),
        )


def permutation_importances(
    members: list[Member],
    encoder: TabularEncoder,
    rows: HeldOutRows,
    loss: Callable[[Array, Numbers, Numbers | None], float],
    seed: int,
) -> Numbers:
    """Return by how much the loss rises when a column is shuffled, (N_REPEATS, n_columns).

    A column's values are exchanged among the rows that a member held out; the member predicts them.
    All inputs that come from the column move together.

    Parameters
    ----------
    loss : callable
        ``loss(outputs, targets, weights)``, the mean over the rows.
    seed : int
        Of the permutations.

    References
    ----------
    L. Breiman, "Random forests" (2001).
    """
    rng = np.random.default_rng(seed)
    n_columns = len(encoder.reader_.columns)
    total = np.zeros((N_REPEATS, n_columns))
    share = 0.0
    for number, member in enumerate(members):
        mine = np.flatnonzero(rows.member == number)
        weights = None if rows.weights is None else rows.weights[mine]
        weight = float(len(mine) if weights is None else weights.sum())
        if not weight:
            continue
        cells, targets = rows.cells.rows(mine), rows.targets[mine]
        statistics = member.statistics.encode(cells.codes[:, encoder.many])
        sources = encoder.sources(member.features, member.statistics)
        inputs = inputs_of(member.features, cells, statistics, member.network.dtype)
        base = loss(member.network.predict(inputs), targets, weights)
        share += weight
        for column in range(n_columns):
            block = np.flatnonzero(sources == column)
            if not len(block):
                continue
            kept = inputs[:, block].copy()
            for repeat in range(N_REPEATS):
                inputs[:, block] = kept[rng.permutation(len(mine))]
                changed = loss(member.network.predict(inputs), targets, weights)
                total[repeat, column] += weight * (changed - base)
            inputs[:, block] = kept
    return total / share if share else total
