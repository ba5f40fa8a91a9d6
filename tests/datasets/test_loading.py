"""load() and find(): which data set or file a name or path means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_layout import (
    assert_holds,
    sha256,
    small_arrays,
    write_idx,
    write_npz,
)

from fastmlp.datasets.loading import default_name, find, load

pytestmark = pytest.mark.usefixtures("home")  # empty folders, and no network


# --- Data sets that need no file


def test_digits_are_split_1297_to_500_by_class() -> None:
    data = load("digits", download=False)
    assert data.X_train.shape == (1297, 64)
    assert data.X_test.shape == (500, 64)
    assert data.X_train.dtype == np.float64
    assert (data.X_train.min(), data.X_train.max()) == (0.0, 16.0)
    assert data.source == "embedded in scikit-learn"
    # 1797 digits, so each class has 500/1797 of its samples in the test set, rounded.
    counts = np.bincount(data.y_train) + np.bincount(data.y_test)
    np.testing.assert_allclose(np.bincount(data.y_test), counts * 500 / 1797, atol=1)


def test_digits_are_all_of_scikit_learns_digits_once() -> None:
    from sklearn.datasets import load_digits

    data = load("digits")
    rows = np.column_stack([np.vstack([data.X_train, data.X_test]), [*data.y_train, *data.y_test]])
    expected = np.column_stack(load_digits(return_X_y=True))
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])


def test_digits_are_the_same_split_everywhere() -> None:
    data = load("digits")
    # The stored number shows a new scikit-learn that shuffles differently.
    assert sha256(data.y_test.astype("<i8").tobytes())[:16] == "bd2e9b7c2aa9b6b5"


def test_moons_are_two_seeded_classes() -> None:
    data, again = load("moons"), load("moons")
    assert data.X_train.shape == (1000, 2)
    assert data.X_test.shape == (500, 2)
    assert set(data.y_train) == set(data.y_test) == {0, 1}
    assert 450 < data.y_train.sum() < 550
    np.testing.assert_array_equal(data.X_train, again.X_train)
    assert not set(map(tuple, data.X_train)) & set(map(tuple, data.X_test))


def test_a_dataset_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError, match="name"):
        load("moons").name = "suns"  # type: ignore[misc]


# --- Names


@pytest.mark.parametrize("name", ["minst", "", "MNIST"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    known = "digits, fashion, fashion_mnist, mnist, mnist_784, mnist_keras, moons"
    for call in (load, find):
        with pytest.raises(
            ValueError, match=rf"name of a data set must be one of {known}, .*; got '{name}'"
        ):
            call(name)


@pytest.mark.parametrize("name", ["absent.npz", "some/folder", Path("digits")])
def test_a_missing_path_is_not_taken_for_a_name(name: Any) -> None:
    for call in (load, find):
        with pytest.raises(FileNotFoundError, match=r"expected an npz file or a folder of IDX"):
            call(name)


@pytest.mark.parametrize("name", ["digits", "moons"])
def test_find_refuses_what_needs_no_file(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"must be that of a data set stored in a file; got '{name}'"
    ):
        find(name)


# --- Paths


@pytest.mark.parametrize("as_type", [str, Path])
def test_an_npz_path_is_loaded_without_pins(as_type: Callable[[Path], Any], home: Path) -> None:
    arrays = small_arrays(seed=7)
    path = write_npz(home / "mine.npz", arrays)
    data = load(as_type(path), download=False)
    assert_holds(data, arrays)
    assert (data.name, data.source) == ("mine.npz", f"path: {path}")
    assert find(as_type(path)) == path


def test_a_folder_named_like_a_data_set_is_loaded_through_a_pathlike(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    arrays = small_arrays()
    write_idx(home / "digits", arrays)
    assert_holds(load(Path("digits")), arrays)
    assert load("digits").X_train.shape == (1297, 64)


def test_the_default_is_mnist_where_it_is_available_and_else_the_digits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fastmlp.datasets.loading.find", lambda name: Path(name))
    assert default_name() == "mnist"
    monkeypatch.setattr("fastmlp.datasets.loading.find", lambda name: None)
    assert default_name() == "digits"


@pytest.mark.parametrize("name", ["digits", "moons"])
def test_generated_rows_are_laid_out_as_those_from_files(name: str) -> None:
    data = load(name)
    for X, y in ((data.X_train, data.y_train), (data.X_test, data.y_test)):
        assert X.dtype == np.float64 and X.flags.c_contiguous and X.ndim == 2
        assert y.dtype == np.int64 and y.shape == (len(X),)
