"""HyperbandSearch: several successive halvings, from many short trainings to few long ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp._names import suggest_parameters
from fastmlp._types import StrPath
from fastmlp.search.base import BaseHalving, SearchRandomState, check_epochs
from fastmlp.search.brackets import Bracket, hyperband_brackets, limited
from fastmlp.search.candidates import MAX_CANDIDATES, Seed, draw_candidates, grid_of


class HyperbandSearch(BaseHalving):
    """Search for hyperparameters by Hyperband: brackets of successive halving, from bold to safe.

    It is not known in advance how early bad configurations can be recognized. Therefore the first
    bracket compares many configurations after a few epochs, the next ones fewer after more, and the
    last one trains a few to the end; all cost about the same. With s from s_max to 0, a bracket
    begins with ``ceil((s_max + 1) / (s + 1) * factor**s)`` configurations of
    ``max_epochs // factor**s`` epochs.

    Everything else is as in :class:`SuccessiveHalvingSearch`; the brackets run side by side.

    Parameters
    ----------
    estimator : object with partial_fit
        Also a Pipeline whose last step is such an object; as in :class:`SuccessiveHalvingSearch`.
    param_distributions : mapping or list of mappings
        For every parameter a list of values, or a distribution with the method `rvs`. A bracket
        has no more configurations than there are combinations of lists.
    max_epochs : int >= 1, default=81
        Number of epochs of the last rung of every bracket. It also determines the number of
        configurations.
    min_epochs : int >= 1, default=1
        Smallest number of epochs after which configurations are compared.
    factor : int >= 2, default=3
        Of n configurations, n // factor enter the next rung.
    scoring, refit, cv, error_score, backend, n_workers, folder, random_state, verbose
        As in :class:`SuccessiveHalvingSearch`.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray of shape (n_trained,), or list
        A row per configuration and rung of every bracket.
    best_estimator_, best_params_, best_score_, best_index_, best_n_epochs_, n_candidates_, \
n_resources_, n_epochs_, n_splits_, refit_time_, scorer_, multimetric_, classes_, n_features_in_, \
feature_names_in_
        As in :class:`SuccessiveHalvingSearch`.

    References
    ----------
    L. Li, K. Jamieson, G. DeSalvo, A. Rostamizadeh and A. Talwalkar, "Hyperband: A novel
    bandit-based approach to hyperparameter optimization", JMLR 18 (2018).

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier
    >>> from fastmlp.search import HyperbandSearch
    >>> X, y = load_iris(return_X_y=True)
    >>> search = HyperbandSearch(
    ...     MLPClassifier(hidden_layer_sizes=(10,)), {"learning_rate_init": loguniform(1e-3, 1e-1)},
    ...     max_epochs=9, cv=3, random_state=0,
    ... ).fit(X, y)
    >>> search.n_candidates_, search.n_resources_
    ([[9, 3, 1], [5, 1], [3]], [[1, 3, 9], [3, 9], [9]])
    """

    __module__ = "fastmlp.search"  # its address in pickles, which survives moves of this file

    @suggest_parameters
    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        max_epochs: int = 81,
        min_epochs: int = 1,
        factor: int = 3,
        scoring: Any = None,
        refit: Any = True,
        cv: Any = None,
        error_score: float | str = np.nan,
        backend: Any = "threads",
        n_workers: int | None = None,
        folder: StrPath | None = None,
        random_state: SearchRandomState = None,
        verbose: bool | int = 0,
    ) -> None:
        self._keep_parameters(locals())

    def _plan(self, entropy: Seed) -> tuple[list[Bracket], list[list[dict[str, Any]]]]:
        min_epochs, max_epochs, factor = check_epochs(self.min_epochs, self.max_epochs, self.factor)
        grid_of(self.param_distributions)
        brackets = hyperband_brackets(max_epochs, min_epochs, factor)
        n_candidates = sum(bracket[0].n_candidates for bracket in brackets)
        if n_candidates > MAX_CANDIDATES:
            raise ValueError(
                f"max_epochs={max_epochs} with min_epochs={min_epochs} and factor={factor} needs "
                f"{n_candidates} configurations; at most {MAX_CANDIDATES} are allowed"
            )
        drawn = [
            draw_candidates(self.param_distributions, bracket[0].n_candidates, entropy, number)
            for number, bracket in enumerate(brackets)
        ]
        fitting = [
            limited(bracket, len(of_bracket), factor)
            for bracket, of_bracket in zip(brackets, drawn, strict=True)
        ]
        return fitting, drawn
