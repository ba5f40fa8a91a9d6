"""Data sets for learning and measuring: `load(name)` gives checked arrays in memory.

MNIST and Fashion-MNIST are accepted from any honest copy (npz or IDX, packed anew or not),
because the checksums below are those of the arrays' bytes, not of the files.

MNIST: Yann LeCun and Corinna Cortes, CC BY-SA 3.0. Fashion-MNIST: Zalando SE, MIT licence.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.datasets.idx import read_idx
from fastmlp.datasets.npz import read_npz
from fastmlp.exceptions import DataFormatError

_Path = str | os.PathLike[str]

NAMES = ("mnist", "fashion", "digits", "moons")
"""The data sets that `load` knows; some have other names too."""

_FIELDS = ("x_train", "y_train", "x_test", "y_test")
# Each name is also met with a dot in place of the last dash, and with .gz at its end.
_IDX_NAMES = {
    "x_train": ("train-images", "idx3-ubyte"),
    "y_train": ("train-labels", "idx1-ubyte"),
    "x_test": ("t10k-images", "idx3-ubyte"),
    "y_test": ("t10k-labels", "idx1-ubyte"),
}
_BASE_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_CACHE = "fastmlp cache"


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
        The data set's own name, with aliases resolved; for a path, its last part.
    source : str
        Where the arrays came from, for people to read.
    """

    X_train: NDArray[Any]
    y_train: NDArray[np.int64]
    X_test: NDArray[Any]
    y_test: NDArray[np.int64]
    name: str
    source: str


@dataclass(frozen=True)
class _Pinned:
    """A data set that exists once, known by its checksums.

    `stems` are the names, without suffix, that its npz file or IDX folder may have; `files`
    maps the files to download, below a cache folder, to their SHA-256; `arrays` maps the
    arrays to the SHA-256 of their uint8 bytes in C order.
    """

    stems: tuple[str, ...]
    files: Mapping[str, str]
    arrays: Mapping[str, str]


