"""A linear model of the same inputs, to say where the networks are no better than one."""

from __future__ import annotations

import numpy as np

from fastmlp._types import Array
from fastmlp.engine.rows import Inputs, Rows
from fastmlp.losses import Loss
from fastmlp.network.network import Network
from fastmlp.tables.members import Job
from fastmlp.training.lbfgs import minimize
from fastmlp.training.trainer import Trainer

MIN_ROWS = 400
"""With fewer rows scores differ by chance more than by what is called the same."""

MAX_TRAINING_ROWS = 2000
"""More rows hardly change a linear model, but cost time."""

SAME_SCORE, SAME_SHARE = 0.01, 0.98
"""As good is a score that is at most so much lower, and at least this share of what the networks
explain: of the difference between a constant's loss and theirs."""

MAX_ITER = 20


class LinearModels:
    """Trains a linear model beside every member, on its rows, and predicts those it holds out.

    Ridge or logistic regression by L-BFGS, with the penalty ``|W|^2 / 2`` beside the sum of the
    losses, scikit-learn's default. The inputs are the member's without bins, of at most
    ``MAX_TRAINING_ROWS`` rows.

    Parameters
    ----------
    output : str
        Output function of the members: "identity", "sigmoid" or "softmax".
    loss : Loss
        Of the members.
    dtype : str

    Attributes
    ----------
    outputs : dict of int to ndarray
        For the number of every member the outputs for its held-out rows, (n, n_outputs).
    """

    def __init__(self, output: str, loss: Loss, dtype: str) -> None:
        self.output, self.loss, self.dtype = output, loss, dtype
        self.outputs: dict[int, Array] = {}

    def __call__(self, number: int, job: Job) -> None:
        """Train beside a member that has been trained on a job."""
        if job.held_out is None:
            return
        step = -(-len(job.row_index) // MAX_TRAINING_ROWS)
        index = job.row_index[::step]
        weights = job.rows.weights
        rows = Rows(
            _without_bins(job, np.asarray(job.rows.x)[index]),
            job.rows.y[index],
            None if weights is None else weights[index],
        )
        network = self.fit(rows)
        self.outputs[number] = network.predict(_without_bins(job, job.held_out.x))

    def fit(self, rows: Rows) -> Network:
        """Return a network without hidden layers, trained on some rows."""
        network = Network(
            (rows.x.shape[1], rows.y.shape[1]), output=self.output, dtype=self.dtype, random_state=0
        )
        network.parameters[...] = 0
        trainer = Trainer(
            network, loss=self.loss, reduction="mean", l2=1 / len(rows.x), n_threads=1
        )
        minimize(trainer, rows, max_iter=MAX_ITER, max_fun=2 * MAX_ITER, gtol=3e-4)
        return network


def _without_bins(job: Job, inputs: Inputs) -> Array:
    x = np.asarray(inputs)
    bins = job.features.bin_columns
    if bins.start == bins.stop:
        return x
    plain: Array = np.concatenate((x[:, : bins.start], x[:, bins.stop :]), axis=1)
    return plain if plain.shape[1] else np.zeros((len(x), 1), x.dtype)
