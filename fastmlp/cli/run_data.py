"""Data of ``fastmlp train``: a data set in memory, or Parquet files that are read in windows."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.cli.options import UsageError, load_data
from fastmlp.data.labelled import prepare_sources
from fastmlp.data.parquet import SUFFIX, ParquetSource
from fastmlp.datasets import Dataset
from fastmlp.datasets.labelled import LabelledData, prepare
from fastmlp.datasets.recipes import Recipe
from fastmlp.datasets.scaling import Scaler
from fastmlp.exceptions import DataFormatError

TABLE_SCALE = "feature"
"""How the columns of files are scaled, unless it is said: they have different units."""


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
    path = Path(options.data or "")
    if path.suffix == SUFFIX or (path.is_dir() and any(path.glob(f"*{SUFFIX}"))):
        if options.target is None:
            raise UsageError(f"--target must name the column of {options.data} with the labels")
        return True
    for name in ("--target", "--features", "--validation"):
        if getattr(options, name[2:]) is not None:
            raise UsageError(
                f"{name} is for Parquet files; --data is {options.data or 'a data set'}"
            )
    return False


def load_arrays(options: argparse.Namespace) -> Dataset:
    """Load the data set that ``--data`` names."""
    return load_data(options.data, "training on")


def prepare_arrays(dataset: Dataset, scaler: Scaler, dtype: str) -> RunData:
    """Fit the scaler to a data set, scale and encode it."""
    arrays = dataset.X_train, dataset.y_train, dataset.X_test, dataset.y_test
    return RunData.of_dataset(dataset, prepare(arrays, scaler, np.dtype(dtype)))


def prepare_files(options: argparse.Namespace, scaler: Scaler) -> RunData:
    """Find the classes and fit the scaler, in one pass each over the files.

    Raises
    ------
    UsageError
        If `--target` is no column, or a path does not exist.
    DataFormatError, OSError
        If a file cannot be used, with row group and column.
    """
    features = None if options.features is None else options.features.split(",")
    train = _source("--data", options.data, options.target, features)
    validation = None
    if options.validation is not None:
        names = train.feature_names
        validation = _source("--validation", options.validation, options.target, names)
    data = prepare_sources(train, validation, scaler, argument=f"--target {options.target}")
    return RunData(
        name=options.data,
        origin=f"column {options.target!r} of {len(train.feature_names) + 1}",
        X=data.train,
        Y=None,
        validation=data.test,
        n_train=len(train),
        n_validation=0 if validation is None else len(validation),
        n_features=train.n_features,
        classes=data.classes,
    )


def for_tables(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """Return a recipe for images as it suits the columns of a table, unless options say more."""
    return recipe if options.scale or options.preset else replace(recipe, scale=TABLE_SCALE)


def _source(option: str, path: str, target: str, features: list[str] | None) -> ParquetSource:
    """Open files; errors name the option."""
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
