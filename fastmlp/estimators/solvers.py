"""An estimator's solver at work on rows that have been checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastmlp._checks import check_choice
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.checkpoint import Checkpoint
from fastmlp.engine.rows import Rows
from fastmlp.estimators.parameters import ENDING_RATES, STOCHASTIC_SOLVERS
from fastmlp.estimators.records import Bookkeeper, Progress, append_row
from fastmlp.estimators.settings import Training, rows_per_batch, trainer_settings
from fastmlp.estimators.sklearn_callbacks import SklearnTasks, own_callbacks
from fastmlp.estimators.validation import Validator
from fastmlp.estimators.verbose import Report
from fastmlp.estimators.warn import warn
from fastmlp.exceptions import DivergenceError
from fastmlp.training.checkpoints.document import SavedTraining
from fastmlp.training.checkpoints.fingerprint import Fingerprint
from fastmlp.training.lbfgs import minimize
from fastmlp.training.trainer import Trainer


def run_solver(
    estimator: Any,
    train: Rows,
    validator: Validator | None,
    tasks: SklearnTasks,
    *,
    chosen: NDArray[np.intp] | None,
    incremental: bool,
    random_state: np.random.RandomState,
    fingerprint: Fingerprint | None,
    saved: SavedTraining | None,
) -> None:
    """Train an estimator that has been started, by its solver; its records are written.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    train : Rows
        Checked.
    validator : Validator or None
    tasks : SklearnTasks
    chosen : ndarray of int or None
        The rows to train on, if not all.
    incremental : bool
        One epoch, from the optimizer's state as it is.
    random_state : RandomState
        Source of the shuffling.
    fingerprint : Fingerprint or None
        What checkpoints are compared by; None in partial_fit.
    saved : SavedTraining or None
        The checkpoint to continue from.

    Raises
    ------
    DivergenceError, ValueError
        Where loss or weights are not finite any more; with early stopping, after the first epoch, a
        warning instead.
    """
    own = own_callbacks(estimator)
    if incremental and any(isinstance(call, Checkpoint) for call in own):
        raise ValueError(
            "a Checkpoint goes with fit, not with partial_fit: fastmlp.save keeps the estimator "
            "between two calls, with the optimizer's state"
        )
    stochastic = estimator.solver in STOCHASTIC_SOLVERS
    n_rows = len(train.x) if chosen is None else len(chosen)
    trainer = _trainer(estimator, n_rows, incremental=incremental, random_state=random_state)
    with Report(estimator.verbose) as report:
        book = Bookkeeper(
            estimator,
            trainer,
            n_rows if stochastic else 0,
            validator=validator,
            report=report,
            loss_scale=estimator._loss_scale(),
            has_accuracy=stochastic and estimator._has_accuracy(),
        )
        others: list[EpochCallback] = [tasks, *own]
        if stochastic:
            _run_stochastic(
                estimator, trainer, train, book, others, chosen=chosen, incremental=incremental,
                fingerprint=fingerprint, saved=saved,
            )  # fmt: skip
        else:
            _run_lbfgs(estimator, trainer, train, [book, *others], fingerprint, saved)


def _trainer(
    estimator: Any, n_rows: int, *, incremental: bool, random_state: np.random.RandomState
) -> Trainer:
    """A new trainer; in partial_fit the last one, or one with its optimizer's states."""
    stochastic = estimator.solver in STOCHASTIC_SOLVERS
    batch_size = rows_per_batch(estimator.batch_size if stochastic else "auto", n_rows)
    settings = trainer_settings(estimator, estimator._output_and_loss()[1], batch_size)
    network = estimator._weights.network
    last = estimator._training if incremental else None
    if isinstance(last, Training) and last.fits(settings, network):
        trainer = last.trainer
    else:
        rng = np.random.default_rng(random_state.randint(2**31 - 1))
        trainer = Trainer(network, **settings, random_state=rng)
        if last is not None:
            last.hand_over(trainer)
    if last is None or not last.has_parameters_of(estimator):
        estimator._training = Training(trainer, settings, estimator.get_params(deep=False))
    return trainer


def _run_stochastic(
    estimator: Any,
    trainer: Trainer,
    train: Rows,
    book: Bookkeeper,
    others: Sequence[EpochCallback],
    *,
    chosen: NDArray[np.intp] | None,
    incremental: bool,
    fingerprint: Fingerprint | None,
    saved: SavedTraining | None,
) -> None:
    """Epochs, until there is no more improvement."""
    monitor = "loss"
    if estimator.early_stopping:
        monitor = "val_score" if estimator.monitor is None else estimator.monitor
        check_choice("monitor", monitor, book.names)
    if monitor != estimator._monitored:
        estimator._watch(monitor)
    estimator._plateau.tol, estimator._plateau.patience = estimator.tol, estimator.n_iter_no_change
    if not incremental:
        # scikit-learn goes on counting, so that a warm start after convergence ends at once.
        estimator._plateau.count = 0
    progress = Progress(
        estimator,
        estimator._plateau,
        monitor=monitor,
        keeps_best=estimator.early_stopping,
        report=book.report,
    )
    try:
        stopped = trainer.train(
            train,
            row_index=chosen,
            n_epochs=1 if incremental else estimator.max_iter,
            callbacks=[book, progress, *others],
            resume=incremental,
            horizon=estimator.max_iter,
            fingerprint=fingerprint,
            saved=saved,
        )
    except DivergenceError as error:
        if not estimator.early_stopping or estimator.best_epoch_ is None:
            raise  # there are no best weights to go back to
        _note_divergence(estimator, error)
    else:
        if not (stopped or incremental or estimator.learning_rate in ENDING_RATES):
            warn(
                f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
            )


def _note_divergence(estimator: Any, error: DivergenceError) -> None:
    """With early stopping there are best weights to go back to: warn instead of raising."""
    estimator.n_iter_ += 1
    estimator.loss_ = np.nan
    estimator.loss_curve_.append(np.nan)
    assert estimator.validation_scores_ is not None
    estimator.validation_scores_.append(np.nan)
    append_row(estimator.history_, {"loss": np.nan, "learning_rate": error.learning_rate})
    warn(
        f"{error} With early_stopping the weights of epoch {estimator.best_epoch_} are put back.",
        ConvergenceWarning,
    )


def _run_lbfgs(
    estimator: Any,
    trainer: Trainer,
    train: Rows,
    calls: list[EpochCallback],
    fingerprint: Fingerprint | None,
    saved: SavedTraining | None,
) -> None:
    """Iterations on all rows at once."""
    result = minimize(
        trainer, train, max_iter=estimator.max_iter, max_fun=estimator.max_fun, gtol=estimator.tol,
        callbacks=calls, fingerprint=fingerprint, saved=saved,
    )  # fmt: skip
    estimator._training = None
    if not np.isfinite(result.fun):
        raise ValueError(
            f"lbfgs diverged after {estimator.n_iter_} iteration(s): the loss is {result.fun}. "
            "Scale X (to mean 0 and variance 1) and y. The last finite weights are kept."
        )
    estimator.n_iter_ = min(int(result.nit), estimator.max_iter)
    penalty = trainer.objective.penalty_share(train)
    loss = float(result.fun - penalty) / estimator._loss_scale() + penalty
    estimator.loss_ = estimator.best_loss_ = loss
    if result.status != 0:
        warn(
            f"lbfgs failed to converge after {estimator.n_iter_} iteration(s) "
            f"(status={result.status}): {result.message} Increase max_iter "
            f"({estimator.max_iter}) or max_fun ({estimator.max_fun}), or scale the data.",
            ConvergenceWarning,
        )
