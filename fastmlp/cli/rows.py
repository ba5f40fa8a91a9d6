"""Rows for ``fastmlp predict`` and ``evaluate``: from a data set, or npz, npy, csv or Parquet."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import as_array
from fastmlp.cli.options import UsageError
from fastmlp.cli.run_data import columns_of, feature_names, names_files, open_files
from fastmlp.data.source import Source
from fastmlp.datasets import load
from fastmlp.datasets.npz import read_npz
from fastmlp.exceptions import DataFormatError

FORMATS = (
    "a data set (mnist, fashion, digits, moons) or a folder of IDX files, of which the test rows "
    "are taken, an npz file with x_test and y_test, an npy file with the rows alone, a csv file, a "
    "Parquet file, or a folder of such"
)


MOST_NAMES = 20


@dataclass(frozen=True, eq=False)
class RowsToPredict:
    """Rows for a model.

    Attributes
    ----------
    X : ndarray, data frame of shape (n, n_features), or Source
    y : ndarray of shape (n,) or None
        Labels or targets; None where the file has none.
    source : str
        Name of the data set or of the file.
    """

    X: Any
    y: NDArray[Any] | None
    source: str

    def score(self, model: Any) -> float:
        """Return the model's score; a source has the targets itself."""
        return float(
            model.score(self.X) if isinstance(self.X, Source) else model.score(self.X, self.y)
        )


