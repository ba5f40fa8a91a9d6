"""Store of many similar models: each value once, each array as a part of a long one.

A model is the content of its file: a document and arrays. The documents of a thousand models with
the same parameters differ in a few numbers, and a value that all share is stored once. What a
model has of history is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.exceptions import ModelFormatError
from fastmlp.files.model_file import Content
from fastmlp.files.safetensors_header import DTYPES

SEPARATOR = "/"
KIND = "kind"
ARRAY = "array" + SEPARATOR
MISSING = -1
NO_HISTORY: dict[str, NDArray[Any]] = {
    "history": np.zeros((1, 0)),
    "loss_curve": np.zeros(0),
}
"""Arrays of a model without its curves."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Column:
    """A value of every model, as the number of a text among those that occur.

    Attributes
    ----------
    codes : list of int
        -1 for models that do not have it.
    texts : dict of str to int
        JSON, with its number.
    """

    def __init__(self, n_before: int = 0) -> None:
        self.codes = [MISSING] * n_before
        self.texts: dict[str, int] = {}

    def add(self, text: str | None) -> None:
        """Add the value of the next model."""
        known = self.texts
        self.codes.append(MISSING if text is None else known.setdefault(text, len(known)))

    def extend(self, other: Column) -> None:
        """Add the values of more models."""
        numbers = [self.texts.setdefault(text, len(self.texts)) for text in other.texts]
        self.codes.extend(MISSING if code == MISSING else numbers[code] for code in other.codes)

    def packed(self) -> tuple[NDArray[np.int64], list[str]]:
        """Return codes and texts."""
        return np.array(self.codes, np.int64), list(self.texts)


class Store:
    """Contents of many models, by their position.

    Attributes
    ----------
    n_models : int
    columns : dict of str to Column
        Values of documents by "name" or "name/name"; kinds by "kind"; dtype and shape of arrays by
        "array/name".
    pieces : dict of str to list of ndarray
        Arrays by "name/dtype", one-dimensional, of the models that have them, in their order.
    """

    def __init__(self) -> None:
        self.n_models = 0
        self.columns: dict[str, Column] = {}
        self.pieces: dict[str, list[NDArray[Any]]] = {}

    def add(self, content: Content | None) -> None:
        """Add the content of the next model, without its history; None for a missing one."""
        texts: dict[str, str] = {}
        if content is not None:
            document, arrays = without_history(content)
            texts = flattened({KIND: content.kind, **document})
            for name, array in arrays.items():
                texts[ARRAY + name] = json.dumps([array.dtype.name, *array.shape])
                place = f"{name}{SEPARATOR}{array.dtype.name}"
                self.pieces.setdefault(place, []).append(array.reshape(-1))
        for name in texts:
            if name not in self.columns:
                self.columns[name] = Column(self.n_models)
        for name, column in self.columns.items():
            column.add(texts.get(name))
        self.n_models += 1

    def extend(self, other: Store) -> None:
        """Add the models of another store."""
        for name in (*self.columns, *(name for name in other.columns if name not in self.columns)):
            column = self.columns.setdefault(name, Column(self.n_models))
            column.extend(other.columns.get(name) or Column(other.n_models))
        for place, pieces in other.pieces.items():
            self.pieces.setdefault(place, []).extend(pieces)
        self.n_models += other.n_models

    def packed(self) -> PackedStore:
        """Return the store with arrays in place of lists."""
        return PackedStore(
            self.n_models,
            {name: column.packed() for name, column in self.columns.items()},
            {place: np.concatenate(pieces) for place, pieces in self.pieces.items()},
        )


