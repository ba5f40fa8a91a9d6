"""What a checkpoint of an estimator's fit is compared by, and what it gives back."""

from __future__ import annotations

import copy
import numbers
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine.rows import Rows
from fastmlp.training.checkpoints.document import SavedTraining
from fastmlp.training.checkpoints.fingerprint import Fingerprint
from fastmlp.training.checkpoints.folder import read_newest

FREE = ("max_iter", "max_fun", "n_threads", "verbose", "warm_start", "random_state")
"""Parameters that may change: a fit can become longer, and no bit depends on the others.

A random state that is no number is compared by nothing: its state is in the checkpoint."""


def read_for_fit(
    resume: str | os.PathLike[str] | None, random_state: np.random.RandomState
) -> SavedTraining | None:
    """The checkpoint to go on from, if any; `random_state` becomes that of the first fit."""
    saved = None if resume is None else read_newest(resume)
    if saved is not None:
        state = saved.owner_state.get("random_state")
        if isinstance(state, np.random.RandomState):
            random_state.set_state(state.get_state(legacy=False))
    return saved


def fit_fingerprint(
    estimator: Any,
    train: Rows,
    chosen: NDArray[np.intp] | None,
    validation: Rows | None,
    *,
    first: bool,
    random_state: np.random.RandomState,
) -> Fingerprint:
    """What this fit is compared by.

    Parameters
    ----------
    train, validation : Rows
        As they are trained on and measured.
    chosen : ndarray of int or None
        Which rows of `train`, if not all.
    first : bool
        Whether the network is new.
    random_state : RandomState
        As it was before the fit drew from it.
    """
    parameters = estimator.get_params(deep=False)
    settings = {name: value for name, value in parameters.items() if name not in FREE}
    is_seed = isinstance(estimator.random_state, numbers.Integral)
    settings["random_state"] = estimator.random_state if is_seed else "no number"
    held_out = (None, None, None) if validation is None else validation
    data = (*train, chosen, *held_out)
    names = ("X", "y", "sample_weight", "rows to train on", "X_val", "y_val", "sample_weight_val")
    return Fingerprint(
        data=dict(zip(names, data, strict=True)),
        owner=type(estimator).__name__,
        owner_settings=settings | {"new network": first},
        owner_state={} if is_seed else {"random_state": copy.deepcopy(random_state)},
    )
