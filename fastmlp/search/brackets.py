"""Brackets: how many configurations are trained for how many epochs, rung after rung."""

from __future__ import annotations

from typing import NamedTuple


class Rung(NamedTuple):
    """One round of a bracket.

    Attributes
    ----------
    n_candidates : int
        Number of configurations in this round.
    n_epochs : int
        Number of epochs that each of them has been trained for at its end, from the beginning.
    """

    n_candidates: int
    n_epochs: int


Bracket = tuple[Rung, ...]
"""The rungs of one successive halving, from the first to the last."""


def halving_bracket(n_candidates: int, max_epochs: int, min_epochs: int, factor: int) -> Bracket:
    """Return the rungs of successive halving that ends with `max_epochs` epochs.

    With k rungs, rung i has ``n_candidates // factor**i`` configurations of
    ``max_epochs // factor**(k - 1 - i)`` epochs; k is the largest number for which every rung has a
    configuration and at least `min_epochs` epochs.

    Parameters
    ----------
    n_candidates, max_epochs, min_epochs : int >= 1
        Checked: ``min_epochs <= max_epochs``.
    factor : int >= 2
        Of n configurations, n // factor enter the next rung.
    """
    k = 1
    while n_candidates // factor**k >= 1 and max_epochs // factor**k >= min_epochs:
        k += 1
    return tuple(
        Rung(n_candidates // factor**i, max_epochs // factor ** (k - 1 - i)) for i in range(k)
    )


def hyperband_brackets(max_epochs: int, min_epochs: int, factor: int) -> tuple[Bracket, ...]:
    """Return the brackets of Hyperband, those with the most configurations first.

    With R = `max_epochs`, eta = `factor` and s from s_max to 0, a bracket begins with
    ``n = ceil((s_max + 1) / (s + 1) * eta**s)`` configurations of ``R // eta**s`` epochs; s_max is
    the largest s for which these are at least `min_epochs`. All brackets cost about the same.

    Parameters
    ----------
    max_epochs, min_epochs : int >= 1
        Checked: ``min_epochs <= max_epochs``.
    factor : int >= 2

    References
    ----------
    L. Li, K. Jamieson, G. DeSalvo, A. Rostamizadeh and A. Talwalkar, "Hyperband: A novel
    bandit-based approach to hyperparameter optimization", JMLR 18 (2018), algorithm 1.
    """
    s_max = 0
    while max_epochs // factor ** (s_max + 1) >= min_epochs:
        s_max += 1
    return tuple(_hyperband_bracket(s, s_max, max_epochs, factor) for s in range(s_max, -1, -1))


def _hyperband_bracket(s: int, s_max: int, max_epochs: int, factor: int) -> Bracket:
    n_candidates = -(-(s_max + 1) * factor**s // (s + 1))  # rounded up
    return tuple(
        Rung(n_candidates // factor**i, max_epochs // factor ** (s - i)) for i in range(s + 1)
    )


def limited(bracket: Bracket, n_candidates: int, factor: int) -> Bracket:
    """Return a bracket for fewer configurations, if there are no more; the epochs stay."""
    if n_candidates >= bracket[0].n_candidates:
        return bracket
    return tuple(
        Rung(max(1, n_candidates // factor**i), rung.n_epochs) for i, rung in enumerate(bracket)
    )
