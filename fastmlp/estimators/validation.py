"""Validation of the estimators: selection of the rows, and scores after every epoch."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.engine.rows import Rows
from fastmlp.training.history import Evaluation
from fastmlp.training.trainer import Trainer

Indices = NDArray[np.intp]
Score = Callable[[Array], float]
"""Function that returns the score of outputs (n, n_out)."""


def split_rows(
    fraction_or_splitter: Any,
    n_rows: int,
    *,
    y: Any,
    groups: Any,
    stratify: bool,
    random_state: np.random.RandomState,
) -> tuple[Indices, Indices]:
    """Split the rows into training and validation rows.

    Parameters
    ----------
    fraction_or_splitter : float, splitter or iterable
        A fraction in (0, 1) for the same random split as in scikit-learn; otherwise the last split
        of a splitter, or of an iterable of (train, validation) indices. The last one, because it
        has the most training rows if a splitter orders by time.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
    groups : array-like of shape (n_rows,) or None
        Groups for the splitter.
    stratify : bool
        Whether a random split preserves the class proportions.

    Raises
    ------
    ValueError
        If there are fewer than two validation rows or no training rows, or if a splitter returns
        something other than row indices.
    """
    if isinstance(fraction_or_splitter, numbers.Real):
        from sklearn.model_selection import train_test_split

        check_positive(float(fraction_or_splitter))
        if stratify:
            _check_members(y)
        try:
            chosen = train_test_split(
                np.arange(n_rows),
                test_size=float(fraction_or_splitter),
                stratify=y if stratify else None,
                random_state=random_state,
            )
        except ValueError as error:  # too few rows, or fewer than classes
            raise ValueError(
                f"{error} early_stopping sets validation_fraction={fraction_or_splitter} of the "
                f"{n_rows} rows aside; increase it, pass X_val and y_val, or set "
                "early_stopping=False"
            ) from error
    else:
        chosen = _last_split(fraction_or_splitter, n_rows, y, groups)
    train, validation = (_row_numbers(rows, n_rows) for rows in chosen)
    check_numbers(len(train), len(validation))
    return train, validation


def check_positive(fraction: float) -> None:
    """Raise ValueError if no rows are set aside."""
    if fraction == 0:
        raise ValueError("validation_fraction must be greater than 0 with early_stopping; got 0")


def check_numbers(n_train: int, n_validation: int) -> None:
    """Raise ValueError if there are too few rows for training or validation."""
    if n_validation < 2 or n_train < 1:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            f"dataset; early_stopping leaves {n_train} rows for training and "
            f"{n_validation} for validation"
        )


def _check_members(y: Any) -> None:
    """Raise ValueError, which begins like scikit-learn's, if a class has only one member."""
    classes, counts = np.unique(y, return_counts=True)
    if counts.min() < 2:
        alone = ", ".join(map(repr, classes[counts < 2].tolist()))
        raise ValueError(
            "The least populated classes in y have only 1 member, which is too few: "
            f"{alone}. early_stopping sets rows of every class aside; add rows of this class, or "
            "pass X_val and y_val"
        )


def _last_split(splitter: Any, n_rows: int, y: Any, groups: Any) -> tuple[Any, Any]:
    splits = splitter.split(np.zeros(n_rows), y, groups) if hasattr(splitter, "split") else splitter
    chosen = None
    for chosen in splits:  # noqa: B007  (its last value is wanted)
        pass
    if chosen is None:
        raise ValueError("validation_fraction did not yield any split of the rows")
    if not isinstance(chosen, tuple | list) or len(chosen) != 2:
        raise ValueError(
            "validation_fraction must yield pairs (train, validation) of row indices; "
            f"got {chosen!r}"
        )
    return chosen[0], chosen[1]


def _row_numbers(rows: Any, n_rows: int) -> Indices:
    """Check row indices or a mask, and return indices, which the engine uses unchecked."""
    numbers_or_mask = np.asarray(rows)
    if numbers_or_mask.shape == (n_rows,) and numbers_or_mask.dtype == bool:
        return np.flatnonzero(numbers_or_mask)
    is_list = numbers_or_mask.ndim == 1 and (
        numbers_or_mask.dtype.kind in "iu" or not len(numbers_or_mask)
    )
    if not is_list or ((numbers_or_mask < 0) | (numbers_or_mask >= n_rows)).any():
        raise ValueError(
            f"validation_fraction must yield row indices from 0 to {n_rows - 1}, or masks of shape "
            f"{(n_rows,)}; got {rows!r}"
        )
    return np.ascontiguousarray(numbers_or_mask, np.intp)


