"""MNIST and Fashion-MNIST: checksums, possible locations of copies, and download.

Every correct copy is accepted (npz or IDX, repackaged or not), because the checksums in `PINNED`
are computed from the arrays' bytes, not from the files.

MNIST: Yann LeCun and Corinna Cortes, CC BY-SA 3.0. Fashion-MNIST: Zalando SE, MIT licence.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastmlp._checks import check_path
from fastmlp._types import StrPath
from fastmlp.datasets.arrays import (
    FIELDS,
    IDX_NAMES,
    Dataset,
    assemble,
    idx_files,
    read_arrays,
)
from fastmlp.exceptions import DataFormatError, EnvironmentVariableError

CLASS_NAMES = {
    "fashion": (
        "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
        "ankle boot",
    ),
}  # fmt: skip
"""Names of the classes 0, 1, ... of data sets where the numbers mean something else."""

BASE_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
CACHE = "fastmlp cache"
VARIABLE = "FASTMLP_DATA"
LONGEST_REASON = 160


@dataclass(frozen=True)
class Pinned:
    """Data set whose content is fixed by checksums.

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
PINNED = {
    "mnist": Pinned(
        stems=("mnist",),
        files={"mnist.npz": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"},
        arrays={
            "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
        },
    ),
    "fashion": Pinned(
        stems=("fashion_mnist", "fashion-mnist"),
        files={
            f"fashion-mnist/{'-'.join(IDX_NAMES[field])}.gz": sha256
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


def load_pinned(name: str, cache_dir: StrPath | None, *, download: bool) -> Dataset:
    """Load the data set from the first copy found, or download it if there is none."""
    pinned = PINNED[name]
    found = locate(pinned, cache_dir)
    if found is None and not download:
        raise FileNotFoundError(
            f"no copy of {name} on this computer. {_passed_over(pinned)}{_how_to_supply(pinned)}"
        )
    if found is not None:
        source, path = found
        try:
            return _read_pinned(name, path, source)
        except DataFormatError:
            # Only the cache is repaired; other damaged files are reported to the user.
            if not (download and source == CACHE):
                raise
    if passed_over := _passed_over(pinned):
        warnings.warn(f"{passed_over}It is downloaded", stacklevel=3)
    return _read_pinned(name, _download(pinned, _cache_folder(cache_dir)), "downloaded")


def locate(pinned: Pinned, cache_dir: StrPath | None) -> tuple[str, Path] | None:
    """Return source and path of the first copy, in the order that `load` documents."""
    for source, folder in _places(cache_dir):
        for stem in pinned.stems:
            if (npz := folder / f"{stem}.npz").is_file():
                return source, npz
            if len(idx_files(folder / stem)) == len(FIELDS):
                return source, folder / stem
    return None


def _places(cache_dir: StrPath | None) -> Iterator[tuple[str, Path]]:
    if (folder := named_folder()) is not None:
        yield VARIABLE, folder
    yield CACHE, _cache_folder(cache_dir)
    keras = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    yield "Keras cache", Path(keras) / "datasets"


def named_folder() -> Path | None:
    """Return the folder that FASTMLP_DATA names, or None if it is not set.

    Raises
    ------
    EnvironmentVariableError
        If it is no folder.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    folder = Path(text).expanduser()
    if folder.is_dir():
        return folder
    found = f"which is a file; its folder is {folder.parent}" if folder.exists() else "not found"
    raise EnvironmentVariableError(f"{VARIABLE} must name an existing folder; got {text}, {found}")


def _passed_over(pinned: Pinned) -> str:
    """Say that the folder of FASTMLP_DATA has no copy; "" if it is not set."""
    folder = named_folder()
    if folder is None:
        return ""
    return f"The folder in {VARIABLE}, {folder}, has no {pinned.stems[0]}.npz. "


def _cache_folder(cache_dir: StrPath | None) -> Path:
    if cache_dir is not None:
        return Path(check_path("cache_dir", cache_dir)).expanduser()
    import pooch

    return Path(pooch.os_cache("fastmlp"))


def _read_pinned(name: str, path: Path, source: str) -> Dataset:
    """Read four arrays and compare each with its checksum."""
    arrays = read_arrays(path)
    pinned = PINNED[name]
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
    return assemble(arrays, path, name=name, source=f"{source}: {path}")


def _how_to_supply(pinned: Pinned) -> str:
    return (
        f"To supply it yourself, name the folder of {pinned.stems[0]}.npz in the environment "
        f"variable {VARIABLE}, or pass its path to load(); it is at {BASE_URL}"
    )


def _reason(error: OSError) -> str:
    """Return the end of a message, where urllib3 says what has happened, without its objects."""
    text = re.sub(r"<[^<>]*>(: )?", "", str(error))
    last = text.rsplit("(Caused by ", 1)[-1]
    return last if len(last) <= LONGEST_REASON else f"{last[:LONGEST_REASON]}..."


def _download(pinned: Pinned, cache_dir: Path) -> Path:
    """Download files missing in the cache and return the npz file or IDX folder.

    Pooch writes to a temporary file in the target folder, compares the checksum and only then
    renames it, so that a failure leaves the cache unchanged and concurrent downloads are safe.
    """
    import pooch

    from fastmlp.datasets.https import download_https

    for file, sha256 in pinned.files.items():
        target = cache_dir / file
        url = BASE_URL + target.name
        try:
            pooch.retrieve(
                url,
                known_hash=f"sha256:{sha256}",
                fname=target.name,
                path=target.parent,
                downloader=download_https,
            )
        except OSError as error:
            message = f"cannot download {url}: {_reason(error)}. {_how_to_supply(pinned)}"
            raise OSError(message) from error
        except ValueError as error:
            message = f"refused the download of {url}: {error} {_how_to_supply(pinned)}"
            raise DataFormatError(message) from error
    first = cache_dir / next(iter(pinned.files))
    return first if first.suffix == ".npz" else first.parent
