"""Does it help to find clusters first? MiniBatchKMeans between the pixels and the network.

The articles' part XIV puts scikit-learn's MiniBatchKMeans before the MLP; all that is known of it
is a remark that 40 to 70 clusters made the network faster and better. How the clusters were coded
is not known: here they come as distances to all centers and as the nearest center (one-hot), each
alone and beside the pixels.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.datasets.labelled import LabelledData
from fastmlp.datasets.recipes import recipe_for
from fastmlp.engine.blas import single_threaded_blas
from fastmlp.plots.style import INK, styled_pyplot
from fastmlp.studies.lab.data import load_raw, scale_rows
from fastmlp.studies.lab.figures import CATEGORIES, FIGSIZE, draw_spread, headline, legend_below
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range
from fastmlp.studies.lab.training import measurement_epochs, recipe_settings, train

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CODINGS = {
    "distances": "distances",
    "nearest": "nearest",
    "distances+pixels": "distances + pixels",
    "nearest+pixels": "nearest + pixels",
}
"""Descriptions of the codings by name."""

PLAIN = "pixels"


@dataclass(frozen=True)
class Config:
    """One network per number of clusters, coding and seed, and plain ones beside them."""

    data: str = "mnist"
    n_train: int | None = None
    n_clusters: tuple[int, ...] = (10, 20, 40, 70, 100)
    codings: tuple[str, ...] = tuple(CODINGS)
    seeds: tuple[int, ...] = (0, 1, 2)
    hidden: tuple[int, ...] = (70, 30)
    n_epochs: int = 35


def configure(data: str, quick: bool) -> Config:
    """The package's settings for a network 784-70-30-10; quick: fewer rows, clusters, epochs."""
    if data == "mnist" and quick:
        return Config(n_train=10000, n_clusters=(10, 40), seeds=(0,), n_epochs=20)
    if data == "mnist":
        return Config()
    return Config(data, seeds=(0,) if quick else (0, 1, 2), n_epochs=20 if quick else 60)


def run(config: Config, session: Session) -> dict[str, Any]:
    """Cluster and train; both are timed in processor seconds of a single thread."""
    raw = load_raw(config.data, config.n_train)
    pixels = scale_rows(raw, recipe_for(config.data).scale)
    settings = recipe_settings(config.data)
    epochs = measurement_epochs(config.n_epochs)

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        begin = time.thread_time()
        data, inertia = add_clusters(pixels, case["coding"], case["clusters"], case["seed"])
        clustered = time.thread_time()
        network, found = train(
            data,
            seed=case["seed"],
            n_epochs=config.n_epochs,
            hidden=config.hidden,
            epochs_to_measure=epochs,
            keep=("epochs", "train_accuracy", "test_accuracy"),
            tick=tick,
            **settings,
        )
        seconds = {
            "cluster_seconds": rounded(clustered - begin, 3),
            "train_seconds": rounded(time.thread_time() - clustered, 3),
        }
        return {**found, **seconds, "inertia": inertia, "n_parameters": network.n_parameters}

    grid = [(PLAIN, 0)]
    grid += [(coding, n) for coding in config.codings for n in config.n_clusters]
    cases = [
        {"coding": coding, "clusters": n, "seed": seed}
        for seed in config.seeds
        for coding, n in grid
    ]
    runs = session.map(train_one, cases, config=config, n_ticks=config.n_epochs)
    sizes = {"n_train": len(raw.X_train), "n_test": len(raw.X_test)}
    return session.record(config, **sizes, runs=runs)


