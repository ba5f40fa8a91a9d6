"""Description of a search: everything on which its outcomes depend, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import make_scorer

from fastmlp.search.brackets import Bracket
from fastmlp.search.candidates import Parameters, Seed
from fastmlp.search.tasks import SearchData
from fastmlp.training.checkpoints.fingerprint import described, digest_of

FREE = ("n_threads", "n_jobs", "verbose")
"""Parameters of an estimator that may change: the result does not depend on them."""

SCORERS = make_scorer.__module__
"""Where scikit-learn defines its scorers, classes without a public name."""


def describe_search(
    name: str,
    estimator: Any,
    scoring: Any,
    entropy: Seed,
    brackets: Sequence[Bracket],
    candidates: Sequence[Parameters],
    data: SearchData,
) -> dict[str, Any]:
    """Return the description of a search, by the names of its messages.

    Parameters
    ----------
    name : str
        Class of the search.
    estimator : estimator
    scoring : object
        As given.
    entropy : int
    brackets : sequence of Bracket
    candidates : sequence of mapping
    data : SearchData
    """
    settings = {
        f"estimator.{key}": described(value, parts_of)
        for key, value in sorted(estimator.get_params(deep=True).items())
        if key.split("__")[-1] not in FREE
    }
    rows = {"X": data.x, "y": data.y, "cv (its splits)": data.splits} | data.params
    return {
        "search": name,
        "estimator": type(estimator).__name__,
        **settings,
        "scoring": described(scoring, parts_of),
        "random_state": str(entropy),
        "rungs": [[list(rung) for rung in bracket] for bracket in brackets],
        "param_distributions (the configurations)": [
            described(dict(one), parts_of) for one in candidates
        ],
        **{key: digest_of_rows(value) for key, value in rows.items()},
    }


def parts_of(value: Any) -> list[Any] | None:
    """Return what is compared of an estimator, a splitter or a scikit-learn scorer; else None.

    For an estimator, its parameters. For a splitter such as ``KFold(3)`` and for a scorer, all
    attributes: they are settings, not state, even where their names begin with an underscore.
    """
    if isinstance(value, type):
        return None
    if callable(getattr(value, "get_params", None)):
        params = value.get_params(deep=False)
        return [item for item in sorted(params.items()) if item[0] not in FREE]
    is_splitter = callable(getattr(value, "get_n_splits", None)) and hasattr(value, "__dict__")
    if is_splitter or type(value).__module__ == SCORERS:
        return sorted(vars(value).items())
    return None


def digest_of_rows(value: Any) -> str | None:
    """Return type, shape and checksum of an array, a data frame, a list of rows or None."""
    if value is None:
        return None
    if type(value) is np.ndarray and value.dtype.kind in "biuf":
        return digest_of(value)
    from joblib import hash as checksum

    shape = getattr(value, "shape", None)
    kind = type(value).__name__ if shape is None else f"{type(value).__name__} {tuple(shape)}"
    return f"{kind} sha1:{checksum(value, hash_name='sha1')}"
