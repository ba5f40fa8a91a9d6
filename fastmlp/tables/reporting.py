"""What a fitted estimator for tables says about itself: importances, figures, a summary."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from sklearn.utils.validation import check_is_fitted

from fastmlp._types import Array
from fastmlp.tables.encoder import TabularEncoder
from fastmlp.tables.importance import HeldOutRows, permutation_importances
from fastmlp.tables.members import Member
from fastmlp.tables.summary import TabularSummary, summarize
from fastmlp.tables.weighted import Numbers


class Reporting:
    """Methods of the estimators that look at the fitted members; they train nothing."""

    encoder_: TabularEncoder
    members_: list[Member]
    oof_score_: float | None
    linear_score_: float | None
    _importances: Numbers | None
    _held_out: HeldOutRows | None

    @abstractmethod
    def _loss_of(self, outputs: Array, targets: Numbers, weights: Numbers | None) -> float:
        """Return the mean loss of a member's outputs, in which importances are measured."""

    @abstractmethod
    def _score_name(self) -> str:
        """Return the name of `oof_score_`."""

    @property
    def feature_importances_(self) -> Numbers:
        """Importance of every column, (`n_features_in_`,): rise of the loss when it is shuffled.

        The loss is the log loss, the squared error over the variance of `y`, or the pinball loss.
        The column is shuffled among at most 2,000 rows that members held out, 5 times; around 0
        for columns without use. Computed when it is first read. Columns that carry the same
        information share their importance, or hide it.

        Raises
        ------
        AttributeError
            If no rows were held out.
        """
        importances: Numbers = self._all_importances().mean(axis=0)
        return importances

    def _all_importances(self) -> Numbers:
        """Return the importances of every repetition, (n_repeats, n_features_in_)."""
        check_is_fitted(self)
        if self._importances is None:
            if self._held_out is None:
                raise AttributeError(
                    "importances need held-out rows, of which this fit had none, or which are not "
                    "in a loaded file"
                )
            self._importances = permutation_importances(
                self.members_, self.encoder_, self._held_out, self._loss_of, 0
            )
        return self._importances

    def plot_importances(self, *, n_columns: int = 20, figsize: Any = None) -> Any:
        """Plot `feature_importances_`, the largest first.

        Parameters
        ----------
        n_columns : int >= 1
            Number of columns shown at most.
        figsize : (float, float) or None
            Width and height in inches.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from fastmlp.plots.tables import plot_importances

        importances = self._all_importances()
        names = [column.name for column in self.encoder_.reader_.columns]
        return plot_importances(names, importances, n_columns=n_columns, figsize=figsize)

    def plot_history(self, *, figsize: Any = (10, 6)) -> Any:
        """Plot the losses of all members, and their best epochs.

        Parameters
        ----------
        figsize : (float, float)
            Width and height in inches.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from fastmlp.plots.tables import plot_member_curves

        check_is_fitted(self)
        histories = [member.history for member in self.members_]
        best = [member.best_epoch for member in self.members_]
        return plot_member_curves(histories, best, figsize=figsize)

    def summary(self) -> TabularSummary:
        """Return what was done to every column, and how the members were trained.

        Returns
        -------
        TabularSummary
            Displayed as text, with the attributes `columns` and `members`.
        """
        check_is_fitted(self)
        title = f"{type(self).__name__}: {len(self.members_)} members"
        if self.oof_score_ is not None:
            title += f", {self._score_name()} {self.oof_score_:.4f} for held-out rows"
        if self.linear_score_ is not None:
            title += f" (a linear model: {self.linear_score_:.4f})"
        return summarize(title, self.encoder_, self.members_)
