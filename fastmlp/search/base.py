"""Common base of the searches: scikit-learn's search interface around a tournament."""

from __future__ import annotations

import math
import numbers
import secrets
import time
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import indexable

from fastmlp._checks import as_array, check_integer, check_path, check_same_length, shown
from fastmlp._links import Documented
from fastmlp.search.brackets import Bracket
from fastmlp.search.candidates import REFIT, Seed, model_of
from fastmlp.search.description import describe_search
from fastmlp.search.epochs import check_trainable, classes_of, train
from fastmlp.search.folder import SearchFolder
from fastmlp.search.pools import check_backend, open_pool
from fastmlp.search.results import best_row, score_names, table_of
from fastmlp.search.table import SearchTable
from fastmlp.search.tasks import (
    ONE_SCORE,
    SearchData,
    Unit,
    as_rows,
    deciding_score,
    n_rows_of,
    run_task,
)
from fastmlp.search.tournament import RungResult, Tournament

SearchRandomState = int | np.random.RandomState | np.random.Generator | None


class BaseHalving(Documented, BaseSearchCV):  # type: ignore[misc]
    """Base class of the searches; use one of its subclasses."""

    def _keep_parameters(self, arguments: dict[str, Any]) -> None:
        """Set the arguments of `__init__` as attributes, as scikit-learn requires."""
        self.__dict__.update(
            (name, value) for name, value in arguments.items() if name not in ("self", "__class__")
        )

    @abstractmethod
    def _plan(self, entropy: Seed) -> tuple[list[Bracket], list[list[dict[str, Any]]]]:
        """Return the brackets, and the configurations of each, after checking the parameters."""

    def fit(
        self, X: Any, y: Any = None, *, groups: Any = None, sample_weight: Any = None, **params: Any
    ) -> Self:
        """Search, and fit the best configuration to all rows.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            As the estimator has it; not modified.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        groups : array-like of shape (n_samples,), optional
            For a splitter in `cv`.
        sample_weight : array-like of shape (n_samples,), optional
            Passed to `partial_fit`, split like the rows; scores are not weighted.
        **params
            More arguments of `partial_fit` (of the last step of a Pipeline); those with an entry
            per row are split like the rows.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If an argument is not allowed, before any training; if all models have failed.
        KeyboardInterrupt
            After Ctrl-C; with `folder`, the next `fit` continues.

        Warns
        -----
        FitFailedWarning
            If models have failed.
        """
        if sample_weight is not None:
            params["sample_weight"] = sample_weight
        metric = self._check_parameters()
        scorer = self._scorer()
        X = as_rows("X", X)
        given = {"y": y, "groups": groups, "sample_weight": sample_weight}
        for name, values in given.items():
            if values is not None:
                check_same_length(name, n_rows_of(as_rows(name, values)), "X", n_rows_of(X))
        X, y, groups = indexable(X, y, groups)
        classes = classes_of(self.estimator, y)
        data = SearchData(X, y, self._splits(X, y, groups), params, classes)
        with ExitStack() as opened:
            folder = None
            if self.folder is not None:
                folder = SearchFolder(Path(check_path("folder", self.folder)))
                opened.enter_context(folder.opened())
            self._search(data, scorer, metric, folder)
        return self

    def _search(
        self, data: SearchData, scorer: Any, metric: str, folder: SearchFolder | None
    ) -> None:
        """Run the tournament, and set the fitted attributes."""
        entropy = self._entropy(folder)
        brackets, drawn = self._plan(entropy)
        candidates = [one for of_bracket in drawn for one in of_bracket]
        for number, parameters in enumerate(candidates):  # unknown names, before any training
            model_of(self.estimator, parameters, entropy, number, 0)
        if folder is not None:
            folder.begin(
                describe_search(
                    type(self).__name__,
                    self.estimator,
                    self.scoring,
                    entropy,
                    brackets,
                    candidates,
                    data,
                )
            )
        table = SearchTable(brackets, candidates, len(data.splits), metric)
        tournament = Tournament(
            brackets,
            _numbered(drawn),
            len(data.splits),
            metric=metric,
            new_model=lambda candidate, split: model_of(
                self.estimator, candidates[candidate], entropy, candidate, split
            ),
            scorer=scorer,
            raises=isinstance(self.error_score, str),
            observers=[*([folder] if folder else []), *([table] if self.verbose else [])],
            stored={} if folder is None else folder.stored,
            stored_model=_none if folder is None else folder.model,
        )
        with ExitStack() as opened:
            if self.verbose:
                opened.enter_context(table)
            tournament.run(
                opened.enter_context(open_pool(self.backend, self.n_workers, run_task, data))
            )
        self._keep_results(tournament, candidates, metric)
        if self.refit is not False:
            self._refit(data, entropy)

    def _entropy(self, folder: SearchFolder | None) -> Seed:
        """Return the entropy of this search; without a random state, that of the folder's."""
        saved = None if folder is None or self.random_state is not None else folder.entropy()
        return entropy_of(self.random_state) if saved is None else saved

    def _check_parameters(self) -> str:
        """Check all parameters but those of the plan; return the name of the deciding score."""
        check_trainable(self.estimator)
        check_backend(self.backend, self.n_workers)
        if not isinstance(self.verbose, bool | np.bool_):
            check_integer("verbose", self.verbose, minimum=0)
        if not (isinstance(self.error_score, str) and self.error_score == "raise"):
            _check_error_score(self.error_score)
        is_function = callable(self.refit) and not isinstance(self.refit, type)
        if not (isinstance(self.refit, bool | str) or is_function):
            raise TypeError(
                "refit must be True, False, the name of a score, or a function of cv_results_; "
                f"got {shown(self.refit)}"
            )
        several = isinstance(self.scoring, list | tuple | set | Mapping)
        if several and not (isinstance(self.refit, str) and self.refit in self.scoring):
            raise ValueError(
                "refit must be the name of the score by which candidates are compared, one of "
                f"{', '.join(map(repr, self.scoring))}, if scoring has several; "
                f"got {shown(self.refit)}"
            )
        return self.refit if isinstance(self.refit, str) else ONE_SCORE

    def _scorer(self) -> Any:
        """Return the scorer of all scores, and set `scorer_` and `multimetric_`."""
        known = isinstance(self.scoring, str | list | tuple | set | Mapping | None)
        if not (known or callable(self.scoring)):
            raise TypeError(
                "scoring must be None, a name, a function, or a list or mapping of these; got "
                f"{shown(self.scoring)}"
            )
        try:
            scorer = check_scoring(self.estimator, scoring=self.scoring)
        except (TypeError, ValueError) as error:
            raise type(error)(f"scoring: {error}") from None
        self.multimetric_ = isinstance(self.scoring, list | tuple | set | Mapping)
        self.scorer_ = scorer
        if self.multimetric_:
            named = self.scoring
            pairs = named.items() if isinstance(named, Mapping) else zip(named, named, strict=True)
            self.scorer_ = {name: check_scoring(self.estimator, scoring=one) for name, one in pairs}
        return scorer

    def _splits(self, X: Any, y: Any, groups: Any) -> list[tuple[Any, Any]]:
        is_splitter = isinstance(self.cv, numbers.Integral | None) or hasattr(self.cv, "split")
        if isinstance(self.cv, str | type) or not (is_splitter or hasattr(self.cv, "__iter__")):
            raise ValueError(
                "cv must be None, a number of folds, a splitter or an iterable of pairs of "
                f"indices; got {shown(self.cv)}"
            )
        try:
            splitter = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
            pairs = list(splitter.split(X, y, groups))
        except (TypeError, ValueError) as error:
            raise type(error)(f"cv: {error}") from None
        splits = [_checked_pair(pair) for pair in pairs]
        if not splits:
            raise ValueError(f"cv must yield at least one split; got none from {shown(self.cv)}")
        self.n_splits_ = len(splits)
        return splits

    def _keep_results(
        self, tournament: Tournament, candidates: Sequence[Mapping[str, Any]], metric: str
    ) -> None:
        """Set the fitted attributes but `best_estimator_`."""
        rungs = [rung for results in tournament.results for rung in results]
        self._warn_of_failures(rungs)
        error_score = math.nan if self.error_score == "raise" else float(self.error_score)
        table = table_of(rungs, candidates, tournament.n_splits, error_score)
        names = score_names(rungs)
        metric = deciding_score(names, metric)
        if not isinstance(self.scorer_, dict):
            self.multimetric_ = names != [ONE_SCORE]  # of a function that returns several scores
        row = best_row(rungs, table, metric, self.refit)
        self.cv_results_ = table
        self.n_candidates_ = [[len(r.candidates) for r in of] for of in tournament.results]
        self.n_resources_ = [[r.n_epochs for r in of] for of in tournament.results]
        self.n_epochs_ = sum(_n_trained(of) for of in tournament.results) * tournament.n_splits
        self.best_index_, self.best_params_ = row, table["params"][row]
        self.best_n_epochs_ = int(table["n_resources"][row])
        self.best_score_ = float(table[f"mean_test_{metric}"][row])

    def _warn_of_failures(self, rungs: Sequence[RungResult]) -> None:
        outcomes = [outcome for rung in rungs for outcome in rung.outcomes.values()]
        failures = [outcome for outcome in outcomes if outcome.scores is None]
        if not failures:
            return
        sentences = (
            f"{len(failures)} of {len(outcomes)} tasks have failed. The first failure, of "
            f"candidate {failures[0].unit.candidate} on split {failures[0].unit.split}:\n"
            f"{failures[0].error}"
        )
        if not any(_has_score(rung, candidate) for rung in rungs for candidate in rung.candidates):
            raise ValueError(
                "every configuration has failed, in partial_fit of estimator or in scoring. "
                + sentences
            )
        warnings.warn(
            f"{sentences}\nTheir scores are error_score={self.error_score}, and they do not enter "
            "the next rung. error_score='raise' ends the search at the first failure.",
            FitFailedWarning,
            stacklevel=4,
        )

    def _refit(self, data: SearchData, entropy: Seed) -> None:
        model = model_of(self.estimator, self.best_params_, entropy, REFIT, REFIT)
        start = time.perf_counter()
        train(
            model,
            data.x,
            data.y,
            0,
            self.best_n_epochs_,
            classes=data.classes,
            params=data.params,
        )
        self.refit_time_ = time.perf_counter() - start
        self.best_estimator_ = model
        if hasattr(model, "feature_names_in_"):
            self.feature_names_in_ = model.feature_names_in_


