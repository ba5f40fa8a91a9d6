"""The state in which a model of the articles was built, to which `train` with `reset` goes back."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from fastmlp.cnn.state import copies, iterations


class Start:
    """Initial weights of a model, and the first values of its optimizer's variables.

    The article keeps the weights in a file and leaves the optimizer as it is, so that a schedule
    does not start again; here it does.

    Parameters
    ----------
    model : keras.Model
        Just built.
    """

    def __init__(self, model: Any) -> None:
        self.weights = copies(model.weights)
        self._optimizer: Any = None
        self._values: list[Any] = []

    def note_optimizer(self, model: Any) -> None:
        """Remember the values with which the model's optimizer starts, if it is another one.

        Not before the first training: Keras' summary would count the optimizer's variables.
        """
        optimizer = model.optimizer
        if optimizer is self._optimizer:
            return
        optimizer.build(model.trainable_variables)
        started = optimizer
        if iterations(model):  # it has trained elsewhere
            started = type(optimizer).from_config(optimizer.get_config())
            started.build(model.trainable_variables)
        self._optimizer, self._values = optimizer, copies(started.variables)

    def restore(self, model: Any) -> None:
        """Restore the weights, iteration 0 and the first rate in `model`."""
        model.set_weights(self.weights)
        for variable, value in zip(model.optimizer.variables, self._values, strict=True):
            variable.assign(value)


STARTS: WeakKeyDictionary[Any, Start] = WeakKeyDictionary()
"""Of every model that `build_cnn_simple` has built, as long as it exists."""
