"""SuccessiveHalvingSearch: many configurations for a few epochs, the best of them for more."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp._checks import check_integer, shown
from fastmlp._names import suggest_parameters
from fastmlp._types import StrPath
from fastmlp.search.base import BaseHalving, SearchRandomState, check_epochs
from fastmlp.search.brackets import Bracket, halving_bracket
from fastmlp.search.candidates import MAX_CANDIDATES, Seed, draw_candidates, grid_of


class SuccessiveHalvingSearch(BaseHalving):
    """Search for hyperparameters that ends the training of bad configurations early.

    All configurations are trained for a few epochs by `partial_fit`, on every split of `cv`. The
    best of them, one of `factor`, are trained further, from where they are, and so on; the last
    rung has `max_epochs` epochs. With k rungs, rung i has ``n // factor**i`` configurations of
    ``max_epochs // factor**(k - 1 - i)`` epochs.

    The result does not depend on backend and number of workers, if that of the estimator does not:
    random states that are None become seeds that depend on `random_state` and on the position of
    the configuration alone.

    Parameters
    ----------
    estimator : object with partial_fit
        One call with all training rows is an epoch. Or a Pipeline whose last step is such an
        object: its other steps are fitted once per configuration and split. A network's `max_iter`
        should be `max_epochs` for a `learning_rate` that falls with it, such as "cosine".
    param_distributions : mapping or list of mappings
        For every parameter a list of values, or a distribution with the method `rvs`.
    n_candidates : int >= 1 or "all", default=27
        Number of configurations that are drawn; "all" takes every combination of lists.
    max_epochs : int >= 1, default=81
        Number of epochs of the last rung, and of the best model.
    min_epochs : int >= 1, default=1
        Smallest number of epochs after which configurations are compared.
    factor : int >= 2, default=3
        Of n configurations, n // factor enter the next rung.
    scoring : None, str, callable, list, tuple or mapping, default=None
        As in scikit-learn's searches; None is the estimator's `score`.
    refit : bool, str or callable, default=True
        Whether the best configuration is fitted to all rows. If `scoring` has several scores, the
        name of the one that decides; otherwise any name is as good as True. A function of
        `cv_results_` returns the best row.
    cv : int, splitter, iterable or None, default=None
        As in scikit-learn: None is 5-fold. ``ShuffleSplit(1, test_size=0.2)`` costs a fifth.
    error_score : "raise" or float, default=nan
        Score of a model that raises an error, for example DivergenceError. Such a configuration
        does not enter the next rung.
    backend : {"threads", "processes"}, executor or client, default="threads"
        Where models are trained. "threads" suits fastmlp's estimators, which hold no lock while
        they train, and other estimators with large arrays; "processes" suits small models. Any
        object with ``submit(function, *arguments)``, which returns a future, is allowed, such as an
        executor of `concurrent.futures`, and a client of Dask. Every process loads the data once.
    n_workers : int >= 1 or None, default=None
        Number of threads or processes; None for the number of usable processors.
    folder : str, bytes, PathLike or None, default=None
        Folder in which the outcome of every task is kept. If a search is interrupted (Ctrl-C, kill,
        crash), the next `fit` with the same folder continues it, and ends with the same result; it
        is refused if parameters or data differ. Tasks that have failed run again. Models of fastmlp
        are saved by `fastmlp.save`. Others are not, because pickles are unsafe: those that are
        still needed are trained again. The last fit, of `best_estimator_`, is not saved.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the configurations and of the models' random states that are None.
    verbose : bool or int, default=0
        Whether to show a table of the rungs.

    Attributes
    ----------
    best_estimator_ : estimator
        Best configuration, fitted to all rows for `best_n_epochs_` epochs; only with `refit`.
    best_params_ : dict
    best_score_ : float
        Mean score over the splits, at the end of the last rung; if all have failed there, of the
        last one in which a configuration has not.
    best_index_ : int
        Row of `cv_results_`.
    best_n_epochs_ : int
    cv_results_ : dict of str to ndarray of shape (n_trained,), or list
        A row per configuration and rung, in the columns of scikit-learn's searches; also
        ``bracket``, ``iter`` (the rung), ``candidate`` (number of the configuration) and
        ``n_resources`` (epochs since the beginning).
    n_candidates_, n_resources_ : list of list of int
        Configurations, and epochs since the beginning, of every rung of every bracket.
    n_epochs_ : int
        Epochs of all models together, except `best_estimator_`.
    n_splits_ : int
    refit_time_ : float
        Seconds.
    scorer_, multimetric_, classes_, n_features_in_, feature_names_in_
        As in scikit-learn's searches.

    See Also
    --------
    HyperbandSearch : If it is not known how early configurations can be compared.

    References
    ----------
    K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter
    optimization", AISTATS (2016).

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier
    >>> from fastmlp.search import SuccessiveHalvingSearch
    >>> X, y = load_iris(return_X_y=True)
    >>> search = SuccessiveHalvingSearch(
    ...     MLPClassifier(hidden_layer_sizes=(10,)),
    ...     {"learning_rate_init": loguniform(1e-3, 1e-1), "activation": ["relu", "tanh"]},
    ...     n_candidates=9, max_epochs=9, cv=3, random_state=0,
    ... ).fit(X, y)
    >>> search.n_candidates_, search.n_resources_
    ([[9, 3, 1]], [[1, 3, 9]])
    """

    __module__ = "fastmlp.search"  # its address in pickles, which survives moves of this file

    @suggest_parameters
    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        n_candidates: int | str = 27,
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
        epochs = check_epochs(self.min_epochs, self.max_epochs, self.factor)
        grid = grid_of(self.param_distributions)
        if isinstance(self.n_candidates, str):
            if self.n_candidates != "all":
                raise ValueError(
                    f"n_candidates must be an integer or 'all'; got {shown(self.n_candidates)}"
                )
            if grid is None:
                raise ValueError(
                    "n_candidates='all' needs lists in param_distributions, which has a "
                    "distribution"
                )
            check_integer("n_candidates", len(grid), minimum=1, maximum=MAX_CANDIDATES)
            drawn = list(grid)
        else:
            n = check_integer("n_candidates", self.n_candidates, minimum=1, maximum=MAX_CANDIDATES)
            drawn = draw_candidates(self.param_distributions, n, entropy, 0)
        min_epochs, max_epochs, factor = epochs
        return [halving_bracket(len(drawn), max_epochs, min_epochs, factor)], [drawn]
