"""State of a training run: weights and the optimizer's variables, including iterations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.cnn.backend import library, to_numpy


class TrainingState:
    """A copy of a compiled model's weights and of its optimizer's variables.

    Restoring it takes back the weights, the number of iterations, and with it the learning rate
    of a schedule, and the running means and momenta.

    Parameters
    ----------
    model : keras.Model
        Compiled, its optimizer built.
    """

    def __init__(self, model: Any) -> None:
        self.values = copies(_variables(model))

    @classmethod
    def of_values(cls, model: Any, values: Sequence[NDArray[Any]]) -> TrainingState:
        """The state of `model` that has these values, flat or in the shapes of the variables.

        Raises
        ------
        ValueError
            If there are more or fewer of them, or one has another size or type.
        """
        state = cls(model)
        if len(values) != len(state.values):
            raise ValueError(f"expected {len(state.values)} variables, found {len(values)}")
        for i, (own, given) in enumerate(zip(state.values, values, strict=True)):
            fits = own.dtype == given.dtype or own.dtype.kind == given.dtype.kind == "i"
            if own.size != given.size or not fits:
                raise ValueError(
                    f"variable {i} must have {own.size} {own.dtype} numbers; "
                    f"found {given.size} {given.dtype}"
                )
            if not np.isfinite(given).all():
                raise ValueError(f"variable {i} has numbers that are not finite")
            state.values[i] = given.reshape(own.shape).astype(own.dtype)  # int32 in JAX
        return state

    def restore(self, model: Any) -> None:
        """Restore everything in `model`."""
        library().synchronize(model)
        variables = list(_variables(model))
        if len(variables) != len(self.values):
            raise ValueError(
                f"the state has {len(self.values)} variables and the model {len(variables)}: it "
                "was compiled with another optimizer or has other layers"
            )
        for variable, value in zip(variables, self.values, strict=True):
            variable.assign(value)


def copies(variables: Iterable[Any]) -> list[NDArray[Any]]:
    """The values of Keras' variables, which in some libraries would share their memory."""
    return [np.array(to_numpy(variable)) for variable in variables]


def count_variables(model: Any) -> int:
    """Values in a `TrainingState` of the model."""
    return sum(1 for _ in _variables(model))


def _variables(model: Any) -> Iterator[Any]:
    yield from model.weights
    yield from model.optimizer.variables


def current_rate(model: Any) -> float:
    """The learning rate of the next batch."""
    library().synchronize(model)
    return float(to_numpy(model.optimizer.learning_rate))


def set_rate(model: Any, rate: float) -> None:
    """Set the learning rate of the next batch.

    Raises
    ------
    ValueError
        If the model has a schedule, which decides the rate itself.
    """
    try:
        model.optimizer.learning_rate = rate
    except TypeError as error:
        raise ValueError(
            f"learning_rate cannot be set to {rate:g}: the schedule of the configuration decides "
            "it; use schedule='none'"
        ) from error


def penalty(model: Any) -> float:
    """Return the penalty that the regularizers add to every batch's cost."""
    return sum(float(to_numpy(loss)) for loss in model.losses)


def iterations(model: Any) -> int:
    """Batches the optimizer has seen since its start."""
    library().synchronize(model)
    return int(to_numpy(model.optimizer.iterations))
