"""Small data sets in the files of Keras and of Yann LeCun."""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import replace

import numpy as np

from fastmlp.datasets import loading as datasets


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


def pinned_mnist():
    return replace(
        datasets._PINNED["mnist"],
        files={"mnist.npz": hashlib.sha256(npz_bytes(small_arrays())).hexdigest()},
        arrays={name: hashlib.sha256(a).hexdigest() for name, a in small_arrays().items()},
    )
