"""Loading of a data set by name or path, as checked arrays in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastmlp._checks import check_path
from fastmlp._names import nearest
from fastmlp._types import StrPath
from fastmlp.datasets.arrays import Dataset, assemble, read_arrays
from fastmlp.datasets.pinned import PINNED, load_pinned, locate

NAMES = ("mnist", "fashion", "digits", "moons")
"""Names accepted by `load`; some have aliases."""

_ALIASES = {"mnist_784": "mnist", "mnist_keras": "mnist", "fashion_mnist": "fashion"}


def load(name: StrPath, *, cache_dir: StrPath | None = None, download: bool = True) -> Dataset:
    """Load a data set by name or path, checked and ready to be scaled.

    "mnist" and "fashion" are searched for in the folder named by the environment variable
    FASTMLP_DATA, in fastmlp's cache folder and in Keras' cache folder (KERAS_HOME is respected), in
    this order, and are downloaded if they are not found.

    Parameters
    ----------
    name : str, bytes or PathLike
        "mnist" (or "mnist_784", "mnist_keras"): 60000 + 10000 images of 28 x 28, uint8.
        "fashion" (or "fashion_mnist"): the same shapes, pieces of clothing.
        "digits": scikit-learn's 8 x 8 digits, values 0 to 16, a fixed stratified split into
        1297 + 500; needs no file.
        "moons": scikit-learn's two half circles with noise 0.2, fixed, 1000 + 500; needs no
        file.
        Or a path: an npz file in Keras' layout ("x_train", "y_train", "x_test", "y_test"), or
        a folder with the four IDX files of MNIST, plain or gzipped.
    cache_dir : str, bytes or PathLike, optional
        Replaces fastmlp's cache folder, which by default is in the system's folder for caches.
    download : bool
        Whether a missing "mnist" or "fashion" may be downloaded (about 11 and 30 MB).

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        If no data set has this name.
    DataFormatError
        If a file is damaged, or is not the data set that its name suggests.
    OSError
        If a file is missing or cannot be read, or a download failed.
    EnvironmentVariableError
        If FASTMLP_DATA names no existing folder.

    Warns
    -----
    UserWarning
        If a set is downloaded although FASTMLP_DATA names a folder, which does not have it.
    """
    key = _resolve(name)
    if cache_dir is not None:
        check_path("cache_dir", cache_dir)
    if key == "digits":
        return _load_digits()
    if key == "moons":
        return _load_moons()
    if isinstance(key, Path):
        return assemble(read_arrays(key), key, name=key.name, source=f"path: {key}")
    return load_pinned(key, cache_dir, download=download)


def find(name: StrPath, *, cache_dir: StrPath | None = None) -> Path | None:
    """Return the npz file or IDX folder that `load` would read, or None if it would download.

    Nothing is read, so the file may be damaged.

    Parameters
    ----------
    name : str, bytes or PathLike
        A name or path as for `load`, except "digits" and "moons", which need no file.
    cache_dir : str, bytes or PathLike, optional
        As for `load`.

    Raises
    ------
    ValueError
        If no data set has this name, or if it needs no file.
    FileNotFoundError
        If `name` is a path that does not exist.
    EnvironmentVariableError
        If FASTMLP_DATA names no existing folder.
    """
    key = _resolve(name)
    if cache_dir is not None:
        check_path("cache_dir", cache_dir)
    if isinstance(key, Path):
        return key
    if key not in PINNED:
        raise ValueError(f"the name must be that of a data set stored in a file; got {name!r}")
    found = locate(PINNED[key], cache_dir)
    return None if found is None else found[1]


def default_name() -> str:
    """Return "mnist" if it is available locally, else "digits"; nothing is downloaded."""
    return "digits" if find("mnist") is None else "mnist"


def _resolve(name: StrPath) -> str | Path:
    """Turn a name or alias into a known name, and anything else into an existing path."""
    if isinstance(name, str):
        key = _ALIASES.get(name, name)
        if key in NAMES:
            return key
    path = Path(check_path("name", name)).expanduser()
    if name != "" and path.exists():
        return path
    if isinstance(name, str) and path.suffix != ".npz" and len(path.parts) <= 1:
        names = ", ".join(sorted((*NAMES, *_ALIASES)))
        raise ValueError(
            f"the name of a data set must be one of {names}, or the path of an npz file or a "
            f"folder of IDX files; got {name!r}" + nearest(name, NAMES)
        )
    raise FileNotFoundError(f"{path}: expected an npz file or a folder of IDX files, found none")


def _load_digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    split = train_test_split(X, y.astype(np.int64), test_size=500, stratify=y, random_state=0)
    X_train, X_test, y_train, y_test = split
    source = "embedded in scikit-learn"
    return Dataset(X_train, y_train, X_test, y_test, name="digits", source=source)


def _load_moons() -> Dataset:
    from sklearn.datasets import make_moons

    X, y = make_moons(n_samples=1500, noise=0.2, random_state=0)
    source = "generated by scikit-learn"
    return Dataset(X[:1000], y[:1000], X[1000:], y[1000:], name="moons", source=source)