_FASHION_FILES = {
    "x_train": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "y_train": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "x_test": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "y_test": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
_PINNED = {
    "mnist": _Pinned(
        stems=("mnist",),
        files={"mnist.npz": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"},
        arrays={
            "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
        },
    ),
    "fashion": _Pinned(
        stems=("fashion_mnist", "fashion-mnist"),
        files={
            f"fashion-mnist/{'-'.join(_IDX_NAMES[field])}.gz": sha256
            for field, sha256 in _FASHION_FILES.items()
        },
        arrays={
            "x_train": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
            "y_train": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
            "x_test": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
            "y_test": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
        },
    ),
}
_ALIASES = {"mnist_784": "mnist", "mnist_keras": "mnist", "fashion_mnist": "fashion"}


def load(name: _Path, *, cache_dir: _Path | None = None, download: bool = True) -> Dataset:
    """Load a data set by name or path, checked and ready to be scaled.

    "mnist" and "fashion" are looked for in the folder that the environment variable
    FASTMLP_DATA names, in fastmlp's cache folder and in Keras' cache folder (KERAS_HOME is
    respected), in this order, and are downloaded when none has them.

    Parameters
    ----------
    name : str or PathLike
        "mnist" (or "mnist_784", "mnist_keras"): 60000 + 10000 images of 28 x 28, uint8.
        "fashion" (or "fashion_mnist"): the same shapes, pieces of clothing.
        "digits": scikit-learn's 8 x 8 digits, values 0 to 16, a fixed stratified split into
        1297 + 500; needs no file.
        "moons": scikit-learn's two half circles with noise 0.2, fixed, 1000 + 500; needs no
        file.
        Or a path: an npz file in Keras' layout ("x_train", "y_train", "x_test", "y_test"), or
        a folder with the four IDX files of MNIST, plain or gzipped.
    cache_dir : str or PathLike, optional
        Replaces fastmlp's cache folder, which is the operating system's folder for caches.
    download : bool
        Whether a missing "mnist" or "fashion" may be downloaded (about 11 and 30 MB).

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        No data set has this name.
    DataFormatError
        A file is damaged, or not the data set it is named after.
    OSError
        A file is missing or cannot be read, or a download failed.
    """
    key = _resolve(name)
    if key == "digits":
        return _load_digits()
    if key == "moons":
        return _load_moons()
    if isinstance(key, Path):
        return _assemble(_read(key), key, name=key.name, source=f"path: {key}")
    return _load_pinned(key, cache_dir, download=download)


def find(name: _Path, *, cache_dir: _Path | None = None) -> Path | None:
    """Return the npz file or IDX folder that `load` would read, or None if it would download.

    Nothing is read, so a damaged file is found too.

    Parameters
    ----------
    name : str or PathLike
        A name or path as `load` takes it, except "digits" and "moons", which need no file.
    cache_dir : str or PathLike, optional
        As `load` takes it.

    Raises
    ------
    ValueError
        No data set has this name, or it needs no file.
    FileNotFoundError
        `name` is a path at which nothing is.
    """
    key = _resolve(name)
    if isinstance(key, Path):
        return key
    if key not in _PINNED:
        raise ValueError(f"`name` must be a data set that lies in a file, got {name!r}")
    found = _locate(_PINNED[key], cache_dir)
    return None if found is None else found[1]


def _resolve(name: _Path) -> str | Path:
    """Turn a name or alias into a known name, and anything else into an existing path."""
    if isinstance(name, str):
        key = _ALIASES.get(name, name)
        if key in NAMES:
            return key
    path = Path(name).expanduser()
    if name != "" and path.exists():
        return path
    if isinstance(name, str) and path.suffix != ".npz" and len(path.parts) <= 1:
        names = ", ".join(sorted((*NAMES, *_ALIASES)))
        raise ValueError(
            f"`name` must be one of {names}, or the path of an npz file or a folder of IDX "
            f"files, got {name!r}"
        )
    raise FileNotFoundError(f"{path}: expected an npz file or a folder of IDX files, found none")


def _load_digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    split = train_test_split(X, y, test_size=500, stratify=y, random_state=0)
    X_train, X_test, y_train, y_test = split
    arrays = {"x_train": X_train, "y_train": y_train, "x_test": X_test, "y_test": y_test}
    return _assemble(arrays, "digits", name="digits", source="embedded in scikit-learn")


def _load_moons() -> Dataset:
    from sklearn.datasets import make_moons

    X, y = make_moons(n_samples=1500, noise=0.2, random_state=0)
    arrays = {"x_train": X[:1000], "y_train": y[:1000], "x_test": X[1000:], "y_test": y[1000:]}
    return _assemble(arrays, "moons", name="moons", source="generated by scikit-learn")


def _load_pinned(name: str, cache_dir: _Path | None, *, download: bool) -> Dataset:
    pinned = _PINNED[name]
    found = _locate(pinned, cache_dir)
    if found is None and not download:
        raise FileNotFoundError(f"no copy of {name} on this computer. {_how_to_supply(pinned)}")
    if found is not None:
        source, path = found
        try:
            return _read_pinned(name, path, source)
        except DataFormatError:
            # Only the cache is ours to repair; any other damaged file is the user's to judge.
            if not (download and source == _CACHE):
                raise
    return _read_pinned(name, _download(pinned, _cache_folder(cache_dir)), "downloaded")


def _locate(pinned: _Pinned, cache_dir: _Path | None) -> tuple[str, Path] | None:
    """Return source and path of the first copy, in the order that `load` documents."""
    for source, folder in _places(cache_dir):
        for stem in pinned.stems:
            if (npz := folder / f"{stem}.npz").is_file():
                return source, npz
            if len(_idx_files(folder / stem)) == len(_FIELDS):
                return source, folder / stem
    return None


def _places(cache_dir: _Path | None) -> Iterator[tuple[str, Path]]:
    if folder := os.environ.get("FASTMLP_DATA"):
        yield "FASTMLP_DATA", Path(folder).expanduser()
    yield _CACHE, _cache_folder(cache_dir)
    keras = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    yield "Keras cache", Path(keras) / "datasets"


def _cache_folder(cache_dir: _Path | None) -> Path:
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    import pooch

    return Path(pooch.os_cache("fastmlp"))


def _read_pinned(name: str, path: Path, source: str) -> Dataset:
    """Read four arrays and compare each with its checksum."""
    arrays = _read(path)
    pinned = _PINNED[name]
    for field, expected in pinned.arrays.items():
        array = arrays[field]
        if array.dtype != np.uint8:
            raise DataFormatError(f"{path}, {field}: expected uint8, found {array.dtype}")
        found = hashlib.sha256(array.data).hexdigest()
        if found != expected:
            raise DataFormatError(
                f"{path}, {field}: not the array of {name}: expected SHA-256 {expected[:16]}..., "
                f"found {found[:16]}.... {_how_to_supply(pinned)}"
            )
    return _assemble(arrays, path, name=name, source=f"{source}: {path}")


def _how_to_supply(pinned: _Pinned) -> str:
    return (
        f"To supply it yourself, put {pinned.stems[0]}.npz, or a folder {pinned.stems[0]} with "
        "the four IDX files, into a folder and name that folder in the environment variable "
        f"FASTMLP_DATA, or pass its path to load(). It can be had from {_BASE_URL} ."
    )


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Read the four arrays of an npz file or a folder of IDX files."""
    if not path.is_dir():
        return read_npz(path, _FIELDS)
    files = _idx_files(path)
    for field in _FIELDS:
        if field not in files:
            raise FileNotFoundError(
                f"{path}: expected the IDX file {'-'.join(_IDX_NAMES[field])} "
                "(plain or .gz), found none"
            )
    return {field: read_idx(files[field]) for field in _FIELDS}


def _idx_files(folder: Path) -> dict[str, Path]:
    """Return those of the four IDX files that are in `folder`."""
    files = {}
    for field, (stem, kind) in _IDX_NAMES.items():
        spellings = (f"{stem}{sep}{kind}{end}" for sep in "-." for end in ("", ".gz"))
        paths = (folder / spelling for spelling in spellings)
        if (path := next(filter(Path.is_file, paths), None)) is not None:
            files[field] = path
    return files


def _assemble(
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


def _download(pinned: _Pinned, cache_dir: Path) -> Path:
    """Download what the cache lacks and return the npz file or IDX folder.

    Pooch writes to a temporary file in the target folder, compares the checksum and only then
    renames, so that a failure leaves the cache as it was and concurrent downloads are safe.
    """
    import pooch

    from fastmlp.datasets.https import download_https

    for file, sha256 in pinned.files.items():
        target = cache_dir / file
        url = _BASE_URL + target.name
        try:
            pooch.retrieve(
                url,
                known_hash=f"sha256:{sha256}",
                fname=target.name,
                path=target.parent,
                downloader=download_https,
            )
        except OSError as error:
            message = f"cannot download {url}: {error}. {_how_to_supply(pinned)}"
            raise OSError(message) from error
        except ValueError as error:
            message = f"refused the download of {url}: {error} {_how_to_supply(pinned)}"
            raise DataFormatError(message) from error
    first = cache_dir / next(iter(pinned.files))
    return first if first.suffix == ".npz" else first.parent
