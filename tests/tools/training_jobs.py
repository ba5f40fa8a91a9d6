"""Trainings of a tenth of a second that are killed and resumed, of every kind there is.

Each is a function of its checkpoint's folder (or None), the path to resume from (or None) and the
number of threads, and returns everything that must be the same after a kill.
"""

from __future__ import annotations

import copy
import warnings

import numpy as np

import fastmlp
from fastmlp import Checkpoint, MyANN, Network, Trainer
from fastmlp.callbacks.scheduler import LearningRateScheduler
from fastmlp.callbacks.stopping import EarlyStopping
from fastmlp.optimizers import Adam, AdamW, RMSprop

EVERY = "0.005s"
N_ROWS, N_FEATURES, N_CLASSES = 900, 12, 3


def data(dtype="float32"):
    """Rows that a network learns in some epochs (n, 12), and their labels (n,)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N_ROWS, N_FEATURES))
    labels = (x @ rng.normal(size=(N_FEATURES, N_CLASSES)) + rng.normal(size=(N_ROWS, 1))).argmax(1)
    return x.astype(dtype), labels


def checkpoints(folder, every=EVERY):
    return [] if folder is None else [Checkpoint(folder, every=every)]


def of_trainer(
    *,
    sizes=(N_FEATURES, 40, 25, N_CLASSES),
    n_epochs=14,
    sparse=False,
    callbacks=list,
    dtype="float32",
    **options,
):
    """A job of a Trainer; `callbacks` makes those that it has besides."""

    def job(folder, resume, n_threads, every=EVERY):
        x, labels = data(dtype)
        y = np.eye(N_CLASSES, dtype=dtype)[labels]
        if sparse:
            from scipy.sparse import csr_array

            x = csr_array(np.where(np.abs(x) > 1, x, 0))
        network = Network(sizes, activation="tanh", output="softmax", dtype=dtype, random_state=3)
        settings = dict(reduction="mean", batch_size=64, learning_rate=0.01) | options
        trainer = Trainer(network, random_state=4, n_threads=n_threads, **settings)
        history = trainer.fit(
            x,
            y,
            n_epochs=n_epochs,
            validation_data=(x[:200], y[:200]),
            resume=resume,
            sample_weight=np.linspace(0.5, 2, N_ROWS),
            callbacks=[*callbacks(), *checkpoints(folder, every)],
        )
        records = {name: history[name] for name in history if name != "epoch_seconds"}
        return records | {
            "parameters": network.parameters,
            "states": trainer.states,
            "counts": np.array([trainer.n_steps, trainer.epochs_done]),
            "draw": trainer.rng.integers(2**63, size=2),
        }

    return job


def of_myann(**options):
    """A job of a MyANN, with a stop rule."""

    def job(folder, resume, n_threads, every=EVERY):
        x, labels = data()
        ann = MyANN(
            (x[:700], labels[:700], x[700:], labels[700:]),
            1,
            [0, 30, 0],
            n_nodes_layer_out=0,
            n_epochs=20,
            b_verbose=False,
            learn_rate=0.004,
            random_state=5,
            n_threads=n_threads,
            n_size_mini_batch=50,
            resume=resume,
            callbacks=[EarlyStopping("val_accuracy", patience=4), *checkpoints(folder, every)],
            **options,
        )
        records = {name: ann.history[name] for name in ann.history if name != "epoch_seconds"}
        return records | {"parameters": ann.network.parameters}

    return job


def of_estimator(name, **options):
    """A job of an estimator, through everything that it records."""

    def job(folder, resume, n_threads, every=EVERY):
        x, labels = data()
        parameters = dict(
            hidden_layer_sizes=(30, 20),
            batch_size=60,
            n_threads=n_threads,
            random_state=6,
            max_iter=14,
            n_iter_no_change=3,
        )
        model = getattr(fastmlp, name)(**parameters | copy.deepcopy(options))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # most do not converge
            if folder is not None:
                model.set_callbacks(*checkpoints(folder, every))
            model.fit(x, labels, resume=resume)
        records = {f"history.{name}": np.array(column) for name, column in model.history_.items()}
        records.pop("history.seconds")
        best = [
            np.nan if value is None else value
            for value in (model.best_epoch_, model.best_loss_, model.best_validation_score_)
        ]
        return records | {
            "parameters": model.network_.parameters,
            "counts": np.array([model.n_iter_, model.t_]),
            "losses": np.array([*model.loss_curve_, model.loss_, *best], float),
            "scores": np.array(model.validation_scores_ or [], float),
        }

    return job


JOBS = {
    "one_step": of_trainer(momentum=0.1, schedule="cumulative", decay=0.01),
    "classical": of_trainer(momentum=0.9, momentum_rule="classical", warmup=3),
    "nesterov": of_trainer(momentum=0.9, momentum_rule="nesterov", l1=1e-4, schedule="power"),
    "adam": of_trainer(
        optimizer=Adam(),
        dropout=0.2,
        max_grad_norm=0.5,
        callbacks=lambda: [EarlyStopping("val_cost", patience=3)],
    ),
    "adamw": of_trainer(optimizer=AdamW(), schedule="cosine", dropout=(0.1, 0.3), dtype="float64"),
    "rmsprop": of_trainer(
        optimizer=RMSprop(momentum=0.5),
        sparse=True,
        learning_rate=0.001,
        callbacks=lambda: [LearningRateScheduler(lambda _, rate: 0.9 * rate)],
    ),
    "wide": of_trainer(
        sizes=(N_FEATURES, 400, 700, N_CLASSES), n_epochs=3, optimizer="adam", learning_rate=1e-4
    ),
    "numpy": of_trainer(engine="numpy", optimizer="adam", dropout=0.2, n_epochs=8),
    "myann": of_myann(mom_rate=0.5),
    "myann, all at once": of_myann(my_momentum_rule="classical", b_standardize="global"),
    **{
        f"classifier, {solver}": of_estimator(
            "MLPClassifier",
            solver=solver,
            early_stopping=solver not in ("lbfgs", "sgd"),
            learning_rate="adaptive" if solver == "sgd" else "constant",
            tol=1e-2 if solver == "sgd" else 1e-4,
            dropout=0 if solver == "lbfgs" else 0.1,
        )
        for solver in ("sgd", "nesterov", "adam", "adamw", "rmsprop", "lbfgs")
    },
    "regressor, adam": of_estimator("MLPRegressor", random_state=np.random.RandomState(7)),
    "regressor, lbfgs": of_estimator("MLPRegressor", solver="lbfgs", max_iter=60),
}