def entropy_of(random_state: Any) -> Seed:
    """Return the entropy of a search: the seed itself, or a number drawn from a generator.

    Raises
    ------
    TypeError, ValueError
    """
    if random_state is None:
        return secrets.randbits(128)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31 - 1))
    return check_integer("random_state", random_state, minimum=0, maximum=None)


def check_epochs(min_epochs: Any, max_epochs: Any, factor: Any) -> tuple[int, int, int]:
    """Return the checked numbers of epochs and the checked factor of a search."""
    fewest = check_integer("min_epochs", min_epochs, minimum=1)
    most = check_integer("max_epochs", max_epochs, minimum=1)
    if fewest > most:
        raise ValueError(f"min_epochs must be at most max_epochs, {most}; got {fewest}")
    return fewest, most, check_integer("factor", factor, minimum=2)


def _check_error_score(value: Any) -> None:
    """Raise ValueError for anything but a number, which may be NaN or infinite."""
    try:
        fits = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
        float(value if fits else math.nan)
    except OverflowError:  # an integer of hundreds of digits
        fits = False
    if not fits:
        raise ValueError(f"error_score must be 'raise' or a number; got {shown(value)}")


def _checked_pair(pair: Any) -> tuple[Any, Any]:
    """Return the indices of training and test rows as arrays."""
    arrays = [as_array("cv", rows) for rows in pair] if np.iterable(pair) else []
    if len(arrays) != 2 or any(a.ndim != 1 or a.dtype.kind not in "iub" for a in arrays):
        raise ValueError(
            "cv must yield pairs of indices, of training and of test rows, each one-dimensional; "
            f"got {shown(pair)}"
        )
    return arrays[0], arrays[1]


def _numbered(drawn: Sequence[Sequence[Any]]) -> list[range]:
    ends = np.cumsum([0, *map(len, drawn)]).tolist()
    return [range(begin, end) for begin, end in pairwise(ends)]


def _n_trained(results: Sequence[RungResult]) -> int:
    """Return the epochs that all candidates of a bracket were trained for, on one split."""
    before = [0, *(result.n_epochs for result in results)]
    return sum(
        len(result.candidates) * (result.n_epochs - done)
        for result, done in zip(results, before[:-1], strict=True)
    )


def _none(unit: Unit) -> Any:
    """Return no model: nothing is stored."""
    return None


def _has_score(rung: RungResult, candidate: int) -> bool:
    return all(o.scores is not None for (c, _), o in rung.outcomes.items() if c == candidate)
