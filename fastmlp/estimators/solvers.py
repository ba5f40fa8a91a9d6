"""Solvers of the estimators, which train a network on checked rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastmlp._checks import check_choice
from fastmlp.callbacks.base import Callback
from fastmlp.engine.rows import Rows
from fastmlp.estimators.blocks import EpochBlocks, can_run_in_blocks
from fastmlp.estimators.convergence import Convergence
from fastmlp.estimators.fit import Fit
from fastmlp.estimators.inputs import hint_at_scale
from fastmlp.estimators.parameters import ENDING_RATES, STOCHASTIC_SOLVERS
from fastmlp.estimators.records import FitRecord, FitRecorder
from fastmlp.estimators.settings import LastTrainer, rows_per_batch, trainer_settings
from fastmlp.estimators.verbose import FitDisplay, is_silenced
from fastmlp.estimators.warn import warn
from fastmlp.exceptions import DivergenceError
from fastmlp.training.lbfgs import minimize
from fastmlp.training.trainer import Trainer

SKLEARN_DIVERGENCE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)
"""scikit-learn's message, which begins ours, for code that looks for it."""

FORGETS_CURVATURE = (
    " Every fit begins without the curvature that lbfgs has estimated in the one before, also "
    "with warm_start: one fit with a large max_iter converges faster than a loop of short fits; "
    "for work between iterations, use a callback."
)

FEW_UPDATES = 1000
"""Fewer updates of the weights are named in the warning about a fit that has not converged."""

EARLY, ENOUGH = 10, 0.95
"""A best epoch before the tenth is early; a loss below 0.95 of its loss is lower."""


def run_solver(fit: Fit, *, end_of_epoch: bool = True) -> None:
    """Train the network of the record with the estimator's solver.

    With ``end_of_epoch=False``, the schedule's epoch stays.

    Raises
    ------
    DivergenceError, ValueError
        If the loss or a weight becomes NaN or infinite; with early stopping, after the first epoch,
        this is a warning instead.

    Warns
    -----
    ConvergenceWarning
        As described in `fit`.
    UserWarning
        In partial_fit, about calls that a schedule counts as epochs.
    """
    stochastic = fit.parameters.solver in STOCHASTIC_SOLVERS
    trainer = _trainer(fit, stochastic=stochastic)
    if stochastic and can_run_in_blocks(fit, trainer):
        _convergence(fit, _monitor(fit, ["loss"]), None)
        blocks = EpochBlocks(fit, trainer, has_accuracy=fit.has_accuracy)
        _run_stochastic(fit, trainer, blocks.run)
        return
    recorder = FitRecorder(
        fit.record,
        trainer,
        fit.n_rows if stochastic else 0,
        validator=fit.validator,
        loss_scale=fit.loss_scale,
        has_accuracy=stochastic and fit.has_accuracy,
    )
    shows = fit.parameters.verbose and not is_silenced()
    display = FitDisplay(fit.record) if shows else None
    records: list[Callback] = [recorder] if display is None else [recorder, display]
    others: list[Callback] = [lambda _: fit.publish(), *fit.callbacks]
    if stochastic:
        if fit.incremental:
            fit.record.calls.check(
                fit.parameters, fit.rows.x, trainer.epochs_done, end_of_epoch=end_of_epoch
            )
        monitor = _monitor(fit, recorder.names)
        convergence = _convergence(fit, monitor, None if display is None else display.show)
        epochs = partial(
            _train_by_epochs,
            fit,
            trainer,
            [*records, convergence, *others],
            end_of_epoch=end_of_epoch,
        )
        _run_stochastic(fit, trainer, epochs)
    else:
        _run_lbfgs(fit, trainer, [*records, *others])


def _trainer(fit: Fit, *, stochastic: bool) -> Trainer:
    """Return a new trainer; in partial_fit, the last one or one with its optimizer state."""
    parameters, record = fit.parameters, fit.record
    batch_size = rows_per_batch(parameters.batch_size if stochastic else "auto", fit.n_rows)
    settings = trainer_settings(parameters, fit.loss, batch_size)
    network = record.weights.network
    last = record.last if fit.incremental else None
    if isinstance(last, LastTrainer) and last.fits(settings, network):
        trainer = last.trainer
        if last.has_parameters(vars(parameters)):
            return trainer
    else:
        state = record.optimizer_state if fit.incremental else None
        rng = None if state is None else state.rng()
        if rng is None:
            rng = np.random.default_rng(fit.random_state.randint(2**31 - 1))
        trainer = Trainer(network, **settings, random_state=rng)
        if state is not None:
            state.hand_over(trainer)
    record.last = LastTrainer(trainer, settings, parameters.get_params(deep=False))
    return trainer


def _monitor(fit: Fit, names: Sequence[str]) -> str:
    """Return the name of the monitored value."""
    if not fit.parameters.early_stopping:
        return "loss"
    monitor = fit.parameters.monitor
    return check_choice("monitor", "val_score" if monitor is None else monitor, names)