class PackedStore:
    """A complete store, of which models are read.

    Parameters
    ----------
    n_models : int
    columns : dict of str to (ndarray of shape (n_models,), list of str)
        Codes, -1 for a missing value, and texts.
    arrays : dict of str to ndarray
        By "name/dtype", one-dimensional.

    Raises
    ------
    ModelFormatError
        If codes, shapes and arrays do not fit each other.
    """

    def __init__(
        self,
        n_models: int,
        columns: Mapping[str, tuple[NDArray[np.int64], list[str]]],
        arrays: Mapping[str, NDArray[Any]],
    ) -> None:
        self.n_models, self.columns, self.arrays = n_models, dict(columns), dict(arrays)
        for name, (codes, texts) in self.columns.items():
            fits = codes.shape == (n_models,) and codes.dtype == np.int64
            if not fits or (n_models and not MISSING <= codes.min() <= codes.max() < len(texts)):
                raise ModelFormatError(f"the codes of {name[:60]!r} do not fit its values")
        self._shapes = {
            name: [_shape(name, text) for text in texts]
            for name, (_, texts) in self.columns.items()
            if name.startswith(ARRAY)
        }
        self._ends = self._laid_out()

    def _laid_out(self) -> dict[str, NDArray[np.int64]]:
        """Return the end of every model's part of its arrays, by the names of columns."""
        ends, used = {}, dict.fromkeys(self.arrays, 0)
        for name, shapes in self._shapes.items():
            codes = self.columns[name][0]
            if len({dtype for dtype, _ in shapes}) > 1:
                raise ModelFormatError(f"{name[:60]!r} has more than one dtype")
            sizes = np.array([int(np.prod(shape)) for _, shape in shapes] + [0], np.int64)
            ends[name] = np.cumsum(sizes[codes])
            place = f"{name.removeprefix(ARRAY)}{SEPARATOR}{shapes[0][0]}" if shapes else ""
            if place in used:
                used[place] = int(ends[name][-1]) if self.n_models else 0
            elif shapes:
                raise ModelFormatError(f"array {place[:60]!r} is missing")
        for place, array in self.arrays.items():
            if array.ndim != 1 or len(array) != used[place]:
                raise ModelFormatError(
                    f"array {place[:60]!r} must have {used[place]} numbers; found {array.shape}"
                )
        return ends

    def content(self, position: int) -> Content | None:
        """Return the content of a model; None for a missing one."""
        texts = {
            name: texts[codes[position]]
            for name, (codes, texts) in self.columns.items()
            if codes[position] != MISSING and not name.startswith(ARRAY)
        }
        if KIND not in texts:
            return None
        document = nested(texts)
        kind = document.pop(KIND)
        if not isinstance(kind, str):
            raise ModelFormatError("'kind' must be a string")
        arrays = {}
        for name, shapes in self._shapes.items():
            code = self.columns[name][0][position]
            if code != MISSING:
                dtype, shape = shapes[code]
                plain, end = name.removeprefix(ARRAY), int(self._ends[name][position])
                flat = self.arrays[f"{plain}{SEPARATOR}{dtype}"][end - int(np.prod(shape)) : end]
                arrays[plain] = flat.reshape(shape).copy()
        return Content(kind, document, arrays)


def without_history(content: Content) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return document and arrays of a model without the numbers of its epochs."""
    if "history" not in content.document or "history" not in content.arrays:
        return content.document, content.arrays
    dropped = ("validation_scores",)
    arrays = {name: a for name, a in content.arrays.items() if name not in dropped}
    return content.document | {"history": []}, arrays | NO_HISTORY


def flattened(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a document as JSON, those of an object in it one by one."""
    texts: dict[str, str] = {}
    for name, value in document.items():
        if isinstance(value, dict) and value and not any(SEPARATOR in key for key in value):
            texts |= {f"{name}{SEPARATOR}{key}": _dumped(item) for key, item in value.items()}
        else:
            texts[name] = _dumped(value)
    return texts


def nested(texts: Mapping[str, str]) -> dict[str, Any]:
    """Undo `flattened`.

    Raises
    ------
    ModelFormatError
        If a text is not JSON.
    """
    document: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelFormatError(f"the value of {name[:60]!r} is not JSON") from error
        outer, separator, inner = name.partition(SEPARATOR)
        if not separator:
            document[name] = value
            continue
        if not isinstance(document.setdefault(outer, {}), dict):
            raise ModelFormatError(f"{outer[:60]!r} is there twice")
        document[outer][inner] = value
    return document


def _dumped(value: Any) -> str:
    return _ENCODER.encode(value)


def _shape(name: str, text: str) -> tuple[str, tuple[int, ...]]:
    """Return dtype and shape of an array from its text."""
    try:
        dtype, *shape = json.loads(text)
        known = {np.dtype(one).name for one in DTYPES.values()}
        fits = dtype in known and all(type(n) is int and 0 <= n < 2**31 for n in shape)
    except (TypeError, ValueError, RecursionError):
        fits = False
    if not fits or np.prod([float(n) for n in shape]) > 2**40:
        raise ModelFormatError(f"dtype and shape of {name[:60]!r} are not readable")
    return dtype, tuple(shape)
