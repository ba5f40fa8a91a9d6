"""Figures of a MyANN, drawn by :mod:`fastmlp.plots` with its figure size and legend location."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastmlp import plots
from fastmlp._types import Array
from fastmlp.datasets.scaling import Scaler
from fastmlp.myann.records import Records

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Figures(Records):
    """Methods that plot a run and its predictions; they need the extra ``plots``."""

    scaler: Scaler
    n_threads: int | None
    figs_x1: float
    figs_x2: float
    legend_loc: str

    def _figure_options(self) -> dict[str, Any]:
        return {"figsize": (self.figs_x1, self.figs_x2)}

    def _curve_options(self) -> dict[str, Any]:
        # The articles' default location would hide rising curves; each plot has a better default.
        place = {} if self.legend_loc == "upper right" else {"legend_loc": self.legend_loc}
        return place | self._figure_options()

    def plot_costs(self) -> Figure:
        """Plot the cost of every mini-batch; see :func:`fastmlp.plots.plot_costs`."""
        sizes = {"train": len(self.X_train), "val": len(self.X_test)}
        return plots.plot_costs(
            self.history,
            validation_name="test",
            n_rows=sizes if all(sizes.values()) else None,  # a loaded MyANN has no rows
            **self._curve_options(),
        )

    def plot_errors(self) -> Figure:
        """Plot the mean error of every mini-batch."""
        return plots.plot_errors(self.history, **self._curve_options())

    def plot_accuracy(self) -> Figure:
        """Plot the accuracy on the training and test sets after every epoch."""
        return plots.plot_accuracy(self.history, validation_name="test", **self._curve_options())

    def plot_reg_share(self) -> Figure:
        """Plot the share of the penalty in the cost of every mini-batch."""
        return plots.plot_reg_share(self.history, **self._curve_options())

    def plot_confusion_matrix(self) -> Figure:
        """Plot the confusion matrix of the test set."""
        self._require_rows("plot_confusion_matrix")
        predicted = self.classes_[self._test_outputs().argmax(axis=1)]
        return plots.plot_confusion_matrix(
            self.y_test, predicted, self.classes_, **self._figure_options()
        )

    def plot_misclassified(self, label: Any = None, *, max_images: int = 24) -> Figure:
        """Show misclassified test images; with `label`, only those of one class."""
        self._require_rows("plot_misclassified")
        if self.data.image_shape is None:
            raise ValueError(f"{self.X_train.shape[1]} features do not form a square image")
        outputs = self._test_outputs()
        return plots.plot_misclassified(
            self.scaler.inverse_transform(self.X_test),
            self.y_test,
            self.classes_[outputs.argmax(axis=1)],
            outputs,
            image_shape=self.data.image_shape,
            label=label,
            max_images=max_images,
            **self._figure_options(),
        )

    def _test_outputs(self) -> Array:
        return self.network.predict(self.X_test, n_threads=self.n_threads)