def add_clusters(
    data: LabelledData, coding: str, n_clusters: int, seed: int
) -> tuple[LabelledData, float | None]:
    """`data` with the clusters of its training rows as inputs, alone or beside the old ones.

    Distances and nearest centers are standardized with the numbers of the training rows.

    Returns
    -------
    LabelledData
    float or None
        Mean squared distance of the training rows to their nearest center.
    """
    if coding == PLAIN:
        return data, None
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    kmeans = MiniBatchKMeans(
        n_clusters, random_state=seed, n_init=1, max_iter=10, compute_labels=False
    )
    with single_threaded_blas(), threadpool_limits(limits=1, user_api="openmp"):
        kmeans.fit(data.X_train)
        distances = [kmeans.transform(X) for X in (data.X_train, data.X_test)]
    inertia = rounded((distances[0].min(axis=1) ** 2).mean())
    if coding.startswith("nearest"):
        distances = [np.eye(n_clusters)[d.argmin(axis=1)] for d in distances]
    inputs = _standardized(distances)
    if coding.endswith("pixels"):
        inputs = [np.hstack(pair) for pair in zip(inputs, (data.X_train, data.X_test), strict=True)]
    X_train, X_test = (np.ascontiguousarray(x, np.float32) for x in inputs)
    return replace(data, X_train=X_train, X_test=X_test), inertia


def _standardized(distances: list[NDArray[Any]]) -> list[NDArray[Any]]:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(distances[0])
    return [scaler.transform(d) for d in distances]


def runs_of(result: Result, coding: str, n_clusters: int) -> list[dict[str, Any]]:
    """The runs of one setting, one per seed."""
    return [
        run for run in result["runs"] if (run["coding"], run["clusters"]) == (coding, n_clusters)
    ]


def mean_accuracy(result: Result, coding: str, n_clusters: int) -> float:
    """Mean over the seeds of the final test accuracy."""
    return float(np.mean([run["test_accuracy"][-1] for run in runs_of(result, coding, n_clusters)]))


def epochs_to_reach(run: dict[str, Any], accuracy: float) -> int | None:
    """Return the first measured epoch with at least this test accuracy, or None."""
    reached = np.flatnonzero(np.array(run["test_accuracy"]) >= accuracy)
    return int(run["epochs"][reached[0]]) if len(reached) else None


def _epochs_needed(runs: list[dict[str, Any]], accuracy: float) -> str:
    """Return the mean over the seeds; "never" if one of them never reaches it."""
    reached = [epochs_to_reach(run, accuracy) for run in runs]
    found = [epochs for epochs in reached if epochs is not None]
    return f"{np.mean(found):.0f}" if len(found) == len(reached) else "never"


def tables(result: Result) -> list[Table]:
    """Accuracy, time, and epochs to come close to the plain network."""
    config = result["config"]
    settings = [(PLAIN, 0), *((c, n) for c in config["codings"] for n in config["n_clusters"])]
    goal = _goal(result)
    rows = []
    for coding, n in settings:
        runs = runs_of(result, coding, n)
        rows.append(
            (
                CODINGS.get(coding, coding),
                str(n) if n else "",
                mean_and_range(run["test_accuracy"][-1] for run in runs),
                f"{np.mean([run['train_accuracy'][-1] for run in runs]):.4f}",
                _epochs_needed(runs, goal),
                f"{np.mean([run['cluster_seconds'] for run in runs]):.2f}",
                f"{np.mean([run['train_seconds'] for run in runs]):.2f}",
            )
        )
    columns = (
        "inputs",
        "clusters",
        "test (lowest to highest)",
        "train",
        f"epochs to {goal:.3f} on test",
        "clustering, s",
        "training, s",
    )
    return [
        Table("Clusters before the network; processor seconds of one thread", columns, tuple(rows))
    ]


def _goal(result: Result) -> float:
    """Return the plain network's final accuracy minus half a percentage point."""
    return round(mean_accuracy(result, PLAIN, 0) - 0.005, 3)


def draw(result: Result) -> dict[str, Figure]:
    """Accuracy and time against the number of clusters; the course of both kinds of input."""
    return {"accuracy": _draw_accuracy(result), "course": _draw_course(result)}


def _draw_accuracy(result: Result) -> Figure:
    with styled_pyplot(FIGSIZE) as plt:
        figure, (left, right) = plt.subplots(1, 2)
        _draw_sweep(left, result, lambda run: run["test_accuracy"][-1], "test accuracy (fraction)")
        _draw_sweep(
            right,
            result,
            lambda run: run["cluster_seconds"] + run["train_seconds"],
            "clustering + training (processor seconds)",
        )
        left.set_title("Accuracy: mean and range of seeds")
        right.set_title("Time")
        right.set_ylim(bottom=0)
        legend_below(figure, left, 5)
        headline(figure, "Clusters as inputs: accuracy and time", _finding(result))
    return figure  # type: ignore[no-any-return]


