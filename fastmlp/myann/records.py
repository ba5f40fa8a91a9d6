"""Recorded values of a MyANN: history, data and batches, also under the articles' names."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._types import Array
from fastmlp.data.labelled import LabelledSources
from fastmlp.datasets.labelled import LabelledData
from fastmlp.network.network import Network
from fastmlp.training.history import History
from fastmlp.training.trainer import Trainer


def _alias(name: str) -> Any:
    """Return a read-only property that is an alias of an attribute."""
    return property(operator.attrgetter(name), doc=f"Same as ``{name}``.")


class Records:
    """Read-only attributes of a MyANN; only the weights can be assigned."""

    data: LabelledData
    sources: LabelledSources | None = None
    feature_names: list[str] | None = None
    network: Network
    trainer: Trainer
    history: History
    ay_nodes_layers: list[int]
    n_size_mini_batch: int
    n_max_batches: int
    n_epochs: int

    X_train = _alias("data.X_train")
    y_train = _alias("data.y_train")
    Y_train = _alias("data.Y_train")
    X_test = _alias("data.X_test")
    y_test = _alias("data.y_test")
    Y_test = _alias("data.Y_test")
    classes_ = _alias("data.classes")

    @property
    def weights(self) -> list[Array]:
        """Weight matrices (n_next, n_this + 1), bias in column 0; views that can be assigned."""
        return self.network.weights

    @weights.setter
    def weights(self, new: Sequence[ArrayLike]) -> None:
        self.network.set_weights(new)

    @property
    def costs(self) -> NDArray[np.float64]:
        """Cost of every mini-batch before its update, (n_epochs, n_batches)."""
        return self.history["costs"]

    @property
    def errors(self) -> NDArray[np.float64]:
        """Mean of abs(y - a) over outputs and rows of every mini-batch, (n_epochs, n_batches)."""
        return self.history["errors"]

    @property
    def reg_share(self) -> NDArray[np.float64]:
        """Share of the penalty in every mini-batch's cost, a fraction, (n_epochs, n_batches)."""
        return self.history["reg_share"]

    @property
    def learning_rates(self) -> NDArray[np.float64]:
        """Learning rate of every epoch, (n_epochs,)."""
        return self.history["learning_rates"]

    @property
    def train_accuracy(self) -> NDArray[np.float64]:
        """Accuracy on the training set after every epoch, (n_epochs,)."""
        return self.history["train_accuracy"]

    @property
    def test_accuracy(self) -> NDArray[np.float64]:
        """Accuracy on the test set after every epoch, (n_epochs,)."""
        return self.history["val_accuracy"]

    @property
    def epoch_seconds(self) -> NDArray[np.float64]:
        """Training time of every epoch in seconds, without measuring accuracy, (n_epochs,)."""
        return self.history["epoch_seconds"]

    @property
    def n_mini_batches(self) -> int:
        """Number of mini-batches in the training set; `n_max_batches` may run fewer."""
        n_rows = len(self.X_train if self.sources is None else self.sources.train)
        return -(-n_rows // self.n_size_mini_batch)

    def _fit_data(self) -> tuple[tuple[Any, Any], Any]:
        """Return the arguments of a Trainer's fit: training data, and validation data."""
        if self.sources is not None:
            return (self.sources.train, None), self.sources.test
        return (self.X_train, self.Y_train), (self.X_test, self.Y_test)

    @property
    def n_batches(self) -> int:
        """Number of mini-batches run per epoch."""
        limit = self.n_max_batches
        return min(self.n_mini_batches, limit) if limit > 0 else self.n_mini_batches

    @property
    def mini_batches(self) -> list[NDArray[np.intp]]:
        """Row indices of the mini-batches in the last epoch (before training: in stored order)."""
        order = self.trainer.order
        rows = np.arange(len(self.X_train)) if order is None else order
        return np.split(rows, range(self.n_size_mini_batch, len(rows), self.n_size_mini_batch))

    _li_w = _alias("weights")
    _ay_costs = _alias("costs")
    _ay_theta = _alias("errors")
    _ay_reg_cost_contrib = _alias("reg_share")
    _ay_mini_batches = _alias("mini_batches")
    _ay_onehot = property(lambda self: self.Y_train.T, doc="One-hot targets, (n_labels, n).")
    _ay_oneval = _alias("data.codes_train")
    _X_train = _alias("X_train")
    _X_test = _alias("X_test")
    _y_train = _alias("y_train")
    _y_test = _alias("y_test")
    _n_mini_batches = _alias("n_mini_batches")
    _n_batches = _alias("n_batches")
    _ay_nodes_layers = _alias("ay_nodes_layers")
    _dim_features = property(lambda self: self.X_train.shape[1], doc="Number of input features.")
    _dim_sets = property(lambda self: len(self.X_train), doc="Number of training rows.")
    _n_labels = property(lambda self: len(self.classes_), doc="Number of classes.")
    _n_total_layers = property(lambda self: len(self.ay_nodes_layers), doc="All layers.")
    _dim_img = _img_h = _img_w = property(
        lambda self: self.data.image_shape and self.data.image_shape[0],
        doc="Side of the square images in pixels, or None.",
    )
    _shape_epochs_batches = property(
        lambda self: (self.n_epochs, self.n_batches, 1), doc="(n_epochs, n_batches, 1)."
    )
    _li_mom = property(
        lambda self: [*self.network.views(self.trainer.memory), None],
        doc="Momentum matrices in the shapes of the weights; the last entry is unused.",
    )

    def _require_rows(self, method: str) -> None:
        """Raise an error if data is needed but the object is from a model file, which has none."""
        if self.sources is not None:
            raise ValueError(
                f"{method} needs training and test data in memory; my_data_set is a source"
            )
        if len(self.X_train) == 0:
            raise ValueError(
                f"{method} needs training and test data, which a model file does not have: make a "
                "MyANN with data and b_train_on_init=False, and set its weights to these"
            )
