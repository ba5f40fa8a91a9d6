"""Data of the jobs: globally standardized images, or random rows from a fixed seed, some sparse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastmlp import datasets
from fastmlp._types import Array
from fastmlp.bench.adapters.job import Data, Job

N_TEST_ROWS = 10_000
TEACHER_WIDTH = 8
MAX_HIDDEN_VARIABLES = 16
NOISE = np.float32(0.1)
"""Standard deviation of the noise added to every feature; that of the features is 1."""

SEED = 2024


def load(job: Job, mnist: Path | None) -> Data:
    """Return the rows of a job in its dtype; random rows instead of MNIST if `mnist` names no file.

    Predictions get their n_rows rows drawn at random, as x_test; nothing is trained then.
    """
    rows = _load(job, mnist)
    return rows._replace(
        x_train=rows.x_train.astype(job.dtype, copy=False),
        y_train=rows.y_train.astype(job.dtype, copy=False),
        x_test=rows.x_test.astype(job.dtype, copy=False),
    )


def _load(job: Job, mnist: Path | None) -> Data:
    if job.n_values is not None:
        return sparse_rows(job, job.n_values)
    if job.kind != "predict" and job.data == "digits":
        return load_images("digits", job, "digits")
    if job.kind == "predict" or job.data == "random" or mnist is None:
        return random_rows(job)
    return load_images(mnist, job, "mnist")


def load_images(name: str | Path, job: Job, source: str) -> Data:
    """The first n_rows training rows and all test rows of "digits", an npz file or an IDX folder.

    Pixels are shifted and scaled by one mean and one deviation, those of the training rows used.
    A regression is to find the label as a number.
    """
    found = datasets.load(name)
    x_train, labels = found.X_train[: job.n_rows], found.y_train[: job.n_rows]
    mean, deviation = float(x_train.mean()), float(x_train.std(dtype=np.float32))
    return Data(
        x_train=_scaled(x_train, mean, deviation),
        y_train=_numbers(labels) if job.regression else _one_hot(labels, found.y_train.max() + 1),
        x_test=_scaled(found.X_test, mean, deviation),
        labels_test=found.y_test,
        source=source,
    )


def random_rows(job: Job) -> Data:
    """Rows of few hidden variables, labeled by a small random network of these.

    Everything follows from one seed, so all contenders see the same rows. The hidden variables are
    normal, turned into the space of the features, and disturbed a little; like images, the rows
    have fewer degrees of freedom than features. A class is the largest of the network's outputs,
    each shifted to have a median of 0 over the rows, so that all classes are common; one output for
    classes separates two. A regression is to find the output itself.
    """
    rng = np.random.default_rng(SEED)
    n_in = job.sizes[0]
    n_out = job.sizes[-1] if job.regression else max(job.sizes[-1], 2)
    n_hidden = min(MAX_HIDDEN_VARIABLES, n_in)
    turn = np.linalg.qr(rng.standard_normal((n_in, n_hidden)))[0].T.astype(np.float32)
    first = rng.standard_normal((n_hidden, TEACHER_WIDTH), np.float32) / np.sqrt(n_hidden)
    last = rng.standard_normal((TEACHER_WIDTH, n_out), np.float32)
    n_test = job.n_rows if job.kind == "predict" else N_TEST_ROWS
    n_train = n_out if job.kind == "predict" else job.n_rows
    hidden = rng.standard_normal((n_test + n_train, n_hidden), np.float32)
    scores = np.tanh(hidden @ first.astype(np.float32)) @ last
    if job.regression:
        labels, y = scores[:, 0], _numbers(scores[:, 0])
    else:
        labels = (scores - np.median(scores, axis=0)).argmax(axis=1)
        y = _one_hot(labels, n_out)
    x = rng.standard_normal((n_test + n_train, n_in), np.float32)
    x *= NOISE
    x += hidden @ (turn * np.float32(np.sqrt(n_in / n_hidden)))
    return Data(
        x_train=x[n_test:],
        y_train=y[n_test:],
        x_test=x[:n_test],
        labels_test=labels[:n_test],
        source="random",
    )


def sparse_rows(job: Job, n_values: int) -> Data:
    """CSR with n_values numbers of [0, 1) in random columns of each row, and two classes.

    The class says on which side of their median the values lie, each weighted with a normal number
    of its column.
    """
    rng = np.random.default_rng(SEED)
    n_columns = job.sizes[0]
    n_rows = N_TEST_ROWS + job.n_rows
    # A column that is drawn twice would be stored twice: one column from each of n_values parts.
    bounds = np.linspace(0, n_columns, n_values + 1).astype(np.int32)
    columns = rng.integers(bounds[:-1], bounds[1:], (n_rows, n_values), dtype=np.int32)
    values = rng.random((n_rows, n_values), np.float32)
    scores = (values * rng.standard_normal(n_columns, np.float32)[columns]).sum(axis=1)
    labels = (scores > np.median(scores)).astype(np.intp)
    begins = np.arange(0, values.size + 1, n_values, dtype=np.int32)
    x = csr_array((values.ravel(), columns.ravel(), begins), (n_rows, n_columns))
    return Data(
        x_train=x[N_TEST_ROWS:],
        y_train=_one_hot(labels[N_TEST_ROWS:], 2),
        x_test=x[:N_TEST_ROWS],
        labels_test=labels[:N_TEST_ROWS],
        source="sparse",
    )


def _one_hot(labels: NDArray[Any], n_classes: int) -> Array:
    """(n, n_classes) float32 of labels (n,)."""
    rows: Array = np.eye(n_classes, dtype=np.float32)[labels]
    return rows


def _numbers(labels: NDArray[Any]) -> Array:
    """(n, 1) float32 of labels or numbers (n,)."""
    column: Array = labels.astype(np.float32)[:, np.newaxis]
    return column


def _scaled(images: NDArray[Any], mean: float, deviation: float) -> Array:
    """(images - mean) / deviation as (n, pixels) float32, one row per image."""
    rows: Array = images.reshape(len(images), -1).astype(np.float32)
    rows -= np.float32(mean)
    rows /= np.float32(deviation)
    return rows
