"""Small data sets in the file formats of Keras and of Yann LeCun."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastmlp.datasets.arrays import Dataset
from fastmlp.datasets.pinned import PINNED


def small_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Return 5 + 3 images of 4 x 2 in Keras' layout."""
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (5, 4, 2), dtype=np.uint8),
        "y_train": rng.integers(0, 10, 5, dtype=np.uint8),
        "x_test": rng.integers(0, 256, (3, 4, 2), dtype=np.uint8),
        "y_test": rng.integers(0, 10, 3, dtype=np.uint8),
    }


def npz_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_idx(
    folder: Path,
    arrays: dict[str, np.ndarray],
    rename: Callable[[str], str] = str,
    pack: Callable[[bytes], bytes] = bytes,
) -> Path:
    folder.mkdir(parents=True)
    for field, file in IDX_FILES.items():
        (folder / rename(file)).write_bytes(pack(idx_bytes(arrays[field])))
    return folder


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(npz_bytes(arrays))
    return path


def assert_holds(data: Dataset, arrays: dict[str, np.ndarray]) -> None:
    for part, X, y in (("train", data.X_train, data.y_train), ("test", data.X_test, data.y_test)):
        expected = arrays[f"x_{part}"]
        np.testing.assert_array_equal(X, expected.reshape(len(expected), -1))
        np.testing.assert_array_equal(y, arrays[f"y_{part}"])
        assert X.dtype == expected.dtype
        assert y.dtype == np.int64
        assert X.flags.c_contiguous


def pinned_mnist():
    return replace(
        PINNED["mnist"],
        files={"mnist.npz": hashlib.sha256(npz_bytes(small_arrays())).hexdigest()},
        arrays={name: hashlib.sha256(a).hexdigest() for name, a in small_arrays().items()},
    )
