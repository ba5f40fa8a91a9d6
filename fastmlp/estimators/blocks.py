"""Blocks of epochs: a fit to few rows, several epochs in one call of the engine.

A network of a few nodes takes longer to call than to train: 5 µs an epoch of 60 rows, in calls of
60 µs. Where one batch has all rows and nothing happens between two epochs but counting them, the
epochs up to the earliest possible end of the fit are one call: the engine gets the rows as many
times over, in their order, and an epoch is a batch of these. Arithmetic, and therefore all bits,
are those of single epochs.
"""

from __future__ import annotations

import math
import time

import numpy as np

from fastmlp.data.reader import Window
from fastmlp.engine.rows import Rows, first_rows
from fastmlp.estimators.fit import Fit
from fastmlp.estimators.parameters import SCHEDULED_RATES
from fastmlp.exceptions import DivergenceError
from fastmlp.losses import CustomLoss
from fastmlp.training.batches import train_batches
from fastmlp.training.epoch import N_MEASURES, Epoch, EpochRecord
from fastmlp.training.loop import CHECKED_ROWS, check_outputs
from fastmlp.training.trainer import Trainer

MOST_ROWS = 1 << 16
"""Largest number of row indices in a call: half a megabyte."""


def can_run_in_blocks(fit: Fit, trainer: Trainer) -> bool:
    """Return whether nothing depends on the end of every single epoch.

    That is: a fit with a constant learning rate whose batch has all rows, without callbacks,
    validation rows, checkpoints, display, dropout and custom losses.
    """
    parameters = fit.parameters
    observed = fit.callbacks or fit.validator or fit.fingerprint or parameters.verbose
    if fit.incremental or observed or fit.row_index is not None or any(trainer.dropout):
        return False
    follows = parameters.learning_rate in SCHEDULED_RATES or parameters.warmup
    adapts = parameters.solver != "adam" and parameters.learning_rate != "constant"
    is_custom = isinstance(trainer.loss_function, CustomLoss)
    is_dense = isinstance(fit.train, Rows) and isinstance(fit.train.x, np.ndarray)
    return is_dense and trainer.batch_size == fit.n_rows and not (follows or adapts or is_custom)


class EpochBlocks:
    """The epochs of a fit that `can_run_in_blocks`.

    Parameters
    ----------
    fit : Fit
        Its record is written after every block, and before an exception.
    trainer : Trainer
        Its network is trained in place.
    has_accuracy : bool
        Whether `history_` has a column "accuracy".
    """

    def __init__(self, fit: Fit, trainer: Trainer, *, has_accuracy: bool) -> None:
        self.fit, self.trainer, self.record = fit, trainer, fit.record
        self.has_accuracy, self.n_rows = has_accuracy, fit.n_rows
        self.n_done = 0
        self._last: EpochRecord | None = None
        longest = max(1, min(fit.parameters.max_iter, MOST_ROWS // self.n_rows))
        self.order = np.tile(np.arange(self.n_rows), min(longest, self._until_earliest_end()))

    def run(self) -> bool:
        """Train until the loss no longer improves, or `max_iter` epochs are done.

        Returns
        -------
        bool
            Whether the loss no longer improves.

        Raises
        ------
        DivergenceError, KeyboardInterrupt
            As from `Trainer.train`.
        """
        trainer, n_epochs = self.trainer, self.fit.parameters.max_iter
        trainer.reset_optimizer()
        trainer.horizon, trainer.order = n_epochs, None
        longest = len(self.order) // self.n_rows
        try:
            with trainer.objective.blas_guard():
                while self.n_done < n_epochs and not self.record.plateau.is_over:
                    left = n_epochs - self.n_done
                    self._train(min(left, longest, self._until_earliest_end()))
        finally:
            self._note_epochs()
        check_outputs(trainer, first_rows(self.fit.rows.x, CHECKED_ROWS))
        return self.record.plateau.is_over

    def _until_earliest_end(self) -> int:
        """Return the number of epochs after which the fit can end, at the earliest."""
        plateau = self.record.plateau
        if plateau.patience >= MOST_ROWS:
            return MOST_ROWS
        return max(1, math.floor(plateau.patience) + 1 - plateau.count)

    def _train(self, n_epochs: int) -> None:
        trainer = self.trainer
        block = Epoch(
            learning_rate=trainer.learning_rate,
            order_seed=None,
            dropout_seed=0,
            n_steps_before=trainer.n_steps,
            measures=np.zeros((N_MEASURES, n_epochs)),
        )
        order = self.order[: n_epochs * self.n_rows]
        start = time.perf_counter()
        is_finite = True
        try:
            window = Window(self.fit.rows, order, 0)
            is_finite = train_batches(trainer, window, block, n_epochs)
        finally:
            if block.n_done:
                self._record(block, time.perf_counter() - start)
        if not is_finite:
            self._note_epochs()
            number = trainer.epochs_done
            trainer.reset_optimizer()  # its states may be infinite
            raise DivergenceError(epoch=number, batch=0, learning_rate=block.learning_rate)

    def _record(self, block: Epoch, seconds: float) -> None:
        """Write the numbers of all finished epochs of a block, and count those without progress."""
        n_done, n_rows, record = block.n_done, self.n_rows, self.record
        measures = block.measures[:, :n_done] * n_rows / n_rows  # rounded as a mean over the rows
        costs, penalties, _, accuracies = measures
        losses = costs - penalties
        losses = losses / self.fit.loss_scale + (costs - losses)
        columns = {"loss": losses}
        if self.has_accuracy:
            columns["accuracy"] = accuracies
        columns["learning_rate"] = np.full(n_done, block.learning_rate)
        columns["seconds"] = np.full(n_done, seconds / n_done)
        before = len(record.loss_curve)
        record.add_epochs({name: values.tolist() for name, values in columns.items()}, n_rows)
        for epoch, loss in enumerate(record.loss_curve[before:], before):
            if record.plateau.update(-loss):
                record.best_epoch, record.best_loss = epoch, loss
        self.n_done += n_done
        costs, penalties, errors, accuracies = block.measures[:, n_done - 1 : n_done]
        rows, rate = np.array([n_rows]), block.learning_rate
        self._last = EpochRecord(costs, penalties, errors, accuracies, rows, rate, seconds / n_done)

    def _note_epochs(self) -> None:
        """Set what the trainer knows of its epochs."""
        if self._last is not None:
            self.trainer.note_epoch(self._last, n_epochs=self.n_done)
            history = self.record.history
            self.trainer.metrics = {name: column[-1] for name, column in history.items()}
            self._last = None