def add_target(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--target``, the column of a file that is not an input, and ``--features``."""
    parser.add_argument(
        "--target",
        metavar="COLUMN",
        help=f"name of the csv or Parquet file's column that {what}; of a csv file also its number",
    )
    parser.add_argument(
        "--features",
        metavar="a,b,c",
        help="names of the Parquet files' columns that are the inputs; default: those that the "
        "model knows, or all but --target",
    )


def read_rows(
    options: argparse.Namespace,
    *,
    needs_target: bool,
    columns: Sequence[str] | None = None,
    as_source: bool = True,
) -> RowsToPredict:
    """Read the rows that ``--data`` names.

    Parameters
    ----------
    options : Namespace
        With ``data``, see FORMATS, ``target``, the column with the labels or targets of a file, by
        its name or in a csv file its number from 1, and ``features``.
    needs_target : bool
        Whether rows without labels or targets are refused.
    columns : sequence of str or None
        Names of the columns that the model knows: a csv file is then read as a data frame, of
        numbers, text and gaps, by pandas.
    as_source : bool
        Whether the model reads sources: Parquet files are then read window by window.

    Raises
    ------
    UsageError, DataFormatError, OSError
        If the file is missing, damaged, or of another form.
    """
    name, target, path = options.data, options.target, Path(options.data)
    if names_files(name):
        return _read_files(options, needs_target, columns, as_source=as_source)
    if options.features is not None:
        raise UsageError(f"--features is for Parquet files; --data is {name}")
    if path.suffix in (".csv", ".npy", ".npz") and not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(f"--data must name an existing file or a data set; {name} {what}")
    if path.suffix == ".csv":
        rows = _read_csv(path, target) if columns is None else _read_frame(path, target, columns)
    elif target is not None:
        raise UsageError(f"--target names a column of a csv or Parquet file; --data is {name}")
    elif path.suffix == ".npy":
        rows = RowsToPredict(_read_npy(path), None, name)
    elif path.suffix == ".npz":
        rows = _read_npz(path, needs_target=needs_target)
    else:
        data = load(name)
        rows = RowsToPredict(data.X_test, data.y_test, data.name)
    if needs_target and rows.y is None:
        which = "--target must name a column of" if path.suffix == ".csv" else "y is missing in"
        raise UsageError(f"{which} {name}: a model is evaluated on rows with known results")
    return rows


def _read_files(
    options: argparse.Namespace,
    needs_target: bool,
    columns: Sequence[str] | None,
    *,
    as_source: bool,
) -> RowsToPredict:
    """Open Parquet files, or read them as a data frame."""
    name, target = options.data, options.target
    if needs_target and target is None:
        raise UsageError(
            f"--target must name a column of {name}: a model is evaluated on rows with known "
            "results"
        )
    names = feature_names(options)
    if names is None and columns is not None:
        names = list(columns)
        _check_columns(name, names)
    if not as_source:
        return _read_parquet_frame(name, target, names)
    if needs_target:
        source = open_files("--data", name, target, names)
        y = [source.read_targets(begin, end) for begin, end in source.pieces()]
        return RowsToPredict(source, np.concatenate(y), name)
    if names is None and target is not None:
        names = [column for column in columns_of(name) if column != target]
    return RowsToPredict(open_files("--data", name, None, names), None, name)


def _check_columns(name: str, wanted: Sequence[str]) -> None:
    """Raise UsageError, with the columns that Parquet files do not have."""
    _check_missing(name, wanted, columns_of(name))


def _check_missing(name: object, wanted: Sequence[str], known: Iterable[str]) -> None:
    there = set(known)
    missing = [column for column in dict.fromkeys(wanted) if column not in there]
    if missing:
        names = ", ".join(missing[:MOST_NAMES]) + (", ..." if len(missing) > MOST_NAMES else "")
        raise UsageError(
            f"{name} must have the columns of the model; {names} "
            f"{'is' if len(missing) == 1 else 'are'} missing"
        )


def _read_parquet_frame(
    name: str, target: str | None, names: Sequence[str] | None
) -> RowsToPredict:
    """Read Parquet files for a model that takes data frames alone."""
    try:
        import pandas as pd
    except ImportError as error:
        raise UsageError(
            f"{name} is read for a model that takes data frames, which needs pandas: pip install "
            "pandas"
        ) from error
    targets = [] if target is None else [target]
    wanted = columns_of(name) if names is None else [*names, *targets]
    _check_columns(name, [*wanted, *targets])
    frame = pd.read_parquet(name, columns=wanted)
    y = None if target is None else frame[target].to_numpy()
    inputs = (
        [column for column in wanted if column not in targets] if names is None else list(names)
    )
    return RowsToPredict(frame[inputs], y, name)


def _read_npz(path: Path, *, needs_target: bool) -> RowsToPredict:
    arrays = read_npz(path, ("x_test", "y_test") if needs_target else ("x_test",))
    X, y = arrays["x_test"], arrays.get("y_test")
    if X.ndim < 2:
        raise DataFormatError(f"{path}, x_test: expected 2-D or more, found {X.ndim}-D")
    if y is not None and (y.ndim != 1 or len(y) != len(X)):
        raise DataFormatError(
            f"{path}, y_test: expected {len(X)} values, one per row of x_test, found shape "
            f"{y.shape}"
        )
    return RowsToPredict(X.reshape(len(X), -1), y, str(path))


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        X = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataFormatError(f"{path}: expected an array of numbers, {error}") from error
    if not isinstance(X, np.ndarray) or X.dtype.kind not in "iufb" or X.ndim < 2:
        raise DataFormatError(f"{path}: expected numbers in 2-D or more, found {_described(X)}")
    return X.reshape(len(X), -1)


def _described(X: Any) -> str:
    return f"{X.dtype} in {X.ndim}-D" if isinstance(X, np.ndarray) else "an npz file"


def _read_csv(path: Path, target: str | None) -> RowsToPredict:
    """Read a csv file; its first line is a header unless all of its cells are numbers."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        try:
            table = [row for row in csv.reader(file) if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataFormatError(f"{path}: not a csv file: {error}") from error
    if not table:
        raise DataFormatError(f"{path}: expected rows of numbers, found none")
    width = len(table[0])
    for i, row in enumerate(table):
        if len(row) != width:
            raise DataFormatError(f"{path}, row {i + 1}: expected {width} cells, found {len(row)}")
    header = None if all(map(_is_number, table[0])) else table.pop(0)
    column = None if target is None else _column(target, header, width, path)
    first = 1 if header is None else 2
    cells = [[cell for j, cell in enumerate(row) if j != column] for row in table]
    X = np.array([_numbers(row, path, i + first) for i, row in enumerate(cells)])
    if not X.size:
        raise DataFormatError(f"{path}: expected rows of numbers, found none")
    y = None if column is None else _labels([row[column] for row in table])
    return RowsToPredict(X, y, str(path))


def _read_frame(path: Path, target: str | None, columns: Sequence[str]) -> RowsToPredict:
    """Read the columns that a model knows, by their names, and the target."""
    try:
        import pandas as pd
    except ImportError as error:
        raise UsageError(
            f"{path} is read for a model that knows its columns by their names, which needs "
            "pandas: pip install pandas"
        ) from error
    try:
        frame = pd.read_csv(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataFormatError(f"{path}: not a csv file: {error}") from error
    _check_missing(path, columns, frame.columns)
    y = None
    if target is not None:
        y = frame.iloc[:, _column(target, list(frame.columns), frame.shape[1], path)].to_numpy()
    return RowsToPredict(frame[list(columns)], y, str(path))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _column(target: str, header: list[str] | None, width: int, path: Path) -> int:
    """Return the index of a column from its name, or its number from 1."""
    if header is not None and target in header:
        return header.index(target)
    if target.isdecimal() and 1 <= int(target) <= width:
        return int(target) - 1
    names = f"{', '.join(header[:MOST_NAMES])}, or " if header else ""
    raise UsageError(f"--target must be one of {names}a number from 1 to {width}; got {target!r}")


def _numbers(row: list[str], path: Path, number: int) -> list[float]:
    try:
        return [float(cell) for cell in row]
    except ValueError:
        wrong = next(cell for cell in row if not _is_number(cell))
        raise DataFormatError(f"{path}, row {number}: {wrong[:40]!r} is not a number") from None


def plain_labels(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels that are whole numbers in floating point (0.0, 1.0) as integers."""
    if labels.dtype.kind != "f" or not (np.isfinite(labels) & (labels == np.floor(labels))).all():
        return labels
    return labels.astype(np.int64)


def _labels(cells: list[str]) -> NDArray[Any]:
    """Return integers or floats where all cells are such, else strings."""
    for kind in (int, float):
        try:
            return np.array([kind(cell) for cell in cells])
        except (ValueError, OverflowError):
            continue
    return as_array("labels", cells)
