"""GroupModels: the fitted models of all groups, in little memory and in one file."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import indexable

from fastmlp._checks import as_array, check_path, check_same_length
from fastmlp._types import StrPath
from fastmlp.exceptions import ModelFormatError
from fastmlp.exchange.saving import restore_model
from fastmlp.files.fields import Arrays, Fields
from fastmlp.files.model_file import Content, read_model_file, write_model_file
from fastmlp.files.plain_values import decode, encode
from fastmlp.search.many.store import PackedStore
from fastmlp.search.tasks import as_rows, n_rows_of, select_rows

FILE_KIND = "GroupModels"
CACHED_MODELS = 256
"""Number of models that `predict` keeps."""

SHOWN_LABELS = 5


class GroupModels(Mapping[Any, Any]):
    """Fitted models by the label of their group, as :func:`fit_many` returns them.

    ``models[label]`` is a new estimator, equal to the one that was fitted, without the curves of
    its training (`loss_curve_`, `history_`). In memory a model takes little more than its weights.

    Attributes
    ----------
    labels : ndarray of shape (n_groups,)
        Of all groups, sorted; also of those whose fit has failed.
    n_rows : ndarray of shape (n_groups,), int64
        Number of training rows.
    failures : dict of label to str
        Error messages of the groups without a model.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import MLPRegressor
    >>> from fastmlp.search import fit_many
    >>> X, y = np.random.default_rng(0).random((6, 2)), np.arange(6.0)
    >>> model = MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs")
    >>> shops = np.array(["north", "south"] * 3)
    >>> models = fit_many(model, X, y, shops, random_state=0, backend="threads")
    >>> models
    GroupModels(2 groups)
    >>> models.predict(X, shops).shape
    (6,)
    """

    __module__ = "fastmlp.search"  # its address in pickles, which survives moves of this file

    def __init__(
        self,
        labels: NDArray[Any],
        n_rows: NDArray[np.int64],
        failures: Mapping[int, str],
        store: PackedStore,
        others: Mapping[int, Any],
    ) -> None:
        self.labels, self.n_rows = labels, n_rows
        self.failures = {labels[i].item(): text for i, text in failures.items()}
        self._failed, self._store, self._others = dict(failures), store, dict(others)
        self._positions = {label: i for i, label in enumerate(labels.tolist())}
        self._cache: OrderedDict[int, Any] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_cache": OrderedDict()}

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"GroupModels({len(self.labels)} groups{failed})"

    def __len__(self) -> int:
        return len(self.labels) - len(self._failed)

    def __iter__(self) -> Iterator[Any]:
        return (label for label, i in self._positions.items() if i not in self._failed)

    def __contains__(self, label: object) -> bool:
        try:
            position = self._positions.get(label)
        except TypeError:  # not hashable
            return False
        return position is not None and position not in self._failed

    def __getitem__(self, label: Any) -> Any:
        """Return the model of a group; KeyError if it has none."""
        if label not in self:
            raise KeyError(label)
        return self._model(self._positions[label])

    def _model(self, position: int) -> Any:
        if position in self._others:
            return self._others[position]
        content = self._store.content(position)
        if content is None:
            raise ModelFormatError(f"group {self.labels.tolist()[position]!r} has no model")
        return restore_model(content)

    def predict(self, X: Any, groups: Any) -> NDArray[Any]:
        """Predict every row with the model of its group.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        groups : array-like of shape (n_samples,)
            Label of each row's group.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the order of the rows.

        Raises
        ------
        ValueError
            If a group is unknown or its fit has failed, with its label; if there are no rows, or
            the predictions of groups have different shapes.
        """
        (X,) = indexable(as_rows("X", X))  # a sparse matrix as CSR, which gives rows
        codes, order, ends = self._sorted(X, groups)
        parts = []
        for code, begin, end in zip(codes, [0, *ends[:-1]], ends, strict=True):
            rows = select_rows(X, order[begin:end])
            parts.append(np.asarray(self._working_model(code).predict(rows)))
        if len({part.shape[1:] for part in parts}) > 1:
            raise ValueError(
                "groups: predictions of these groups have different numbers of outputs: predict "
                "group by group, with models[label]"
            )
        joined = np.concatenate(parts)
        result = np.empty_like(joined)
        result[order] = joined
        return result

    def _sorted(self, X: Any, groups: Any) -> tuple[list[int], NDArray[np.intp], list[int]]:
        """Return the positions of groups, the rows sorted by group, and where each group ends."""
        labels = check_groups(groups, n_rows_of(X))
        found, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
        missing = [label for label in found.tolist() if label not in self]
        if missing:
            first = ", ".join(repr(label)[:40] for label in missing[:SHOWN_LABELS])
            more = ", ..." if len(missing) > SHOWN_LABELS else ""
            raise ValueError(f"groups must be labels of fitted groups; no model for {first}{more}")
        codes = [self._positions[label] for label in found.tolist()]
        return codes, np.argsort(inverse, kind="stable"), np.cumsum(counts).tolist()

    def _working_model(self, position: int) -> Any:
        """Return a model for predictions, which is kept for the next call."""
        model = self._cache.pop(position, None)
        if model is None:
            model = self._model(position)
        self._cache[position] = model
        if len(self._cache) > CACHED_MODELS:
            self._cache.popitem(last=False)
        return model

    def save(self, path: StrPath) -> None:
        """Save all models to one file, atomically.

        The file is a safetensors file as of :func:`fastmlp.save`, without pickles.

        Parameters
        ----------
        path : str, bytes or PathLike

        Raises
        ------
        TypeError
            If the models are not fastmlp's (or Pipelines with steps that `fastmlp.save` knows).
        OSError
            If the file cannot be written.
        """
        target = check_path("path", path)
        if self._others:
            label = self.labels.tolist()[min(self._others)]
            raise TypeError(
                "only models that fastmlp.save knows can be saved; the model of group "
                f"{label!r} is a {type(self._others[min(self._others)]).__name__}"
            )
        arrays: dict[str, NDArray[Any]] = {
            "labels": _as_bytes([json.dumps(encode(self.labels))]),
            "n_rows": np.asarray(self.n_rows, np.int64),
        }
        columns = []
        for number, (name, (codes, texts)) in enumerate(self._store.columns.items()):
            columns.append(name)
            is_constant = len(codes) > 1 and (codes == codes[0]).all()
            arrays[f"column.{number}.codes"] = codes[:1] if is_constant else codes
            arrays[f"column.{number}.texts"] = _as_bytes(texts)
        arrays |= {f"values.{place}": values for place, values in self._store.arrays.items()}
        document = {
            "columns": columns,
            "n_models": self._store.n_models,
            "failures": [[position, text] for position, text in self._failed.items()],
        }
        write_model_file(target, Content(FILE_KIND, document, arrays))

    @classmethod
    def load(cls, path: StrPath) -> GroupModels:
        """Load models that were saved by `save`. No code from the file is run.

        Parameters
        ----------
        path : str, bytes or PathLike

        Returns
        -------
        GroupModels

        Raises
        ------
        ModelFormatError
            If the file is truncated, modified or not such a file; a ValueError. A single model is
            checked when it is used.
        OSError
            If the file is missing or cannot be read.
        """
        source = check_path("path", path)
        try:
            return _restored(cls, read_model_file(source, (FILE_KIND,)))
        except ModelFormatError as error:
            raise ModelFormatError(f"{source!r}: {error}") from error.__cause__


def check_groups(groups: Any, n_rows: int) -> NDArray[Any]:
    """Return labels of groups, one per row: integers or strings.

    Raises
    ------
    TypeError, ValueError
    """
    labels = as_array("groups", groups)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"groups must have shape (rows,), one label per row; got {labels.shape}")
    check_same_length("groups", len(labels), "X", n_rows)
    if labels.dtype.kind in "OT" and all(isinstance(label, str) for label in labels):
        labels = labels.astype(str)
    if labels.dtype.kind not in "iubU":
        raise TypeError(f"groups must be integers or strings; got dtype {labels.dtype}")
    return labels


def _as_bytes(texts: list[str]) -> NDArray[np.uint8]:
    """Return texts of JSON, which has no line breaks, one per line."""
    return np.frombuffer("\n".join(texts).encode("utf-8", "surrogatepass"), np.uint8)


def _as_texts(array: NDArray[Any]) -> list[str]:
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ModelFormatError("texts must be bytes")
    try:
        return array.tobytes().decode("utf-8", "surrogatepass").split("\n")
    except UnicodeDecodeError as error:
        raise ModelFormatError("texts are not UTF-8") from error


def _restored(cls: type[GroupModels], content: Content) -> GroupModels:
    document, arrays = Fields(content.document, "document"), Arrays(content.arrays)
    names, n_models = document.texts("columns"), document.count("n_models")
    failures = _failures(document.take("failures", list), n_models)
    document.end()
    n_rows = arrays.take("n_rows", np.dtype(np.int64), (n_models,))  # before memory is asked for
    columns = {
        name: (
            _codes(arrays, f"column.{i}.codes", n_models),
            _as_texts(arrays.pop(f"column.{i}.texts")),
        )
        for i, name in enumerate(names)
    }
    values = arrays.under("values.")
    store = PackedStore(n_models, columns, {name: values.pop(name) for name in values.names()})
    labels = _labels(_as_texts(arrays.pop("labels"))[0])
    arrays.end()
    if labels.shape != (n_models,) or len(np.unique(labels)) < n_models:
        raise ModelFormatError(f"'labels' must be {n_models} different ones")
    return cls(labels, n_rows, failures, store, {})


def _codes(arrays: Arrays, name: str, n_models: int) -> NDArray[np.int64]:
    """Take the codes of a column; a single one is that of all models."""
    codes = arrays.take(name, np.dtype(np.int64), (None,))
    return np.broadcast_to(codes, n_models) if len(codes) == 1 else codes


def _labels(text: str) -> NDArray[Any]:
    try:
        labels = decode(json.loads(text))
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise ModelFormatError(f"'labels': {str(error)[:200]}") from error
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iubU":
        raise ModelFormatError("'labels' must be integers or strings")
    return labels


def _failures(items: list[Any], n_models: int) -> dict[int, str]:
    failures = {}
    for item in items:
        match item:
            case [int(position), str(text)] if 0 <= position < n_models:
                failures[position] = text
            case _:
                raise ModelFormatError("'failures' must be positions with texts")
    return failures