class Validator:
    """Evaluates a trainer's network on validation rows.

    Parameters
    ----------
    rows : Rows
        Checked rows; the targets have the form of the network's outputs.
    loss_scale : float
        Divisor of the mean loss per row.
    score : callable or None
        Default score of outputs; None means the accuracy that is computed with the loss.
    scorers : mapping of names to callables without arguments
        Scores of the estimator being fitted, which replace the default.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        loss_scale: float,
        score: Score | None,
        scorers: Mapping[str, Callable[[], float]],
    ) -> None:
        self.rows, self.loss_scale = rows, loss_scale
        self.score, self.scorers = score, scorers
        self.outputs = np.empty_like(rows.y)

    @property
    def names(self) -> list[str]:
        """Names of the measured values."""
        others = [f"val_{name}" for name in self.scorers if name != "score"]
        return ["val_loss", "val_score", *others]

    def measure(self, trainer: Trainer) -> dict[str, float]:
        """Return ``val_loss`` (mean per row, without penalty), ``val_score`` and named scores."""
        result = trainer.objective.evaluate(self.rows)
        metrics = {"val_loss": result.loss / self.loss_scale}
        scores = {name: scorer() for name, scorer in self.scorers.items()}
        main = next(iter(scores.values())) if scores else self._default(trainer, result)
        metrics["val_score"] = main
        return metrics | {f"val_{name}": value for name, value in scores.items() if name != "score"}

    def _default(self, trainer: Trainer, result: Evaluation) -> float:
        if self.score is None:
            return result.accuracy
        trainer.objective.predict(self.rows.x, self.outputs)
        return self.score(self.outputs) if np.isfinite(self.outputs).all() else math.nan


def check_validation_weights(weights: Array | None) -> None:
    """Raise ValueError if sample weights of validation rows are all 0."""
    if weights is not None and not weights.any():
        raise ValueError(
            "the validation set must contain a non-zero sample weight; all are zero. Use "
            "another random_state, or pass X_val and y_val"
        )


def subset_accuracy(y: Array, weights: Array | None) -> Score:
    """Return a score: the (weighted) fraction of rows in which every label is correct."""
    right = y > 0.5

    def score(outputs: Array) -> float:
        return float(np.average(((outputs > 0.5) == right).all(axis=1), weights=weights))

    return score


def r2(y: Array, weights: Array | None) -> Score:
    """Return a score: R^2 = 1 - sum (y - a)^2 / sum (y - mean y)^2, averaged over the outputs.

    As in scikit-learn's `r2_score`, an output whose targets are all equal scores 1 if predicted
    exactly, otherwise 0.
    """
    y = y.astype(np.float64)
    w = None if weights is None else weights.astype(np.float64)
    total = np.average((y - np.average(y, axis=0, weights=w)) ** 2, axis=0, weights=w)

    def score(outputs: Array) -> float:
        with np.errstate(over="ignore"):  # in a fit that is about to diverge
            residual = np.average((y - outputs) ** 2, axis=0, weights=w)
        share = np.divide(residual, total, out=(residual > 0).astype(np.float64), where=total > 0)
        return float(np.mean(1 - share))

    return score


def d2_pinball(y: Array, weights: Array | None, levels: Sequence[float]) -> Score:
    """Return a score: the mean over the levels of D^2 = 1 - pinball loss / best constant's loss.

    There is one level for all columns of y (n, n_out), or one per column.
    """
    from sklearn.metrics import d2_pinball_score

    def score(outputs: Array) -> float:
        columns = [(y, outputs)] if len(levels) == 1 else zip(y.T, outputs.T, strict=True)
        of_levels = [
            d2_pinball_score(target, output, alpha=level, sample_weight=weights)
            for level, (target, output) in zip(levels, columns, strict=True)
        ]
        return float(np.mean(of_levels))

    return score


def named_scorers(
    estimator: Any, scoring: Any, x: Any, y: Any, weights: Array | None
) -> dict[str, Callable[[], float]]:
    """Return the scorers of `estimator` on fixed rows by name; "score" for a callable."""
    from sklearn.metrics import check_scoring, get_scorer

    if scoring is None:
        return {}
    if isinstance(scoring, str):
        scorers: dict[str, Any] = {scoring: get_scorer(scoring)}
    elif isinstance(scoring, Sequence):
        scorers = {name: get_scorer(name) for name in scoring}
    else:
        scorers = {"score": check_scoring(estimator, scoring)}
    weighted = {} if weights is None else {"sample_weight": weights}
    return {
        name: partial(_scored, name, scorer, estimator, x, y, **weighted)
        for name, scorer in scorers.items()
    }


def _scored(name: str, scorer: Any, estimator: Any, x: Any, y: Any, **weighted: Any) -> float:
    """Return the score; explain a scorer that cannot compare several quantiles with one target."""
    try:
        return float(scorer(estimator, x, y, **weighted))
    except ValueError as error:
        if np.ndim(y) == 1 and np.ndim(estimator.predict(x[:1])) == 2:
            raise ValueError(
                f"scoring: {name!r} compares one prediction per row with y, and several quantiles "
                "are predicted. scoring=None is the mean D^2 of their pinball losses; others are "
                "functions of (estimator, X, y)"
            ) from error
        raise
