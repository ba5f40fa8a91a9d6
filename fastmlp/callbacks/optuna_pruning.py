"""OptunaPruning: ends a run that Optuna's pruner thinks hopeless."""

from __future__ import annotations

import math
from typing import Any

from fastmlp._checks import check_choice, check_string, shown
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import Training


class OptunaPruning(EpochCallback):
    """Report a number to a trial of Optuna after every epoch, and end the run if it is pruned.

    A pruned run raises ``optuna.TrialPruned``, which the objective passes on to the study. An
    estimator is then as it was before its `fit`. Needs the package optuna.

    Parameters
    ----------
    trial : optuna.trial.Trial
        The step that is reported is the number of finished epochs minus 1.
    monitor : str
        A name in ``training.metrics``: ``loss``, with an estimator's validation set ``val_loss``
        and ``val_score``, with a Trainer's ``val_cost`` and ``val_accuracy``. The direction of the
        study must fit it: "minimize" for losses and costs. A NaN is not reported.

    Raises
    ------
    TypeError
        If `trial` has no methods `report` and `should_prune`.
    ValueError
        After the first epoch, if `monitor` is not measured.
    optuna.TrialPruned
        After an epoch, if the pruner says so.

    Examples
    --------
    >>> def objective(trial):
    ...     rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    ...     model = MLPClassifier(learning_rate_init=rate)
    ...     model.set_callbacks(OptunaPruning(trial, "val_loss"))
    ...     model.fit(X, y, X_val=X_val, y_val=y_val)
    ...     return model.history_["val_loss"][-1]
    """

    __module__ = "fastmlp.callbacks"  # the public address, so that pickles survive moves

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        names = ("report", "should_prune")
        if isinstance(trial, type) or not all(callable(getattr(trial, n, None)) for n in names):
            raise TypeError(f"trial must be a trial of Optuna; got {shown(trial)}")
        self.trial, self.monitor = trial, check_string("monitor", monitor)

    def __copy__(self) -> OptunaPruning:
        return OptunaPruning(self.trial, self.monitor)

    def __deepcopy__(self, memo: dict[int, Any]) -> OptunaPruning:
        return OptunaPruning(self.trial, self.monitor)  # the study knows this trial, and no copy

    def settings(self) -> None:
        """Return None: it ends a run or does not change it."""

    def after_epoch(self, training: Training) -> None:
        """Report the number; raise TrialPruned if the trial is to be pruned."""
        value = training.metrics[check_choice("monitor", self.monitor, training.metrics)]
        if math.isnan(value):
            return
        step = training.epochs_done - 1
        self.trial.report(float(value), step)
        if self.trial.should_prune():
            from optuna import TrialPruned

            raise TrialPruned(f"pruned after epoch {step}: {self.monitor} = {value:.6g}")
