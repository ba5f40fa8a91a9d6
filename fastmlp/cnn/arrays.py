"""Checked images and labels for a CNN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import as_numeric_array, check_finite, check_same_length

Images = NDArray[np.float32]


def check_images(name: str, images: ArrayLike, shape: tuple[int, int, int]) -> Images:
    """Return `images` as finite float32 of shape (n, height, width, channels), n >= 1.

    Parameters
    ----------
    name : str
        Name of the argument, for error messages.
    images : array-like of shape (n, height, width, channels)
        Or (n, height, width) where there is one channel.
    shape : (int, int, int)
        Height, width and channels that are wanted.

    Raises
    ------
    ValueError, TypeError
        For another shape, no images, or numbers that are not finite.
    """
    array = as_numeric_array(name, images)
    if array.ndim == 3 and shape[2] == 1 and array.shape[1:] == shape[:2]:
        array = array[..., np.newaxis]
    if array.ndim != 4 or array.shape[1:] != shape or len(array) == 0:
        wanted = ", ".join(map(str, shape))
        raise ValueError(
            f"{name} must be images of shape (n, {wanted}), n >= 1; got {np.shape(images)}"
        )
    result = np.ascontiguousarray(array, dtype=np.float32)
    check_finite(name, result.reshape(len(result), -1))
    return result


def check_targets(name: str, labels: ArrayLike, n_classes: int, n_images: int) -> Images:
    """Convert labels to one-hot float32 targets (n, n_classes).

    Parameters
    ----------
    name : str
        Name of the argument, for error messages.
    labels : array-like of shape (n,) or (n, n_classes)
        Integers from 0 to n_classes - 1, or one-hot rows.
    n_classes, n_images : int

    Raises
    ------
    ValueError, TypeError
        For another shape, a label out of range (its row is named), or another number of rows.
    """
    array = as_numeric_array(name, labels)
    if array.ndim == 2 and array.shape[1] == n_classes:
        check_same_length("images", n_images, name, len(array))
        check_finite(name, array)
        return np.ascontiguousarray(array, dtype=np.float32)
    if array.ndim != 1:
        raise ValueError(
            f"{name} must be labels of shape (n,) or one-hot rows (n, {n_classes}); "
            f"got shape {array.shape}"
        )
    check_same_length("images", n_images, name, len(array))
    codes: NDArray[Any] = array.astype(np.int64)
    wrong = (codes != array) | (codes < 0) | (codes >= n_classes)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{name} must be whole numbers from 0 to {n_classes - 1}, one class per output node; "
            f"got {array[row]} at row {row}"
        )
    one_hot: Images = np.eye(n_classes, dtype=np.float32)[codes]
    return one_hot
