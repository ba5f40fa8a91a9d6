"""Data of ``fastmlp train``: a data set in memory, or Parquet files that are read in windows."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.cli.options import UsageError, load_data
from fastmlp.data.classes import find_classes
from fastmlp.data.labelled import prepare_sources
from fastmlp.data.parquet import SUFFIX, ParquetSource, column_names
from fastmlp.data.source import Source
from fastmlp.data.split import split
from fastmlp.data.window_size import with_window
from fastmlp.datasets import Dataset
from fastmlp.datasets.labelled import LabelledData, prepare
from fastmlp.datasets.recipes import Recipe
from fastmlp.datasets.scaling import Scaler
from fastmlp.exceptions import DataFormatError

TABLE_SCALE = "feature"
"""How the columns of files are scaled, unless it is said: they have different units."""

FILE_OPTIONS = ("--target", "--features", "--validation", "--validation-fraction", "--window-rows")


@dataclass(frozen=True, eq=False)
class RunData:
    """What a run is trained on, scaled and encoded.

    Attributes
    ----------
    name : str
        Name of the data set, or path of the files.
    origin : str
        Where it comes from, for messages.
    X : ndarray of shape (n_train, n_features), or Source
    Y : ndarray of shape (n_train, n_classes) or None
        One-hot targets; None for a source.
    validation : (X, Y), Source or None
    n_train, n_validation, n_features : int
    classes : ndarray of shape (n_classes,)
        Sorted labels.
    arrays : (Dataset, LabelledData) or None
        The arrays as they were loaded, and scaled; None for files.
    feature_names : list of str or None
        Columns of files.
    """

    name: str
    origin: str
    X: Any
    Y: Any
    validation: Any
    n_train: int
    n_validation: int
    n_features: int
    classes: NDArray[Any]
    arrays: tuple[Dataset, LabelledData] | None = None
    feature_names: list[str] | None = None

    @classmethod
    def of_dataset(cls, dataset: Dataset, data: LabelledData) -> RunData:
        """Return the data of arrays, of which the test rows are for validation."""
        return cls(
            name=dataset.name,
            origin=dataset.source,
            X=data.X_train,
            Y=data.Y_train,
            validation=(data.X_test, data.Y_test),
            n_train=len(data.X_train),
            n_validation=len(data.X_test),
            n_features=data.X_train.shape[1],
            classes=data.classes,
            arrays=(dataset, data),
        )


def is_in_files(options: argparse.Namespace) -> bool:
    """Return whether ``--data`` names Parquet files.

    Raises
    ------
    UsageError
        If an option about files is given without them, or the column of the labels is missing.
    """
    if names_files(options.data or ""):
        if options.target is None:
            raise UsageError(f"--target must name the column of {options.data} with the labels")
        return True
    for name in FILE_OPTIONS:
        if getattr(options, name[2:].replace("-", "_")) is not None:
            raise UsageError(
                f"{name} is for Parquet files; --data is {options.data or 'a data set'}"
            )
    return False


def names_files(data: str) -> bool:
    """Return whether this is a Parquet file or a folder of some."""
    path = Path(data)
    return path.suffix == SUFFIX or (path.is_dir() and any(path.glob(f"*{SUFFIX}")))


def columns_of(data: str) -> list[str]:
    """Return the names of the columns of Parquet files.

    Raises
    ------
    UsageError
        If there is no such file, or no pyarrow.
    DataFormatError, OSError
        If it is no Parquet file, or cannot be opened.
    """
    if not Path(data).exists():
        raise UsageError(f"--data must name existing files; {data} does not exist")
    try:
        return column_names(data)
    except ImportError as error:
        raise UsageError(str(error)) from error


def load_arrays(options: argparse.Namespace) -> Dataset:
    """Load the data set that ``--data`` names."""
    return load_data(options.data, "training on")


def prepare_arrays(dataset: Dataset, scaler: Scaler, dtype: str) -> RunData:
    """Fit the scaler to a data set, scale and encode it."""
    arrays = dataset.X_train, dataset.y_train, dataset.X_test, dataset.y_test
    return RunData.of_dataset(dataset, prepare(arrays, scaler, np.dtype(dtype)))


def prepare_files(options: argparse.Namespace, scaler: Scaler) -> RunData:
    """Find the classes and fit the scaler, in one pass each over the files.

    The classes are those of all rows of `--data`, the scaler is fitted to rows to train on.

    Raises
    ------
    UsageError
        If `--target` is no column, a path does not exist, or no row is left to train on.
    DataFormatError, OSError
        If a file cannot be used, with row group and column.
    """
    features = feature_names(options)
    files = open_files("--data", options.data, options.target, features)
    rows: Source = files
    if options.window_rows is not None:
        rows = with_window(files, options.window_rows)
    argument = f"--target {options.target}"
    if options.validation_fraction is None:
        validation = _open_validation(options, files)
        data = prepare_sources(rows, validation, scaler, argument=argument)
    else:
        train, held_out = _split(rows, options)
        classes = find_classes(rows)
        data = prepare_sources(train, held_out, scaler, argument=argument, classes=classes)
    return RunData(
        name=options.data,
        origin=f"column {options.target!r} of {len(files.feature_names) + 1}",
        X=data.train,
        Y=None,
        validation=data.test,
        n_train=len(data.train),
        n_validation=0 if data.test is None else len(data.test),
        n_features=files.n_features,
        classes=data.classes,
        feature_names=files.feature_names,
    )


def _open_validation(options: argparse.Namespace, train: ParquetSource) -> ParquetSource | None:
    """Open the files that ``--validation`` names; None without the option."""
    if options.validation is None:
        return None
    return open_files("--validation", options.validation, options.target, train.feature_names)


def _split(rows: Source, options: argparse.Namespace) -> tuple[Source, Source]:
    """Hold out the rows that ``--validation-fraction`` asks for.

    Raises
    ------
    UsageError
        If validation rows are given too, or no row is left to train on.
    """
    if options.validation is not None:
        raise UsageError("--validation-fraction cannot be used with --validation: pass one of them")
    try:
        return split(rows, options.validation_fraction, random_state=options.seed)
    except ValueError as error:
        raise UsageError(f"--validation-{error}") from error


def feature_names(options: argparse.Namespace) -> list[str] | None:
    """Return the names that ``--features`` has; None without the option."""
    return None if options.features is None else options.features.split(",")


def for_tables(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """Return a recipe for images as it suits the columns of a table, unless options say more."""
    return recipe if options.scale or options.preset else replace(recipe, scale=TABLE_SCALE)


def open_files(
    option: str, path: str, target: str | None, features: list[str] | None
) -> ParquetSource:
    """Open Parquet files.

    Raises
    ------
    UsageError
        Naming the option, if the path does not exist or a name is that of no column.
    DataFormatError, OSError
        If a file cannot be used, with row group and column.
    """
    if not Path(path).exists():
        raise UsageError(f"{option} must name existing files; {path} does not exist")
    try:
        return ParquetSource(path, target, features=features)
    except ImportError as error:
        raise UsageError(str(error)) from error
    except DataFormatError as error:
        text = str(error).replace("features= names", "--features names")
        raise DataFormatError(text) from error
    except ValueError as error:  # about an argument
        text = str(error)
        is_option = text.startswith(("target", "features"))
        raise UsageError(f"--{text}" if is_option else f"{option}: {text}") from error
