"""Brackets, compared with the tables that Li et al. print."""

from __future__ import annotations

import pytest

from fastmlp.search.brackets import halving_bracket, hyperband_brackets, limited

# Table 1 of Li et al. (2018): R = 81, eta = 3, as (n_i, r_i).
PUBLISHED = [
    [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    [(34, 3), (11, 9), (3, 27), (1, 81)],
    [(15, 9), (5, 27), (1, 81)],
    [(8, 27), (2, 81)],
    [(5, 81)],
]


def test_hyperband_has_the_published_brackets():
    assert [[tuple(rung) for rung in bracket] for bracket in hyperband_brackets(81, 1, 3)] == (
        PUBLISHED
    )


def test_a_power_of_the_factor_is_no_matter_of_rounding():
    """log(243, 3) is 4.99..., which has cost others a bracket."""
    assert len(hyperband_brackets(243, 1, 3)) == 6
    assert len(hyperband_brackets(242, 1, 3)) == 5


@pytest.mark.parametrize("min_epochs, n_brackets", [(1, 5), (2, 4), (3, 4), (4, 3), (81, 1)])
def test_no_rung_has_fewer_than_the_least_epochs(min_epochs, n_brackets):
    brackets = hyperband_brackets(81, min_epochs, 3)
    assert len(brackets) == n_brackets
    assert min(rung.n_epochs for bracket in brackets for rung in bracket) >= min_epochs


@pytest.mark.parametrize("arguments, rungs", [
    ((9, 9, 1, 3), [(9, 1), (3, 3), (1, 9)]),
    ((27, 9, 1, 3), [(27, 1), (9, 3), (3, 9)]),
    ((2, 81, 1, 3), [(2, 81)]),
    ((8, 100, 20, 2), [(8, 25), (4, 50), (2, 100)]),
    ((1, 1, 1, 2), [(1, 1)]),
])  # fmt: skip
def test_successive_halving_ends_with_all_epochs(arguments, rungs):
    assert [tuple(rung) for rung in halving_bracket(*arguments)] == rungs


def test_a_bracket_with_fewer_configurations_keeps_its_epochs():
    bracket = halving_bracket(27, 9, 1, 3)
    assert [tuple(rung) for rung in limited(bracket, 4, 3)] == [(4, 1), (1, 3), (1, 9)]
    assert limited(bracket, 27, 3) is bracket
