"""The four arrays of a data set: read from an npz file or IDX files, checked, and reshaped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.datasets.idx import read_idx
from fastmlp.datasets.npz import read_npz
from fastmlp.exceptions import DataFormatError

FIELDS = ("x_train", "y_train", "x_test", "y_test")
# Files are also found with a dot instead of the last dash, and with .gz appended.
IDX_NAMES = {
    "x_train": ("train-images", "idx3-ubyte"),
    "y_train": ("train-labels", "idx1-ubyte"),
    "x_test": ("t10k-images", "idx3-ubyte"),
    "y_test": ("t10k-labels", "idx1-ubyte"),
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test arrays of one data set.

    Attributes
    ----------
    X_train, X_test : ndarray of shape (n_train, n_features), (n_test, n_features)
        C order, as stored: uint8 for images (0 to 255), float64 for "digits" and "moons".
    y_train, y_test : ndarray of shape (n_train,), (n_test,), int64
        Class labels.
    name : str
        Name of the data set, with aliases resolved; for a path, its last part.
    source : str
        Origin of the arrays, as text for messages.
    """

    __module__ = "fastmlp.datasets"  # the public address, so that pickles survive moves of the file

    X_train: NDArray[Any]
    y_train: NDArray[np.int64]
    X_test: NDArray[Any]
    y_test: NDArray[np.int64]
    name: str
    source: str


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the four arrays of an npz file or a folder of IDX files."""
    if not path.is_dir():
        return read_npz(path, FIELDS)
    files = idx_files(path)
    for field in FIELDS:
        if field not in files:
            raise FileNotFoundError(
                f"{path}: expected the IDX file {'-'.join(IDX_NAMES[field])} "
                "(plain or .gz), found none"
            )
    return {field: read_idx(files[field]) for field in FIELDS}


def idx_files(folder: Path) -> dict[str, Path]:
    """Return the paths of those of the four IDX files that exist in `folder`."""
    files = {}
    for field, (stem, kind) in IDX_NAMES.items():
        spellings = (f"{stem}{sep}{kind}{end}" for sep in "-." for end in ("", ".gz"))
        paths = (folder / spelling for spelling in spellings)
        if (path := next(filter(Path.is_file, paths), None)) is not None:
            files[field] = path
    return files


def assemble(
    arrays: Mapping[str, NDArray[Any]], where: Path | str, *, name: str, source: str
) -> Dataset:
    """Check that the four arrays fit together, flatten the samples, make the labels int64."""
    parts: list[NDArray[Any]] = []
    for part in ("train", "test"):
        X, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if X.ndim < 2:
            raise DataFormatError(f"{where}, x_{part}: expected 2-D or more, found {X.ndim}-D")
        if y.ndim != 1 or y.dtype.kind not in "iu":
            raise DataFormatError(
                f"{where}, y_{part}: expected 1-D integers, found {y.ndim}-D {y.dtype}"
            )
        if len(X) != len(y):
            raise DataFormatError(
                f"{where}: expected one label per sample, found {len(X)} samples in x_{part} "
                f"and {len(y)} labels in y_{part}"
            )
        parts += [np.ascontiguousarray(X.reshape(len(X), -1)), y.astype(np.int64)]
    X_train, y_train, X_test, y_test = parts
    if X_train.shape[1] != X_test.shape[1]:
        raise DataFormatError(
            f"{where}: expected equally many features, found {X_train.shape[1]} in x_train "
            f"and {X_test.shape[1]} in x_test"
        )
    return Dataset(X_train, y_train, X_test, y_test, name=name, source=source)
