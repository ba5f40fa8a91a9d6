"""Candidates: the configurations that a search compares, and the seeds of their models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler

from fastmlp._checks import shown

Parameters = Mapping[str, Any]
Distributions = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Seed = int
"""Entropy of `numpy.random.SeedSequence`: any integer >= 0."""

MAX_CANDIDATES = 100_000
"""Largest number of configurations of a search; more are a mistake."""

REFIT = -1
"""Number of the model that is fitted to all rows, in the place of a candidate's."""


def grid_of(distributions: Distributions) -> ParameterGrid | None:
    """Return the grid of all combinations; None if a parameter has a distribution.

    Raises
    ------
    TypeError, ValueError
        If they are not as scikit-learn's searches have them.
    """
    given = [distributions] if isinstance(distributions, Mapping) else distributions
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise TypeError(
            "param_distributions must be a mapping of parameter names to lists or distributions, "
            f"or a list of such mappings; got {shown(distributions)}"
        )
    if not given or not all(isinstance(one, Mapping) for one in given):
        raise TypeError(
            "param_distributions must hold at least one mapping of parameter names to lists or "
            f"distributions; got {shown(distributions)}"
        )
    try:
        ParameterSampler(distributions, 1)
    except (TypeError, ValueError) as error:
        raise type(error)(f"param_distributions: {error}") from None
    if any(hasattr(values, "rvs") for one in given for values in one.values()):
        return None
    return ParameterGrid(distributions)


def draw_candidates(
    distributions: Distributions, n_candidates: int, entropy: Seed, bracket: int
) -> list[dict[str, Any]]:
    """Draw the configurations of a bracket, without repetition if all parameters have lists.

    Parameters
    ----------
    distributions : mapping or sequence of mappings
        Checked by `grid_of`.
    n_candidates : int
        A grid that has fewer combinations gives all of them.
    entropy : int
    bracket : int
        Number of the bracket; each draws its own.
    """
    grid = grid_of(distributions)
    n = n_candidates if grid is None else min(n_candidates, len(grid))
    seed = np.random.SeedSequence(entropy, spawn_key=(bracket,)).generate_state(1)[0]
    return list(ParameterSampler(distributions, n, random_state=int(seed)))


def model_of(
    estimator: Any, parameters: Parameters, entropy: Seed, candidate: int, split: int
) -> Any:
    """Return an unfitted model of a configuration, all of whose random states are set.

    A `random_state` of None, also that of a step, becomes a seed that depends on the search's
    entropy, the candidate and the split alone, so that the result depends on no order of work.

    Raises
    ------
    ValueError
        If the estimator has no such parameter.
    """
    model = clone(estimator).set_params(**clone(dict(parameters), safe=False))
    names = sorted(
        name
        for name, value in model.get_params(deep=True).items()
        if name.split("__")[-1] == "random_state" and value is None
    )
    sequence = np.random.SeedSequence(entropy, spawn_key=(candidate - REFIT, split - REFIT, 0))
    seeds = sequence.generate_state(max(len(names), 1)) >> 1  # below 2^31, for everyone
    return model.set_params(**{n: int(s) for n, s in zip(names, seeds, strict=False)})
