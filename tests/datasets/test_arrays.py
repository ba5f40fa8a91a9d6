"""The four arrays of a data set: which files they come from, and which do not fit together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from keras_layout import (
    IDX_FILES,
    assert_holds,
    small_arrays,
    write_idx,
    write_npz,
)

from fastmlp.datasets.loading import load
from fastmlp.exceptions import DataFormatError

pytestmark = pytest.mark.usefixtures("home")  # empty folders, and no network


@pytest.mark.parametrize("dotted", [False, True], ids=["dash", "dot"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_folder_of_idx_files_is_loaded(dotted: bool, packed: bool, home: Path) -> None:
    import gzip

    def rename(file: str) -> str:
        return (file.replace("-idx", ".idx") if dotted else file) + (".gz" if packed else "")

    arrays = small_arrays()
    folder = write_idx(home / "mine", arrays, rename, gzip.compress if packed else bytes)
    assert_holds(load(folder), arrays)


@pytest.mark.parametrize("file", IDX_FILES.values())
def test_a_missing_idx_file_is_named(file: str, home: Path) -> None:
    folder = write_idx(home / "mine", small_arrays())
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=rf"mine: expected the IDX file {file} \(plain or"):
        load(folder)


def test_float_features_stay_floats(home: Path) -> None:
    arrays = small_arrays()
    arrays |= {field: arrays[field] / np.float32(255) for field in ("x_train", "x_test")}
    assert_holds(load(write_npz(home / "mine.npz", arrays)), arrays)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"x_train": np.zeros(5)}, r"mine\.npz, x_train: expected 2-D or more, found 1-D"),
        (
            {"y_test": np.zeros((3, 1), int)},
            r"mine\.npz, y_test: expected 1-D integers, found 2-D int64",
        ),
        (
            {"y_train": np.zeros(5)},
            r"mine\.npz, y_train: expected 1-D integers, found 1-D float64",
        ),
        (
            {"y_train": np.zeros(4, int)},
            r"one label per sample, found 5 samples in x_train and 4 labels in y_train",
        ),
        (
            {"x_test": np.zeros((3, 9))},
            r"equally many features, found 8 in x_train and 9 in x_test",
        ),
        ({"x_test": np.zeros((0, 8))}, r"at least 1 element along axis 0, found 0"),
    ],
    ids=["flat-x", "2d-y", "float-y", "lengths", "features", "empty"],
)
def test_arrays_that_do_not_fit_together_are_refused(
    change: dict[str, np.ndarray], match: str, home: Path
) -> None:
    path = write_npz(home / "mine.npz", small_arrays() | change)
    with pytest.raises(DataFormatError, match=match):
        load(path)
