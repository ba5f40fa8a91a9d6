"""Images for a CNN: loaded, split, standardized, with the axes (n, height, width, channel)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastmlp import datasets
from fastmlp._checks import check_choice, check_flag, check_integer
from fastmlp._types import StrPath
from fastmlp.cnn.arrays import Images
from fastmlp.datasets.labelled import mix_and_cut
from fastmlp.datasets.scaling import KINDS, Scaler

Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ImageData:
    """Standardized images with their labels.

    Attributes
    ----------
    X_train, X_validation, X_test : ndarray of shape (n, height, width, 1), float32
    y_train, y_validation, y_test : ndarray of shape (n,), int64
    scaler : Scaler
        Fitted on the training images, or with `legacy_split` on all.
    name, source : str
    """

    X_train: Images
    y_train: Labels
    X_validation: Images
    y_validation: Labels
    X_test: Images
    y_test: Labels
    scaler: Scaler
    name: str
    source: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        height, width, channels = self.X_train.shape[1:]
        return height, width, channels

    @property
    def watched(self) -> tuple[str, Images, Labels]:
        """The set to measure after every epoch: validation images if there are some, else test."""
        if len(self.X_validation):
            return "validation", self.X_validation, self.y_validation
        return "test", self.X_test, self.y_test


def load_images(
    name: StrPath = "mnist",
    *,
    scale: str = "feature",
    n_train: int | None = None,
    n_validation: int = 0,
    n_test: int | None = None,
    legacy_split: bool = False,
    seed: int | None = None,
) -> ImageData:
    """Load a data set of square grey images, keep its own split, and standardize the pixels.

    Parameters
    ----------
    name : str, bytes or PathLike
        For :func:`fastmlp.datasets.load`.
    scale : {"feature", "global", "none"}
        One mean and deviation per pixel, as in the articles, one for all pixels, or no change.
    n_train, n_test : int >= 1 or None
        Use only the first ones; None means all. `n_train` counts the validation images too.
    n_validation : int >= 0
        The last training images, set apart before the scaler is fitted.
    legacy_split : bool
        As the articles do: fit the scaler on training and test images together, shuffle them, and
        split them again. Test images are then not new to the scaler, and not the official ones.
    seed : int or None
        Of that mixing.

    Returns
    -------
    ImageData

    Raises
    ------
    ValueError, OSError
        For an unknown name, images that are not square, or more images than there are.
    """
    scaler = Scaler(check_choice("scale", scale, KINDS))
    data = datasets.load(name)
    side = math.isqrt(data.X_train.shape[1])
    if side * side != data.X_train.shape[1]:
        raise ValueError(
            f"data must be square images; {data.name} has {data.X_train.shape[1]} features per row"
        )
    arrays = data.X_train, data.y_train, data.X_test, data.y_test
    if check_flag("legacy_split", legacy_split):
        arrays = mix_and_cut(arrays, scaler, np.random.default_rng(seed))
    X_train, y_train = arrays[0][: _count("n_train", n_train, len(arrays[0]))], arrays[1]
    X_test = arrays[2][: _count("n_test", n_test, len(arrays[2]))]
    n_fit = len(X_train) - check_integer(
        "n_validation", n_validation, minimum=0, maximum=len(X_train) - 1
    )
    if not legacy_split:
        scaler.fit(X_train[:n_fit])

    def images(X: NDArray[np.float32]) -> Images:
        return scale_images(scaler, X, (side, side, 1))

    return ImageData(
        images(X_train[:n_fit]),
        y_train[:n_fit],
        images(X_train[n_fit:]),
        y_train[n_fit : len(X_train)],
        images(X_test),
        arrays[3][: len(X_test)],
        scaler,
        data.name,
        data.source,
    )


def scale_images(
    scaler: Scaler, pixels: NDArray[np.float32], shape: tuple[int, int, int]
) -> Images:
    """Raw pixels (n, height * width) or (n, height, width, 1) as standardized images."""
    if len(pixels) == 0:
        return np.empty((0, *shape), np.float32)
    flat = pixels.reshape(len(pixels), -1)
    return scaler.transform(flat, np.dtype(np.float32)).reshape(-1, *shape)


def unscale_images(scaler: Scaler, images: Images) -> NDArray[np.float64]:
    """Convert standardized images (n, height, width, 1) back to pixels."""
    flat = scaler.inverse_transform(images.reshape(len(images), -1).astype(np.float64))
    return flat.reshape(images.shape)


def _count(name: str, wanted: int | None, available: int) -> int:
    if wanted is None:
        return available
    return check_integer(name, wanted, minimum=1, maximum=available)
