"""MNIST and Fashion-MNIST: where copies are found, which are refused, and what downloads leave.

Nothing here uses the network: requests' transport is replaced for every test. The tests of the
real arrays run where the environment variable FASTMLP_DATA names a folder that holds them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_layout import (
    IDX_FILES,
    assert_holds,
    idx_bytes,
    npz_bytes,
    sha256,
    write_idx,
    write_npz,
)

from fastmlp.datasets import pinned
from fastmlp.datasets.loading import find, load
from fastmlp.exceptions import DataFormatError

pytestmark = pytest.mark.usefixtures("home")  # empty folders, and no network

REAL_DATA = os.environ.get("FASTMLP_DATA", "")
URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
Serve = Callable[..., None]


# --- Where MNIST and Fashion-MNIST are looked for


def test_the_places_are_tried_in_order(
    home: Path, small_mnist: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    keras = write_npz(home / ".keras/datasets/mnist.npz", small_mnist)
    assert find("mnist") == keras
    assert load("mnist").source == f"Keras cache: {keras}"

    cache = write_npz(Path(pooch.os_cache("fastmlp")) / "mnist.npz", small_mnist)
    assert home in cache.parents
    assert find("mnist") == cache
    assert load("mnist").source == f"fastmlp cache: {cache}"

    mine = write_npz(home / "mine/mnist.npz", small_mnist)
    monkeypatch.setenv("FASTMLP_DATA", str(mine.parent))
    assert find("mnist") == mine
    data = load("mnist")
    assert data.source == f"FASTMLP_DATA: {mine}"
    assert_holds(data, small_mnist)


def test_cache_dir_replaces_the_cache_folder(
    home: Path, small_mnist: dict[str, np.ndarray]
) -> None:
    path = write_npz(home / "other/mnist.npz", small_mnist)
    assert find("mnist") is None
    assert find("mnist", cache_dir=path.parent) == path
    assert load("mnist", cache_dir="~/other").source == f"fastmlp cache: {path}"


def test_keras_home_is_respected(
    home: Path, small_mnist: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_npz(home / "k/datasets/mnist.npz", small_mnist)
    monkeypatch.setenv("KERAS_HOME", str(home / "k"))
    assert find("mnist") == path


@pytest.mark.parametrize("alias", ["mnist", "mnist_784", "mnist_keras"])
def test_aliases_load_the_same_data_set(
    alias: str, home: Path, small_mnist: dict[str, np.ndarray]
) -> None:
    write_npz(home / "mnist.npz", small_mnist)
    data = load(alias, cache_dir=home)
    assert data.name == "mnist"
    assert_holds(data, small_mnist)


@pytest.mark.parametrize("name", ["fashion", "fashion_mnist"])
@pytest.mark.parametrize("folder", ["fashion-mnist", "fashion_mnist"])
def test_fashion_is_found_as_idx_folder(
    name: str, folder: str, home: Path, small_fashion: dict[str, np.ndarray]
) -> None:
    import gzip

    path = write_idx(
        home / ".keras/datasets" / folder, small_fashion, "{}.gz".format, gzip.compress
    )
    assert find(name) == path
    data = load(name)
    assert data.name == "fashion"
    assert_holds(data, small_fashion)


def test_fashion_is_found_as_npz(
    home: Path, small_fashion: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_npz(home / "fashion_mnist.npz", small_fashion)
    monkeypatch.setenv("FASTMLP_DATA", str(home))
    assert find("fashion") == path
    assert_holds(load("fashion"), small_fashion)


def test_an_incomplete_idx_folder_is_passed_over(
    home: Path, small_fashion: dict[str, np.ndarray]
) -> None:
    folder = write_idx(home / ".keras/datasets/fashion-mnist", small_fashion)
    (folder / IDX_FILES["y_test"]).unlink()
    assert find("fashion") is None


@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_without_a_copy_and_without_download_the_error_says_how_to_supply_it(name: str) -> None:
    match = rf"no copy of {name} on this computer\. To supply it .* FASTMLP_DATA, or pass its path"
    with pytest.raises(FileNotFoundError, match=match):
        load(name, download=False)


# --- Checksums of the arrays


@pytest.mark.parametrize("field", IDX_FILES)
def test_a_wrong_array_is_named_with_both_checksums(
    field: str, home: Path, small_mnist: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = small_mnist[field].copy()
    wrong.flat[-1] ^= 1
    write_npz(home / "mnist.npz", small_mnist | {field: wrong})
    monkeypatch.setenv("FASTMLP_DATA", str(home))
    expected, found = sha256(small_mnist[field].tobytes()), sha256(wrong.tobytes())
    match = (
        rf"mnist\.npz, {field}: not the array of mnist: expected SHA-256 {expected[:16]}\.\.\., "
        rf"found {found[:16]}\.\.\.\. To supply it yourself"
    )
    with pytest.raises(DataFormatError, match=match):
        load("mnist")


def test_the_same_bytes_of_another_type_are_refused(
    home: Path, small_mnist: dict[str, np.ndarray]
) -> None:
    path = write_npz(home / ".keras/datasets/mnist.npz", small_mnist)
    write_npz(path, small_mnist | {"y_test": small_mnist["y_test"].view(np.int8)})
    with pytest.raises(DataFormatError, match=r"mnist\.npz, y_test: expected uint8, found int8"):
        load("mnist")


# --- Downloads


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_download_is_checked_and_kept(
    home: Path, small_mnist: dict[str, np.ndarray], serve: Serve
) -> None:
    serve({URL + "mnist.npz": (200, {}, npz_bytes(small_mnist))})
    data = load("mnist", cache_dir=home / "cache")
    assert data.source == f"downloaded: {home / 'cache/mnist.npz'}"
    assert_holds(data, small_mnist)
    assert files_below(home / "cache") == ["mnist.npz"]
    serve({})
    assert load("mnist", cache_dir=home / "cache").source.startswith("fastmlp cache: ")


def test_fashion_is_downloaded_as_four_files(
    home: Path, small_fashion: dict[str, np.ndarray], serve: Serve
) -> None:
    import gzip

    served = {
        f"{URL}{file}.gz": (200, {}, gzip.compress(idx_bytes(small_fashion[field]), mtime=0))
        for field, file in IDX_FILES.items()
    }
    serve(served)
    assert_holds(load("fashion", cache_dir=home / "cache"), small_fashion)
    expected = sorted(f"fashion-mnist/{file}.gz" for file in IDX_FILES.values())
    assert files_below(home / "cache") == expected


def test_a_redirect_within_https_is_followed(
    home: Path, small_mnist: dict[str, np.ndarray], serve: Serve
) -> None:
    mirror = "https://mirror.example/mnist.npz"
    serve(
        {
            URL + "mnist.npz": (302, {"Location": mirror}, b""),
            mirror: (200, {}, npz_bytes(small_mnist)),
        }
    )
    assert_holds(load("mnist", cache_dir=home / "cache"), small_mnist)


@pytest.mark.parametrize("target", ["http://mirror.example/mnist.npz", "ftp://mirror.example/m"])
def test_a_redirect_away_from_https_is_refused(
    target: str, home: Path, small_mnist: dict[str, np.ndarray], serve: Serve
) -> None:
    body = npz_bytes(small_mnist)
    serve({URL + "mnist.npz": (302, {"Location": target}, b""), target: (200, {}, body)})
    match = rf"cannot download {URL}mnist\.npz: expected https, found another protocol: .*{target}"
    with pytest.raises(OSError, match=match):
        load("mnist", cache_dir=home / "cache")
    assert files_below(home / "cache") == []


def test_an_address_without_https_is_refused(
    home: Path,
    small_mnist: dict[str, np.ndarray],
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pinned, "BASE_URL", "http://plain.example/")
    serve({"http://plain.example/mnist.npz": (200, {}, npz_bytes(small_mnist))})
    with pytest.raises(OSError, match=r"expected https, found another protocol"):
        load("mnist", cache_dir=home / "cache")
    assert files_below(home / "cache") == []


def damaged_cache(home: Path) -> Path:
    path = home / "cache/mnist.npz"
    path.parent.mkdir()
    path.write_bytes(b"half a file")
    return path


def test_a_damaged_file_in_the_cache_is_replaced_by_a_good_download(
    home: Path, small_mnist: dict[str, np.ndarray], serve: Serve
) -> None:
    path = damaged_cache(home)
    serve({URL + "mnist.npz": (200, {}, npz_bytes(small_mnist))})
    assert_holds(load("mnist", cache_dir=path.parent), small_mnist)
    assert path.read_bytes() == npz_bytes(small_mnist)


def test_a_damaged_file_in_the_cache_is_refused_without_download(
    home: Path, small_mnist: dict[str, np.ndarray]
) -> None:
    path = damaged_cache(home)
    with pytest.raises(DataFormatError, match=r"mnist\.npz: truncated or corrupt npz file"):
        load("mnist", cache_dir=path.parent, download=False)
    assert path.read_bytes() == b"half a file"


def test_a_damaged_file_of_the_user_is_never_replaced(
    home: Path, small_mnist: dict[str, np.ndarray], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = damaged_cache(home)
    serve({URL + "mnist.npz": (200, {}, npz_bytes(small_mnist))})
    monkeypatch.setenv("FASTMLP_DATA", str(path.parent))
    with pytest.raises(DataFormatError, match=r"mnist\.npz: truncated or corrupt npz file"):
        load("mnist", cache_dir=home / "other")
    assert path.read_bytes() == b"half a file"


@pytest.mark.parametrize(
    ("answer", "error", "match"),
    [
        ((404, {}, b"gone"), OSError, r"cannot download .*mnist\.npz: 404 .*To supply it"),
        (
            (200, {}, b"<html>not the file</html>"),
            DataFormatError,
            r"refused the download of .*mnist\.npz: SHA256 hash .* does not match .*To supply it",
        ),
        ((200, {}, bytes(3000)), OSError, r"expected at most 2000 bytes, found more.*To supply it"),
    ],
    ids=["missing", "wrong", "endless"],
)
def test_a_failed_download_leaves_the_old_file_and_no_other(
    answer: tuple[int, dict[str, str], bytes],
    error: type[Exception],
    match: str,
    home: Path,
    small_mnist: dict[str, np.ndarray],
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fastmlp.datasets.https.MAX_BYTES", 2000)
    path = damaged_cache(home)
    serve({URL + "mnist.npz": answer})
    with pytest.raises(error, match=match):
        load("mnist", cache_dir=path.parent)
    assert path.read_bytes() == b"half a file"
    assert files_below(path.parent) == ["mnist.npz"]


def test_a_connection_that_breaks_leaves_no_file(
    home: Path, small_mnist: dict[str, np.ndarray], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    def break_off(*args: Any) -> Any:
        yield npz_bytes(small_mnist)[:100]
        raise requests.exceptions.ConnectionError("connection reset")

    serve({URL + "mnist.npz": (200, {}, b"")})
    monkeypatch.setattr(requests.Response, "iter_content", break_off)
    with pytest.raises(OSError, match=r"cannot download .*: connection reset\. To supply it"):
        load("mnist", cache_dir=home / "cache")
    assert files_below(home / "cache") == []


def test_many_downloads_at_once_end_with_one_good_file(
    home: Path, small_mnist: dict[str, np.ndarray], serve: Serve
) -> None:
    serve({URL + "mnist.npz": (200, {}, npz_bytes(small_mnist))})
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: load("mnist", cache_dir=home / "cache"), range(16)))
    for data in results:
        assert_holds(data, small_mnist)
    assert files_below(home / "cache") == ["mnist.npz"]


# --- The real arrays


def needs(file: str) -> pytest.MarkDecorator:
    absent = not REAL_DATA or not (Path(REAL_DATA) / file).is_file()
    return pytest.mark.skipif(absent, reason=f"FASTMLP_DATA names no folder with {file}")


@needs("mnist.npz")
def test_real_mnist_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTMLP_DATA", REAL_DATA)
    data = load("mnist", download=False)
    assert data.X_train.shape == (60_000, 784)
    assert data.X_test.shape == (10_000, 784)
    assert data.X_train.dtype == data.X_test.dtype == np.uint8
    assert list(data.y_train[:5]) == [5, 0, 4, 1, 9]
    # The published class counts of the test set.
    assert list(np.bincount(data.y_test)) == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]


@needs("fashion_mnist.npz")
def test_real_fashion_mnist_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTMLP_DATA", REAL_DATA)
    data = load("fashion", download=False)
    assert list(np.bincount(data.y_train)) == [6000] * 10
    assert list(np.bincount(data.y_test)) == [1000] * 10


@needs("mnist.npz")
def test_the_original_idx_files_of_mnist_are_accepted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    with np.load(Path(REAL_DATA) / "mnist.npz") as file:
        arrays = dict(file)
    # The MD5 sums of the unpacked originals prove that these are the original files.
    md5 = {
        "x_train": "6bbc9ace898e44ae57da46a324031adb",
        "y_train": "a25bea736e30d166cdddb491f175f624",
        "x_test": "2646ac647ad5339dbf082846283269ea",
        "y_test": "27ae3e4e09519cfbb04c329615203637",
    }
    for field, expected in md5.items():
        content = idx_bytes(arrays[field])
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == expected

    write_idx(home / "mnist", arrays, "{}.gz".format, lambda content: gzip.compress(content, 1))
    monkeypatch.setenv("FASTMLP_DATA", str(home))
    data = load("mnist", download=False)
    assert_holds(data, arrays)
    assert data.source == f"FASTMLP_DATA: {home / 'mnist'}"


@needs("mnist.npz")
def test_real_mnist_with_reversed_labels_is_refused(home: Path) -> None:
    with np.load(Path(REAL_DATA) / "mnist.npz") as file:
        arrays = dict(file)
    arrays["y_test"] = arrays["y_test"][::-1].copy()
    write_npz(home / ".keras/datasets/mnist.npz", arrays)
    match = r"y_test: not the array of mnist: expected SHA-256 ddeff807876a9661\.\.\., found"
    with pytest.raises(DataFormatError, match=match):
        load("mnist", download=False)
