"""What an estimator's fit has in common with the one that a checkpoint continues."""

from __future__ import annotations

import copy
import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import StrPath
from fastmlp.engine.rows import Rows
from fastmlp.estimators.parameters import Parameters
from fastmlp.training.checkpoints.fingerprint import Fingerprint
from fastmlp.training.checkpoints.folder import read_newest

FREE = ("max_iter", "max_fun", "n_threads", "verbose", "warm_start", "random_state")
"""Parameters that may change: a fit can become longer, and no bit depends on the others.

A random state that is not a number is not compared: its state is in the checkpoint."""


class ResumableFit:
    """A fit that writes checkpoints, or continues from one.

    Parameters
    ----------
    resume : str, bytes, PathLike or None
        The checkpoint or its folder.
    random_state : RandomState
        From which this fit has drawn nothing so far; becomes that of the saved fit, in place.

    Raises
    ------
    ModelFormatError, OSError
        Where the checkpoint is damaged or missing.
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
        train: Rows,
        row_index: NDArray[np.intp] | None,
        validation: Rows | None,
        *,
        first: bool,
    ) -> Fingerprint:
        """Return what this fit is compared by.

        Parameters
        ----------
        owner : str
            Name of the estimator's class.
        train, validation : Rows
            As they are trained on and measured.
        row_index : ndarray of int or None
            Which rows of `train`, if not all.
        first : bool
            Whether the network is new.
        """
        given = parameters.get_params(deep=False)
        settings = {name: value for name, value in given.items() if name not in FREE}
        is_seed = isinstance(parameters.random_state, numbers.Integral)
        settings["random_state"] = parameters.random_state if is_seed else "no number"
        data: dict[str, Any] = dict(zip(("X", "y", "sample_weight"), train, strict=True))
        data["rows to train on"] = row_index
        held_out = (None, None, None) if validation is None else validation
        data |= zip(("X_val", "y_val", "sample_weight_val"), held_out, strict=True)
        return Fingerprint(
            data=data,
            owner=owner,
            owner_settings=settings | {"new network": first},
            owner_state={} if is_seed else {"random_state": self._random_state},
        )
