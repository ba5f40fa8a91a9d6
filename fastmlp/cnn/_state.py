"""The state of a training: weights, and everything the optimiser remembers, iterations included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray


class TrainingState:
    """A copy of a compiled model's weights and of its optimiser's variables.

    Restoring it takes back the weights, the number of iterations, and with it the learning rate
    of a schedule, and the running means and momenta.

    Parameters
    ----------
    model : keras.Model
        Compiled, its optimiser built.
    """

    def __init__(self, model: Any) -> None:
        self._values: list[NDArray[Any]] = [v.numpy() for v in _variables(model)]

    def restore(self, model: Any) -> None:
        """Put everything back into `model`."""
        variables = list(_variables(model))
        if len(variables) != len(self._values):
            raise ValueError(
                f"the state has {len(self._values)} variables and the model {len(variables)}: it "
                "was compiled with another optimiser or has other layers"
            )
        for variable, value in zip(variables, self._values, strict=True):
            variable.assign(value)


def _variables(model: Any) -> Iterator[Any]:
    yield from model.weights
    yield from model.optimizer.variables


def current_rate(model: Any) -> float:
    """The learning rate of the next batch."""
    return float(model.optimizer.learning_rate.numpy())


def iterations(model: Any) -> int:
    """Batches the optimiser has seen since its start."""
    return int(model.optimizer.iterations.numpy())
