"""Comparison of an estimator's fit with the checkpoint from which it resumes."""

from __future__ import annotations

import copy
import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import StrPath
from fastmlp.data.reader import WindowReader
from fastmlp.engine.rows import Rows
from fastmlp.estimators.parameters import Parameters
from fastmlp.training.checkpoints.fingerprint import Fingerprint
from fastmlp.training.checkpoints.folder import read_newest
from fastmlp.training.feeds import Feed
from fastmlp.training.inputs import described

FREE = ("max_iter", "max_fun", "n_threads", "verbose", "warm_start", "random_state")
"""Parameters that may change: a fit can become longer, and the result depends on no other of them.

A random state that is not an integer is not compared: its state is in the checkpoint."""


class ResumableFit:
    """Checkpoint support of a fit: reads the one to resume from, and describes the fit.

    Parameters
    ----------
    resume : str, bytes, PathLike or None
        The checkpoint or its folder.
    random_state : RandomState
        Not yet used by this fit; set to the state of the saved fit, in place.

    Raises
    ------
    ModelFormatError, OSError
        If the checkpoint is damaged or missing.
    """

    def __init__(self, resume: StrPath | None, random_state: np.random.RandomState) -> None:
        self.saved = None if resume is None else read_newest(resume)
        state = None if self.saved is None else self.saved.owner_state.get("random_state")
        if isinstance(state, np.random.RandomState):
            random_state.set_state(state.get_state(legacy=False))
        self._random_state = copy.deepcopy(random_state)

    def fingerprint(
        self,
        owner: str,
        parameters: Parameters,
        train: Rows | WindowReader | Feed,
        row_index: NDArray[np.intp] | None,
        validation: Rows | None,
        *,
        first: bool,
    ) -> Fingerprint:
        """Return the fingerprint with which this fit is compared.

        Parameters
        ----------
        owner : str
            Name of the estimator's class.
        train, validation : Rows
            Rows for training and validation; `train` may be the reader of a source.
        row_index : ndarray of int or None
            Indices of the rows in `train` that are used; None for all.
        first : bool
            Whether the network is new.
        """
        given = parameters.get_params(deep=False)
        settings = {name: value for name, value in given.items() if name not in FREE}
        is_seed = isinstance(parameters.random_state, numbers.Integral)
        settings["random_state"] = parameters.random_state if is_seed else "no number"
        data = described(train, ("X", "y", "sample_weight"))
        data["rows to train on"] = row_index
        held_out = (None, None, None) if validation is None else validation
        data |= zip(("X_val", "y_val", "sample_weight_val"), held_out, strict=True)
        return Fingerprint(
            data=data,
            owner=owner,
            owner_settings=settings | {"new network": first},
            owner_state={} if is_seed else {"random_state": self._random_state},
        )


def resumable_fit(
    resume: Any, random_state: np.random.RandomState, *, incremental: bool
) -> ResumableFit:
    """Return the checkpoint support of a fit; raise ValueError for partial_fit, which has none."""
    if incremental:
        raise ValueError(
            "a Checkpoint can be used with fit, not with partial_fit: fastmlp.save keeps the "
            "estimator between two calls, with the optimizer's state"
        )
    return ResumableFit(resume, random_state)