def _draw_sweep(axis: Axes, result: Result, value: Any, label: str) -> None:
    config = result["config"]
    x = config["n_clusters"]
    for coding, (color, marker) in zip(config["codings"], CATEGORIES, strict=False):
        by_seed = np.array([[value(run) for run in runs_of(result, coding, n)] for n in x]).T
        draw_spread(axis, x, by_seed.tolist(), color=color, marker=marker, label=CODINGS[coding])
    plain = np.mean([value(run) for run in runs_of(result, PLAIN, 0)])
    axis.axhline(plain, color=INK, linestyle="--", label="pixels alone")
    axis.set_xlabel("clusters (count)")
    axis.set_ylabel(label)


def _best(result: Result) -> tuple[str, int]:
    config = result["config"]
    settings = [(coding, n) for coding in config["codings"] for n in config["n_clusters"]]
    return max(settings, key=lambda setting: mean_accuracy(result, *setting))


def _finding(result: Result) -> str:
    """Compare the best setting with pixels alone; the best of many may lead by chance."""
    coding, n = _best(result)
    best, plain = mean_accuracy(result, coding, n), mean_accuracy(result, PLAIN, 0)
    spread = max(
        np.ptp([run["test_accuracy"][-1] for run in runs_of(result, *setting)])
        for setting in ((coding, n), (PLAIN, 0))
    )
    n_settings = len(result["config"]["codings"]) * len(result["config"]["n_clusters"])
    chance = f"seeds differ by {100 * spread:.2f}"
    if len(result["config"]["seeds"]) == 1:
        chance = "one seed, no verdict"
    return (
        f"Best of {n_settings} ways with clusters: {CODINGS[coding]}, {n} clusters, {best:.4f}; "
        f"pixels alone {plain:.4f}: {100 * (best - plain):+.2f} percentage points, {chance}"
    )


def _draw_course(result: Result) -> Figure:
    config = result["config"]
    most = max(config["n_clusters"])
    with styled_pyplot(FIGSIZE) as plt:
        figure, axis = plt.subplots()
        ends = []
        for coding, (color, marker) in zip(config["codings"], CATEGORIES, strict=False):
            ends.append(_draw_one_course(axis, result, coding, most, color, marker))
        ends.append(_draw_one_course(axis, result, PLAIN, 0, INK, "X"))
        axis.set_xlabel("epochs of training")
        axis.set_ylabel("test accuracy (fraction)")
        axis.set_ylim(max(min(ends) - 0.1, 0), min(max(ends) + 0.02, 1))
        axis.set_title(f"{most} clusters: mean and range of seeds")
        axis.xaxis.get_major_locator().set_params(integer=True)
        legend_below(figure, axis, 5)
        headline(
            figure, "Clusters as inputs: the course of training", _course_finding(result, most)
        )
    return figure  # type: ignore[no-any-return]


def _draw_one_course(
    axis: Axes, result: Result, coding: str, n: int, color: str, marker: str
) -> float:
    runs = runs_of(result, coding, n)
    draw_spread(
        axis,
        runs[0]["epochs"],
        [run["test_accuracy"] for run in runs],
        color=color,
        marker=marker,
        markevery=4,
        label=CODINGS.get(coding, "pixels alone"),
    )
    return float(np.mean([run["test_accuracy"][-1] for run in runs]))


def _course_finding(result: Result, most: int) -> str:
    """Epochs until the plain network's accuracy is near."""
    goal = _goal(result)
    settings = {PLAIN: 0, **dict.fromkeys(result["config"]["codings"], most)}
    needed = ", ".join(
        f"{CODINGS.get(coding, 'pixels alone')} {_epochs_needed(runs_of(result, coding, n), goal)}"
        for coding, n in settings.items()
    )
    return f"Epochs until {goal:.3f} of the test images are right: {needed}"


STUDY = Study(
    "clusters",
    "Do clusters found before the training make the network better or faster?",
    configure,
    run,
    tables,
    draw,
)
