"""Jobs of the benchmark: networks, data, training settings, and the measured quantity."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import replace

from fastmlp.bench.adapters.job import Job

N_MNIST, N_DIGITS, N_PIXELS = 60_000, 1_297, 784
HEADLINE_RATES = {32: 0.5 / 32, 500: 0.001, 20_000: 0.0001}
HEADLINE_CHECK_EPOCHS = {32: 3, 500: 5, 20_000: 35}
HEADLINE_BATCHES = tuple(HEADLINE_RATES)
DEFAULT_RATE_PER_ROW = 0.5
DEFAULT_CHECK_EPOCHS = 5


def headline(batch_size: int, n_rows: int = N_MNIST) -> Job:
    """784-70-30-10 on MNIST, all sigmoid, ten binary cross-entropies, plain SGD.

    Batches of 500 and 20000 use the rates of the published runs, 0.001 and 0.0001 for sums: 0.5
    and 2 for means. Any other batch size gets 0.5 for means. With three updates an epoch the
    largest batch needs the published 35 epochs before its accuracy says anything.
    """
    return Job(
        name=f"headline-{batch_size}",
        sizes=(784, 70, 30, 10),
        hidden="sigmoid",
        output="sigmoid",
        loss="log_loss",
        optimizer="sgd",
        learning_rate=HEADLINE_RATES.get(batch_size, DEFAULT_RATE_PER_ROW / batch_size),
        batch_size=batch_size,
        n_rows=n_rows,
        check_epochs=HEADLINE_CHECK_EPOCHS.get(batch_size, DEFAULT_CHECK_EPOCHS),
    )


def _prediction(n_rows: int) -> Job:
    """Outputs of the headline's untrained network, n_rows rows per call."""
    return replace(headline(500), name=f"predict-{n_rows}", kind="predict", n_rows=n_rows)


def _adam(
    name: str, sizes: tuple[int, ...], batch_size: int, n_rows: int, check_epochs: int
) -> Job:
    """Relu, softmax, mean cross-entropy and Adam with its usual rate of 0.001, on MNIST."""
    return Job(
        name=name,
        sizes=sizes,
        hidden="relu",
        output="softmax",
        loss="cross_entropy",
        optimizer="adam",
        learning_rate=0.001,
        batch_size=batch_size,
        n_rows=n_rows,
        check_epochs=check_epochs,
        reduction="mean",
    )


def _tiny(name: str, batch_size: int, check_epochs: int) -> Job:
    """Ten thousand rows of four features; a rate of 0.01 for few updates per epoch."""
    job = _adam(name, (4, 32, 16, 4), batch_size, 10_000, check_epochs)
    return replace(job, data="random", learning_rate=0.01)


STEP_NETWORKS = {"100": (784, 100, 10), "512-256": (784, 512, 256, 10),
                 "1024-1024": (784, 1024, 1024, 10), "6x256": (32, *[256] * 6, 10)}  # fmt: skip
STEP_ROWS = {1: 2_000, 8: 8_000, 32: 20_000, 1000: N_MNIST}


def _steps() -> Iterable[Job]:
    """Networks from narrow to wide and deep, at batch sizes from 1 on; rows for short epochs."""
    for name, sizes in STEP_NETWORKS.items():
        for batch_size, n_rows in STEP_ROWS.items():
            job = _adam(f"steps-{name}-{batch_size}", sizes, batch_size, n_rows, 3)
            yield job if sizes[0] == N_PIXELS else replace(job, data="random")


ESTIMATOR_DATA = {
    "digits": (64, N_DIGITS, 200),
    "mnist": (784, N_MNIST, 5),
    "random": (30, 200_000, 5),
    "sparse": (50_000, 20_000, 5),
}
"""Features, rows and max_iter; 200 is the default, with which the fit stops when it likes."""

N_SPARSE_VALUES = 50
"""In a row of sparse data, as in short texts."""


