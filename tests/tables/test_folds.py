"""Which rows members hold out: every row once, strata evenly, groups together."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneGroupOut, TimeSeriesSplit

from fastmlp.tables.folds import fold_numbers, member_splits


def splits(n_members=5, n=100, validation=None, groups=None, classes=None, seed=0):
    strata = np.zeros(n, int) if classes is None else classes
    return member_splits(
        validation,
        n_members,
        n,
        y=np.zeros(n),
        strata=strata,
        groups=groups,
        rng=np.random.RandomState(seed),
    )


@pytest.mark.parametrize("n_members", [5, 10])
@pytest.mark.parametrize("n", [10, 97, 500])
def test_as_many_members_as_folds_hold_out_every_row_once(n_members, n):
    held = np.concatenate([held for _, held in splits(n_members, n)])
    assert np.sort(held).tolist() == list(range(n))


@pytest.mark.parametrize("n_members", [1, 2, 5, 12, 25])
def test_a_member_trains_on_all_rows_that_it_does_not_hold_out(n_members):
    pairs = splits(n_members)
    assert len(pairs) == n_members
    for train, held in pairs:
        assert np.sort(np.concatenate([train, held])).tolist() == list(range(100))
        assert 10 <= len(held) <= 20


def test_classes_have_their_share_in_every_fold():
    classes = np.repeat([0, 1, 2], [60, 35, 5])
    for _, held in splits(classes=classes):
        assert np.bincount(classes[held], minlength=3).tolist() == [12, 7, 1]


def test_groups_are_never_on_both_sides():
    groups = np.random.default_rng(0).integers(0, 13, 100)
    for validation in (None, 0.3):
        for train, held in splits(groups=groups, validation=validation):
            assert not set(groups[train]) & set(groups[held])
            assert len(held)


def test_group_folds_have_similar_sizes():
    groups = np.repeat(np.arange(10), np.arange(1, 11))
    sizes = np.bincount(fold_numbers(5, np.zeros(55, int), groups, np.random.RandomState(0)))
    assert sizes.tolist() == [11] * 5


def test_a_fraction_is_held_out_anew_by_every_member():
    classes = np.repeat([0, 1], [80, 20])
    pairs = splits(3, validation=0.25, classes=classes)
    assert len({tuple(held) for _, held in pairs}) == 3
    for _, held in pairs:
        assert np.bincount(classes[held]).tolist() == [20, 5]


def test_splits_of_a_splitter_are_taken_in_order_and_repeated():
    expected = list(TimeSeriesSplit(3).split(np.zeros((100, 1))))
    found = splits(5, validation=TimeSeriesSplit(3))
    for pair, wanted in zip(found, [*expected, *expected[:2]], strict=True):
        for rows, other in zip(pair, wanted, strict=True):
            np.testing.assert_array_equal(rows, other)


def test_pairs_of_indices_or_masks_are_splits():
    mask = np.arange(100) < 30
    for train, held in splits(2, validation=[(~mask, mask)]):
        assert held.tolist() == list(range(30)) and len(train) == 70


def test_splitters_get_the_groups():
    groups = np.arange(100) % 4
    for number, (_, held) in enumerate(splits(4, validation=LeaveOneGroupOut(), groups=groups)):
        assert set(groups[held]) == {number}


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (0.0, "more than 0"),
        (1.0, "below 1"),
        (-0.5, "validation"),
        ("half", "a fraction, a splitter"),
        (b"half", "a fraction, a splitter"),
        (7, "below 1"),
        (True, "a fraction, a splitter"),
        ([], "at least one split"),
        ([3], "pairs"),
        ([([0], [200])], "from 0 to 99"),
        ([([0], ["a"])], "indices or masks"),
        ([(np.zeros(100, bool), np.ones(100, bool))], "both sides"),
    ],
)
def test_other_validations_are_named(validation, message):
    with pytest.raises((ValueError, TypeError), match=message) as raised:
        splits(validation=validation)
    assert "validation" in str(raised.value)


@pytest.mark.parametrize("validation", [None, 0.2])
def test_a_single_group_cannot_be_held_out(validation):
    with pytest.raises(ValueError, match="groups must be at least 2"):
        splits(validation=validation, groups=np.zeros(100))


def test_the_seed_decides():
    def held(seed):
        return [rows.tolist() for _, rows in splits(seed=seed)]

    assert held(0) == held(0) != held(1)
