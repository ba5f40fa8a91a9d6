"""Labels as one-hot targets: classes are found in one pass over the targets, or given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import as_labels
from fastmlp.data.source import Source, SourceRows
from fastmlp.data.wrapped import WrappedSource, check_source
from fastmlp.exceptions import DataFormatError


class OneHotSource(WrappedSource):
    """The rows of a source with one target per class. Made by :func:`one_hot`.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Labels, sorted.
    """

    __module__ = "fastmlp.data"

    def __init__(self, source: Source, classes: NDArray[Any]) -> None:
        super().__init__(source)
        self.classes = classes

    @property
    def n_outputs(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def read(self, begin: int, end: int) -> SourceRows:
        """Return some rows, with y of shape (n, n_classes), 0 and 1 as uint8."""
        rows = self._source.read(begin, end)
        return rows._replace(y=self._encoded(rows.y, range(begin, end)))

    def take(self, rows: NDArray[np.intp]) -> SourceRows:
        """Return the rows with these indices, (n,) intp, in their order."""
        taken = self._source.take(rows)
        return taken._replace(y=self._encoded(taken.y, rows))

    def read_targets(self, begin: int, end: int) -> NDArray[Any]:
        """Return y of some rows, (n, n_classes), 0 and 1 as uint8."""
        return self._encoded(self._source.read_targets(begin, end), range(begin, end))

    def _encoded(self, y: NDArray[Any], rows: Sequence[int] | NDArray[np.intp]) -> NDArray[Any]:
        labels = y.reshape(len(y))
        codes = np.searchsorted(self.classes, labels).clip(max=len(self.classes) - 1)
        wrong = self.classes[codes] != labels
        if wrong.any():
            row = int(wrong.argmax())
            raise DataFormatError(
                f"{self._source.locate(int(rows[row]), 'y', 0)}: expected one of the classes "
                f"{_listed(self.classes)}, found {labels[row]!s}"
            )
        one_hot = np.zeros((len(y), len(self.classes)), np.uint8)
        one_hot[np.arange(len(y)), codes] = 1
        return one_hot

    def facts(self) -> Mapping[str, Any]:
        """Return the facts of the source, and the classes."""
        return {**self._source.facts(), "classes": self.classes.tolist()}


def find_classes(source: Source) -> NDArray[Any]:
    """Return the labels that occur in a source, sorted, by one pass over its targets.

    Parameters
    ----------
    source : Source
        With one target per row: integers, whole floats, booleans or strings.

    Returns
    -------
    ndarray of shape (n_classes,)

    Raises
    ------
    ValueError, TypeError
        If there is more than one target per row; naming the argument.
    DataFormatError
        If a target is no label, with the first row of its part.
    """
    _check_labels("source", source)
    classes: NDArray[Any] | None = None
    for begin, end in source.pieces():
        y = source.read_targets(begin, end)
        try:
            found = np.unique(as_labels("y", y.reshape(len(y))))
        except (ValueError, TypeError) as error:
            where = source.locate(begin, "y", 0)
            raise DataFormatError(f"{where}, and {len(y) - 1} rows after it: {error}") from error
        classes = join_labels(classes, found, source, begin)
    assert classes is not None
    return classes


def join_labels(
    known: NDArray[Any] | None, found: NDArray[Any], source: Source, row: int
) -> NDArray[Any]:
    """Return the labels of two parts of a source, sorted.

    Parameters
    ----------
    known : ndarray of shape (n_known,) or None
        Labels of the rows before; None if there are none.
    found : ndarray of shape (n_found,)
        Labels of the rows from `row` on, sorted.
    source : Source
    row : int

    Raises
    ------
    DataFormatError
        If one part has numbers and the other strings, which NumPy would take for strings.
    """
    if known is None:
        return found
    if _is_text(known) != _is_text(found):
        expected, other = ("strings", "numbers") if _is_text(known) else ("numbers", "strings")
        raise DataFormatError(
            f"{source.locate(row, 'y', 0)}: expected labels that are {expected}, as in the rows "
            f"before, found {other}"
        )
    return np.union1d(known, found)


def one_hot(source: Source, classes: ArrayLike | None = None) -> OneHotSource:
    """Return a source whose targets are 1 in the column of a row's class, and 0 in the others.

    Parameters
    ----------
    source : Source
        With one target per row, its label.
    classes : array-like of shape (n_classes,), optional
        All labels that occur; by default they are found in one pass over the targets.

    Returns
    -------
    OneHotSource
        With the attribute ``classes``, the sorted labels of the columns.

    Raises
    ------
    ValueError, TypeError
        Naming the argument.
    DataFormatError
        As :func:`find_classes`; later, when rows are read, if a label is not among the classes.
    """
    _check_labels("source", source)
    if classes is None:
        return OneHotSource(source, find_classes(source))
    given = as_labels("classes", classes)
    known = np.unique(given)
    if len(known) != len(given):
        raise ValueError(f"classes must be different labels; got {_listed(np.sort(given))}")
    return OneHotSource(source, known)


def _check_labels(name: str, source: Source) -> None:
    check_source(name, source)
    if source.n_outputs != 1:
        raise ValueError(f"{name} must have one target per row, its label; got {source.n_outputs}")


def _is_text(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind in "UO"


def _listed(labels: NDArray[Any]) -> str:
    return ", ".join(map(str, labels[:20].tolist())) + (", ..." if len(labels) > 20 else "")