def _estimator(data: str, dtype: str, *, regression: bool) -> Job:
    """A whole fit of MLPClassifier or MLPRegressor, hidden layer and all else as by default."""
    n_in, n_rows, max_iter = ESTIMATOR_DATA[data]
    n_out, output, loss = 10, "softmax", "cross_entropy"
    if regression:
        n_out, output, loss = 1, "identity", "squared_error"
    elif data in ("random", "sparse"):  # two classes share an output
        n_out, output, loss = 1, "sigmoid", "log_loss"
    name = "regressor" if regression else "classifier"
    return Job(
        name=f"estimator-{name}-{data}-{dtype}",
        sizes=(n_in, 100, n_out),
        hidden="relu",
        output=output,
        loss=loss,
        optimizer="adam",
        learning_rate=0.001,
        batch_size=200,
        n_rows=n_rows,
        check_epochs=max_iter,
        kind="estimator",
        data=data,
        reduction="mean",
        dtype=dtype,
        n_values=N_SPARSE_VALUES if data == "sparse" else None,
    )


def _in_float64(job: Job) -> Job:
    return replace(job, name=f"{job.name}-float64", dtype="float64")


ADAM = (
    _adam("adam-512-256", (784, 512, 256, 10), 200, N_MNIST, 3),
    _adam("adam-100", (784, 100, 10), 200, N_MNIST, 5),
)

GROUPS: dict[str, tuple[Job, ...]] = {
    "headline": tuple(map(headline, HEADLINE_BATCHES)),
    "adam": ADAM,
    "float64": tuple(map(_in_float64, (headline(500), *ADAM, _prediction(100)))),
    "steps": tuple(_steps()),
    "tabular": (replace(_adam("tabular", (20, 64, 64, 3), 256, 1_000_000, 3), data="random"),),
    "tiny": (_tiny("tiny-full", 10_000, 100), _tiny("tiny-256", 256, 10)),
    "predict": tuple(map(_prediction, (1, 100, 10_000))),
    "ensemble": (
        replace(_adam("ensemble", (784, 100, 10), 200, 4_000, 10), kind="ensemble", n_models=16),
    ),
    "estimator": tuple(
        _estimator(data, dtype, regression=regression)
        for regression in (False, True)
        for data in ("digits", "mnist", "random")
        for dtype in ("float32", "float64")
    ),
    "sparse": tuple(
        _estimator("sparse", dtype, regression=False) for dtype in ("float32", "float64")
    ),
}
JOBS = {job.name: job for group in GROUPS.values() for job in group}
MACHINE_JOB = replace(JOBS["tiny-256"], name="machine")
"""Placeholder for measurements of the machine, which ignore the job; cheap to load."""

QUICK_JOBS = ("tiny-256", "predict-1", "adam-100", "headline-500")
"""Cheap jobs first: where time is short, the last ones are left out."""


def select(names: Iterable[str], max_rows: int | None = None) -> tuple[Job, ...]:
    """Jobs by name, by group or all of them ("all"), each once, in the order given.

    max_rows: at most this many training rows; predictions keep theirs.
    """
    selected: dict[str, Job] = {}
    for name in names:
        if name == "all":
            selected |= JOBS
        elif name in GROUPS:
            selected |= {job.name: job for job in GROUPS[name]}
        elif name in JOBS:
            selected[name] = JOBS[name]
        else:
            raise ValueError(
                f"unknown job {name!r}; jobs are {', '.join(JOBS)}, "
                f"groups are {', '.join(GROUPS)} and all"
            )
    return tuple(_cut(job, max_rows) for job in selected.values())


def listing(width: int = 79) -> str:
    """Return the names of all jobs by group, for the help text."""
    lines = ["jobs by group ('all' selects them all):"]
    for group, members in GROUPS.items():
        names = ", ".join(job.name for job in members)
        lines += textwrap.wrap(
            f"  {group:<10}{names}", width, subsequent_indent=" " * 12, break_on_hyphens=False
        )
    return "\n".join(lines)


def _cut(job: Job, max_rows: int | None) -> Job:
    """The job on at most max_rows training rows; a full batch stays one."""
    if max_rows is None or job.kind == "predict" or job.n_rows <= max_rows:
        return job
    full = job.batch_size >= job.n_rows
    return replace(job, n_rows=max_rows, batch_size=max_rows if full else job.batch_size)
