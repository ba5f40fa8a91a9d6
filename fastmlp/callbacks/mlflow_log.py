"""MLflowLog: the numbers of a run for MLflow."""

from __future__ import annotations

import math
import sys
import time
import warnings
from typing import Any

from fastmlp._checks import check_string
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import Training

MAX_PENDING, PERIOD = 900, 1.0
"""A request to the server has at most 1000 numbers; at least so many seconds are between two."""


class MLflowLog(EpochCallback):
    """Log every number of ``training.metrics`` after every epoch to a run of MLflow.

    For a `Trainer`, a `MyANN`, an estimator or a `CNN`. As MLflow's callback for Keras does, it
    takes the names of the metrics as they are, and counts steps from 0: the number of finished
    epochs minus 1. They are sent about once a second, and at the end, because one request takes
    longer than many an epoch. Needs the package mlflow or mlflow-skinny.

    Parameters
    ----------
    run_id : str or None
        The run to log to. None: the one that is active when training begins; without one a run is
        started, and ended with the training run.

    Raises
    ------
    ImportError
        If MLflow is missing, with the command that installs it.

    Warns
    -----
    UserWarning
        If MLflow cannot store the numbers: training continues, and they are sent again with those
        of later epochs.

    Examples
    --------
    >>> def train(X, y):
    ...     clf = MLPClassifier().set_callbacks(MLflowLog())
    ...     with mlflow.start_run():
    ...         mlflow.log_params(clf.get_params())
    ...         clf.fit(X, y)
    ...         trusted = ["fastmlp.estimators.MLPClassifier"]
    ...         mlflow.sklearn.log_model(clf, name="model", skops_trusted_types=trusted)
    """

    __module__ = "fastmlp.callbacks"  # the public address, so that pickles survive moves

    def __init__(self, run_id: str | None = None) -> None:
        self.run_id = None if run_id is None else check_string("run_id", run_id)
        self._forget()

    def _forget(self) -> None:
        self._client: Any = None
        self._pending: list[Any] = []
        self._run_id, self._own_run, self._has_warned = self.run_id, False, False

    def settings(self) -> None:
        """Return None: it has no influence on the run."""

    def before_training(self, training: Training) -> None:
        """Find the run of MLflow, or start one."""
        try:
            import mlflow
        except ImportError as error:
            raise ImportError(
                "MLflowLog needs MLflow: pip install mlflow-skinny", name=error.name
            ) from error
        self._forget()
        self._client = mlflow.MlflowClient()
        self._error_before = sys.exception()
        if self._run_id is None:
            self._own_run = mlflow.active_run() is None
            run = mlflow.start_run() if self._own_run else mlflow.active_run()
            self._run_id = run.info.run_id
        self._last_sent = time.monotonic()

    def after_epoch(self, training: Training) -> None:
        """Note the epoch's numbers that were measured, and send them if it is time."""
        from mlflow.entities import Metric

        now, step = time.time_ns() // 1_000_000, training.epochs_done - 1
        self._pending += [
            Metric(name, float(value), now, step)
            for name, value in training.metrics.items()
            if not math.isnan(value)
        ]
        if len(self._pending) > MAX_PENDING or time.monotonic() - self._last_sent > PERIOD:
            self._send()

    def _send(self) -> None:
        from mlflow.exceptions import MlflowException

        self._last_sent = time.monotonic()
        try:
            while self._pending:
                self._client.log_batch(self._run_id, metrics=self._pending[:MAX_PENDING])
                del self._pending[:MAX_PENDING]
        except (MlflowException, OSError) as error:
            if not self._has_warned:
                warnings.warn(f"MLflow cannot store the numbers of a run: {error}", stacklevel=2)
            self._has_warned = True

    def after_training(self, training: Training) -> None:
        """Send what is left, and end a run that was started here."""
        failed = sys.exception() is not self._error_before
        try:
            self._send()
        finally:
            if self._own_run:
                import mlflow

                mlflow.end_run("FAILED" if failed else "FINISHED")
            self._forget()
