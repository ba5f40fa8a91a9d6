"""What the jobs are done on: MNIST, standardized as a whole, or random rows from a fixed seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastmlp import datasets

from .adapters import Array, Data, Job

N_TEST_ROWS = 10_000
TEACHER_WIDTH = 8
MAX_HIDDEN_VARIABLES = 16
NOISE = np.float32(0.1)
"""Deviation of what is added to every feature; the features' own is 1."""

SEED = 2024


def load(job: Job, mnist: Path | None) -> Data:
    """The rows of a job; random ones in place of MNIST where `mnist` names no file.

    Predictions get their n_rows rows drawn at random, as x_test; nothing is trained then.
    """
    if job.kind == "predict" or job.data == "random" or mnist is None:
        return random_rows(job)
    return load_mnist(mnist, job.n_rows)


def load_mnist(path: Path, n_rows: int) -> Data:
    """The first n_rows training rows and all test rows of an npz file or folder of IDX files.

    Pixels are shifted and scaled by one mean and one deviation, those of the training rows used.
    """
    found = datasets.load(path)
    x_train = found.X_train[:n_rows]
    mean, deviation = float(x_train.mean()), float(x_train.std(dtype=np.float32))
    n_classes = int(found.y_train.max()) + 1
    return Data(
        x_train=_scaled(x_train, mean, deviation),
        y_train=np.eye(n_classes, dtype=np.float32)[found.y_train[:n_rows]],
        x_test=_scaled(found.X_test, mean, deviation),
        labels_test=found.y_test,
        source="mnist",
    )


def random_rows(job: Job) -> Data:
    """Rows of few hidden variables, labeled by a small random network of these.

    Everything follows from one seed, so all contenders see the same rows. The hidden variables are
    normal, turned into the space of the features, and disturbed a little; like images, the rows
    have fewer degrees of freedom than features. A class is the largest of the network's outputs,
    each shifted to have a median of 0 over the rows, so that all classes are common.
    """
    rng = np.random.default_rng(SEED)
    n_in, n_out = job.sizes[0], job.sizes[-1]
    n_hidden = min(MAX_HIDDEN_VARIABLES, n_in)
    turn = np.linalg.qr(rng.standard_normal((n_in, n_hidden)))[0].T.astype(np.float32)
    first = rng.standard_normal((n_hidden, TEACHER_WIDTH), np.float32) / np.sqrt(n_hidden)
    last = rng.standard_normal((TEACHER_WIDTH, n_out), np.float32)
    n_test = job.n_rows if job.kind == "predict" else N_TEST_ROWS
    n_train = n_out if job.kind == "predict" else job.n_rows
    hidden = rng.standard_normal((n_test + n_train, n_hidden), np.float32)
    scores = np.tanh(hidden @ first.astype(np.float32)) @ last
    labels = (scores - np.median(scores, axis=0)).argmax(axis=1)
    x = rng.standard_normal((n_test + n_train, n_in), np.float32)
    x *= NOISE
    x += hidden @ (turn * np.float32(np.sqrt(n_in / n_hidden)))
    return Data(
        x_train=x[n_test:],
        y_train=np.eye(n_out, dtype=np.float32)[labels[n_test:]],
        x_test=x[:n_test],
        labels_test=labels[:n_test],
        source="random",
    )


def _scaled(images: Array, mean: float, deviation: float) -> Array:
    """(images - mean) / deviation as (n, pixels) float32, one row per image."""
    rows = images.reshape(len(images), -1).astype(np.float32)
    rows -= np.float32(mean)
    rows /= np.float32(deviation)
    return rows
