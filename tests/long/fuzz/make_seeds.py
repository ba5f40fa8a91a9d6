"""Write the first inputs of every target into corpus/: small honest files and near misses."""

from __future__ import annotations

import gzip
import io
import json
import struct
import sys
import tempfile
import unittest.mock
import warnings
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1] / "tools"), str(HERE)]

from saved_models import EVERYTHING, MODELS, taken_apart  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from targets import CORPUS, X, Y, begun  # noqa: E402

import fastmlp  # noqa: E402
from fastmlp.files.plain_values import encode  # noqa: E402
from fastmlp.search import fit_many  # noqa: E402
from fastmlp.training.checkpoints.keeper import Keeper  # noqa: E402


def idx_files():
    for code, letter in zip((8, 9, 11, 12, 13, 14), "BbhifdB", strict=False):
        yield struct.pack(f">BBBBII6{letter}", 0, 0, code, 2, 2, 3, *range(6))
    yield struct.pack(">BBBBI", 0, 0, 8, 1, 2**31)
    yield struct.pack(">BBBBIII", 0, 0, 8, 3, 2**31, 2**31, 4)


def npy_files():
    for dtype in ("u1", "<i2", ">i4", "<f4", ">f8", "<f2"):
        for order in "CF":
            buffer = io.BytesIO()
            np.save(buffer, np.arange(6).reshape(2, 3).astype(dtype, order=order))
            yield buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, np.array([None]), allow_pickle=True)
    yield buffer.getvalue()


def npz_files():
    yield from npy_files()
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            archive.writestr(zipfile.ZipInfo("a.npy"), next(npy_files()), method)
        yield buffer.getvalue()


def model_files():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        for name, make in EVERYTHING.items():
            fastmlp.save(make(), path, resumable=name in MODELS)
            yield unsealed(path.read_bytes())


def unsealed(content):
    n = struct.unpack("<Q", content[:8])[0]
    text = json.loads(content[8 : 8 + n])["__metadata__"]["fastmlp"]
    return content.replace(json.loads(text)["sha256"].encode(), b"0" * 64)


def checkpoints():
    """After epochs, within one, and of a search."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with unittest.mock.patch.multiple(
            Keeper,
            batches_to_go=lambda *_: 2,
            write_if_due=lambda keeper: keeper._write(keeper._writers[0]),
        ):
            begun(folder / "pieces")
        begun(folder / "epochs")
        model = fastmlp.MLPClassifier(solver="lbfgs", hidden_layer_sizes=(1,), max_iter=2)
        model.set_params(random_state=0).set_callbacks(fastmlp.Checkpoint(folder / "search"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, Y.argmax(axis=1))
        for path in sorted(folder.glob("*/*.safetensors")):
            yield unsealed(path.read_bytes())


def files_of_groups():
    """Estimators of both kinds, labels of both kinds, a group that failed, and near misses."""
    groups = np.array([3, 1, 3, 1, 3, 1, 3, 1])
    x, numbers = np.arange(16.0).reshape(8, 2), np.arange(8.0)
    regressor = fastmlp.MLPRegressor(hidden_layer_sizes=(1,), max_iter=1)
    classifier = fastmlp.MLPClassifier(hidden_layer_sizes=(1,), max_iter=1, dtype="float32")
    pipeline = make_pipeline(StandardScaler(), regressor)
    names = np.array(["south", "north"])[groups // 2]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "groups"
        for model, y, labels in (
            (regressor, numbers, groups),
            (classifier, numbers.astype(int) // 2 % 2, names),
            (pipeline, numbers, names),
            (classifier, np.where(groups == 1, np.nan, numbers // 2 % 2), groups),
        ):
            models = fit_many(model, x, y, labels, random_state=0, backend="threads", n_workers=1)
            models.save(path)
            content = unsealed(path.read_bytes())
            yield content
            for begin, end in ((b'"labels"', b'"label"'), (b"float64", b"float32"), (b"[1", b"[9")):
                yield content.replace(begin, end, 1)


def headers():
    for content in model_files():
        n = struct.unpack("<Q", content[:8])[0]
        yield (len(content) - 8 - n).to_bytes(2, "big") + content[8 : 8 + n]
    yield b"\0\x08" + b'{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}'
    yield b"\0\0" + b'{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'


def plain_values():
    states = [kind(0) for kind in (np.random.PCG64, np.random.MT19937, np.random.Philox)]
    for value in (
        None, True, 3, "text", 1.5, float("nan"), [1, 2], (1, "a"), {"a": 1, 2: (3,)},
        np.arange(3), np.array(["a", "bc"]), np.array([True]), np.array([1.5, np.inf], "f4"),
        np.array(["x"], object), *map(np.random.Generator, states), np.random.RandomState(0),
    ):  # fmt: skip
        yield json.dumps({"value": encode(value)}).encode()
    for content in model_files():
        for value in taken_apart(content)[0].get("parameters", {}).values():
            yield json.dumps({"value": value}).encode()


SEEDS = {
    "idx": idx_files,
    "idx_gzip": lambda: (*idx_files(), gzip.compress(next(idx_files()), mtime=0)),
    "npz": npz_files,
    "model": model_files,
    "checkpoint": checkpoints,
    "groups": files_of_groups,
    "header": headers,
    "values": plain_values,
}

if __name__ == "__main__":
    for name, make in SEEDS.items():
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        for i, content in enumerate(dict.fromkeys(make())):
            (CORPUS / name / f"seed-{i:02}").write_bytes(content)
