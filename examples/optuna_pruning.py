"""Optuna, with pruning: bad configurations end after a few epochs
===============================================================

::

    python examples/optuna_pruning.py [--quick]

Needs optuna (`pip install optuna`). `OptunaPruning` reports the validation loss of every epoch to
the trial; where Optuna's median pruner finds it worse than that of most trials before, the fit
ends.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
import optuna

from fastmlp import MLPClassifier, datasets
from fastmlp.callbacks import OptunaPruning


def make_objective(data: datasets.Dataset, max_iter: int) -> Callable[[optuna.Trial], float]:
    """Return the objective of the study: the lowest validation loss of a configuration."""
    scale = data.X_train.max()
    X, X_val = data.X_train[:-500] / scale, data.X_train[-500:] / scale
    y, y_val = data.y_train[:-500], data.y_train[-500:]

    def objective(trial: optuna.Trial) -> float:
        model = MLPClassifier(
            hidden_layer_sizes=trial.suggest_categorical("layers", ["32", "64", "64x32"]),
            learning_rate_init=trial.suggest_float("rate", 1e-5, 1e-1, log=True),
            alpha=trial.suggest_float("alpha", 1e-6, 1e-1, log=True),
            batch_size=50,
            learning_rate="cosine",
            max_iter=max_iter,
            n_iter_no_change=np.inf,  # the schedule and the pruner say when to stop
            random_state=0,
        )
        model.set_callbacks(OptunaPruning(trial, "val_loss"))
        model.fit(X, y, X_val=X_val, y_val=y_val)
        return float(min(model.history_["val_loss"]))

    return objective


def main(arguments: Sequence[str] | None = None) -> optuna.Study:
    """Search, print what was found and how much was pruned, and return the study."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="12 trials of 8 epochs, not 40 of 40")
    options = parser.parse_args(arguments)
    n_trials, max_iter = (12, 8) if options.quick else (40, 40)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
    )
    study.optimize(make_objective(datasets.load("digits"), max_iter), n_trials=n_trials)

    states = [trial.state for trial in study.trials]
    n_pruned = states.count(optuna.trial.TrialState.PRUNED)
    n_epochs = sum(len(trial.intermediate_values) for trial in study.trials)
    print(f"{n_trials} trials, {n_pruned} pruned: {n_epochs} epochs of {n_trials * max_iter}")
    print(f"lowest validation loss: {study.best_value:.4f}")
    print(f"with {study.best_params}")
    return study


if __name__ == "__main__":
    main()