def _convergence(fit: Fit, monitor: str, show: Callable[[str], object] | None) -> Convergence:
    """Return the convergence rules of this fit, and set the monitored value of the record."""
    parameters, record = fit.parameters, fit.record
    if monitor != record.monitor:
        record.watch(monitor, parameters)
    record.plateau.tol, record.plateau.patience = parameters.tol, parameters.n_iter_no_change
    if not fit.incremental:
        # scikit-learn keeps counting, so that a warm start after convergence stops at once.
        record.plateau.count = 0
    return Convergence(record, parameters, show)


def _train_by_epochs(
    fit: Fit, trainer: Trainer, callbacks: Sequence[Callback], *, end_of_epoch: bool
) -> bool:
    """Run epochs one by one; return whether a callback has ended the run."""
    return trainer.train(
        fit.train,
        row_index=fit.row_index,
        n_epochs=1 if fit.incremental else fit.parameters.max_iter,
        callbacks=callbacks,
        resume=fit.incremental,
        end_of_epoch=end_of_epoch,
        horizon=fit.parameters.max_iter,
        fingerprint=fit.fingerprint,
        saved=fit.saved,
    )


def _run_stochastic(fit: Fit, trainer: Trainer, run_epochs: Callable[[], bool]) -> None:
    """Run epochs until there is no further improvement.

    Parameters
    ----------
    run_epochs : callable
        Trains, and returns whether it was stopped before `max_iter` epochs.
    """
    parameters = fit.parameters
    try:
        stopped = run_epochs()
    except DivergenceError as error:
        if not parameters.early_stopping or fit.record.best_epoch is None:
            # There are no best weights to restore.
            raise DivergenceError(
                epoch=error.epoch,
                batch=error.batch,
                learning_rate=error.learning_rate,
                cause=error.cause,
                preface=SKLEARN_DIVERGENCE,
            ) from None
        _note_divergence(fit.record, error)
    else:
        if not (stopped or fit.incremental or parameters.learning_rate in ENDING_RATES):
            warn(
                f"Stochastic Optimizer: Maximum iterations ({parameters.max_iter}) reached and the "
                "optimization hasn't converged yet." + _about_updates(trainer) + _hint(fit),
                ConvergenceWarning,
            )
        if stopped:
            _warn_of_early_end(fit.record)


def _about_updates(trainer: Trainer) -> str:
    """Return a sentence about few updates of the weights, "" for many."""
    n = trainer.n_steps
    if n >= FEW_UPDATES:
        return ""
    return f" There were {n} updates of the weights; a smaller batch_size makes more per epoch."


def _warn_of_early_end(record: FitRecord) -> None:
    """Warn if a score has chosen an early epoch although the validation loss went on falling."""
    losses, best = record.history.get("val_loss", []), record.best_epoch
    if record.monitor != "val_score" or best is None or best + 1 >= len(losses):
        return
    epoch = best - (len(losses) - record.n_iter)  # of this fit; earlier ones are in the history
    lowest = min(losses[best + 1 :])
    if 0 <= epoch < EARLY and lowest < ENOUGH * losses[best]:
        warn(
            f"early_stopping has kept the weights of epoch {epoch}, the best by validation score, "
            f"but the validation loss went on falling, from {losses[best]:.4g} to {lowest:.4g}. "
            'monitor="val_loss" is safer.',
            ConvergenceWarning,
        )


def _hint(fit: Fit) -> str:
    """Return what may help a fit that has not converged."""
    reaches_slowly = fit.record.architecture.output in ("identity", "increasing")
    is_known = reaches_slowly and isinstance(fit.train, Rows)
    return hint_at_scale(fit.rows.y) if is_known else ""


def _note_divergence(record: FitRecord, error: DivergenceError) -> None:
    """Warn instead of raising: with early stopping the best weights have been restored."""
    row = {"loss": np.nan, "learning_rate": error.learning_rate, "val_score": np.nan}
    record.add_epoch(row, n_rows=0)
    warn(
        f"{error} With early_stopping the best weights (epoch {record.best_epoch}) are restored.",
        ConvergenceWarning,
    )


def _run_lbfgs(fit: Fit, trainer: Trainer, callbacks: Sequence[Callback]) -> None:
    """Run iterations on all rows at once."""
    parameters, record = fit.parameters, fit.record
    result = minimize(
        trainer,
        fit.rows,
        max_iter=parameters.max_iter,
        max_fun=parameters.max_fun,
        gtol=parameters.tol,
        callbacks=callbacks,
        fingerprint=fit.fingerprint,
        saved=fit.saved,
    )
    record.last = None
    if not np.isfinite(result.fun):
        raise ValueError(
            f"{SKLEARN_DIVERGENCE} lbfgs diverged after {record.n_iter} iteration(s): "
            f"the loss is {result.fun}. Scale X (to mean 0 and variance 1) and y. "
            "The last finite weights are kept."
        )
    record.n_iter = min(int(result.nit), parameters.max_iter)
    penalty = trainer.objective.penalty_share(fit.rows)
    record.loss = record.best_loss = float(result.fun - penalty) / fit.loss_scale + penalty
    if result.status != 0:
        warn(
            f"lbfgs failed to converge after {record.n_iter} iteration(s) "
            f"(status={result.status}): {result.message} Increase max_iter "
            f"({parameters.max_iter}) or max_fun ({parameters.max_fun}), or scale the data."
            + (FORGETS_CURVATURE if parameters.warm_start else ""),
            ConvergenceWarning,
        )
