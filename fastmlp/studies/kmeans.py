"""How good a classifier is KMeans? Clusters of MNIST's images, each called by its majority.

The author's series "KMeans as a classifier" clusters the 784 pixels of MNIST with scikit-learn and
compares scalings of them: division by a white pixel, and the Normalizer. Here a cluster's class is
that of most training images in it, and a test image gets the class of its nearest center.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine.blas import single_threaded_blas
from fastmlp.plots.style import styled_pyplot
from fastmlp.studies.lab.data import load_raw, scale_rows
from fastmlp.studies.lab.figures import (
    CATEGORIES,
    FIGSIZE,
    draw_spread,
    draw_tiles,
    headline,
    label_log_axis,
    legend_below,
)
from fastmlp.studies.lab.packed import pack, unpack
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALES = {
    "unit": "divided by white",
    "normalized_samples": "Normalizer, per image",
    "feature": "StandardScaler",
}
"""Scalings of the pixels, by the name that `lab.data` has for them."""

MAX_ITERATIONS = 10


@dataclass(frozen=True)
class Config:
    """One MiniBatchKMeans per scaling, number of clusters and seed."""

    data: str = "mnist"
    n_train: int | None = None
    n_clusters: tuple[int, ...] = (10, 20, 40, 80, 160)
    scales: tuple[str, ...] = tuple(SCALES)
    seeds: tuple[int, ...] = (0, 1)
    shown: int = 40


def configure(data: str, quick: bool) -> Config:
    """The first 20,000 images; quick: fewer rows, clusters and seeds."""
    if data == "mnist" and quick:
        return Config(n_train=5000, n_clusters=(10, 40), seeds=(0,))
    if data == "mnist":
        return Config(n_train=20000)
    return Config(data, n_clusters=(10, 40, 160), seeds=(0,) if quick else (0, 1))


def run(config: Config, session: Session) -> dict[str, Any]:
    """Cluster the training images, name the clusters, and classify the test images."""
    raw = load_raw(config.data, config.n_train)
    data = {scale: scale_rows(raw, scale) for scale in config.scales}
    codes = next(iter(data.values())).Y_train.argmax(axis=1)
    truth = next(iter(data.values())).classes.searchsorted(raw.y_test)
    n_classes = int(codes.max()) + 1

    def cluster(case: Case, tick: Tick) -> dict[str, Any]:
        rows = data[case["scale"]]
        near, near_test = nearest(rows.X_train, rows.X_test, case["clusters"], case["seed"])
        counts = count_classes(near, codes, case["clusters"], n_classes)
        names = counts.argmax(axis=1)
        said = names[near_test]
        recall = [(said[truth == k] == k).mean() for k in range(n_classes)]
        found: dict[str, Any] = {
            "train_accuracy": rounded((names[near] == codes).mean()),
            "test_accuracy": rounded((said == truth).mean()),
            "recall": rounded(recall),
            "clusters_of": np.bincount(names, minlength=n_classes),
        }
        if (case["scale"], case["seed"], case["clusters"]) == shown:
            sizes = np.maximum(counts.sum(axis=1), 1)
            means = [raw.X_train[near == i].mean(axis=0) for i in np.flatnonzero(counts.any(1))]
            found["centers"] = {
                "pixels": pack(means, 0.0, raw.highest),
                "names": names[counts.any(axis=1)],
                "purity": rounded((counts.max(axis=1) / sizes)[counts.any(axis=1)], 3),
            }
        return found

    shown = (config.scales[0], config.seeds[0], config.shown)
    grid = [(s, n, seed) for s in config.scales for n in config.n_clusters for seed in config.seeds]
    cases = [{"scale": scale, "clusters": n, "seed": seed} for scale, n, seed in grid]
    runs = session.map(cluster, cases, config=config)
    centers = next(item.pop("centers") for item in runs if "centers" in item)
    sizes = {"n_train": len(codes), "n_test": len(truth)}
    return session.record(config, **sizes, runs=runs, centers=centers)


def nearest(
    X_train: NDArray[Any], X_test: NDArray[Any], n_clusters: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the index of the nearest center for every training row and every test row."""
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    kmeans = MiniBatchKMeans(
        n_clusters, random_state=seed, n_init=1, max_iter=MAX_ITERATIONS, batch_size=2048,
        compute_labels=False,
    )  # fmt: skip
    with single_threaded_blas(), threadpool_limits(limits=1, user_api="openmp"):
        kmeans.fit(X_train)
        train, test = (np.asarray(kmeans.predict(X), np.intp) for X in (X_train, X_test))
    return train, test


def count_classes(
    near: NDArray[np.intp], codes: NDArray[np.intp], n_clusters: int, n_classes: int
) -> NDArray[np.int_]:
    """Count the rows of every class in every cluster, (n_clusters, n_classes)."""
    counts = np.zeros((n_clusters, n_classes), int)
    np.add.at(counts, (near, codes), 1)
    return counts


def select(result: Result, scale: str, n_clusters: int) -> list[dict[str, Any]]:
    """The runs of one setting, one per seed."""
    return [run for run in result["runs"] if (run["scale"], run["clusters"]) == (scale, n_clusters)]


def tables(result: Result) -> list[Table]:
    """Test accuracy by scaling and number of clusters; recall of every digit."""
    config = result["config"]
    scales = config["scales"]
    rows = tuple(
        (
            str(n),
            *(mean_and_range([r["test_accuracy"] for r in select(result, s, n)]) for s in scales),
            f"{np.mean([r['train_accuracy'] for r in select(result, scales[0], n)]):.4f}",
        )
        for n in config["n_clusters"]
    )
    names = tuple(SCALES[scale] for scale in scales)
    few, many = config["n_clusters"][0], config["n_clusters"][-1]
    digits = tuple(
        (str(k), *(cell for n in (few, many) for cell in _of_digit(result, scales[0], n, k)))
        for k in range(len(result["runs"][0]["recall"]))
    )
    columns = tuple(f"{what}, {n} clusters" for n in (few, many) for what in ("called so", "found"))
    return [
        Table(
            "Test accuracy by scaling of the pixels (lowest to highest)",
            ("clusters", *names, f"train, {names[0]}"),
            rows,
        ),
        Table(
            f"Clusters called a digit, and share of its test images found; {names[0]}, mean",
            ("digit", *columns),
            digits,
        ),
    ]


def _of_digit(result: Result, scale: str, n_clusters: int, digit: int) -> tuple[str, str]:
    runs = select(result, scale, n_clusters)
    called = np.mean([run["clusters_of"][digit] for run in runs])
    return f"{called:.1f}", f"{np.mean([run['recall'][digit] for run in runs]):.3f}"


def draw(result: Result) -> dict[str, Figure]:
    """Accuracy by number of clusters; the centers."""
    return {"accuracy": _draw_accuracy(result), "centers": _draw_centers(result)}


def _draw_accuracy(result: Result) -> Figure:
    config = result["config"]
    x = config["n_clusters"]
    with styled_pyplot(FIGSIZE) as plt:
        figure, axis = plt.subplots()
        for scale, (color, marker) in zip(config["scales"], CATEGORIES, strict=False):
            by_seed = [[r["test_accuracy"] for r in select(result, scale, n)] for n in x]
            label = SCALES[scale]
            draw_spread(
                axis, x, np.array(by_seed).T.tolist(), color=color, marker=marker, label=label
            )
        axis.set_xscale("log")
        label_log_axis(axis.xaxis)
        axis.set_xlabel("clusters (count)")
        axis.set_ylabel("test accuracy (fraction)")
        axis.set_title("Majority of the nearest cluster: mean and range of seeds")
        legend_below(figure, axis, 3)
        headline(figure, "Digits named by the nearest cluster", _finding(result))
    return figure  # type: ignore[no-any-return]


def _finding(result: Result) -> str:
    config = result["config"]
    few, many = config["n_clusters"][0], config["n_clusters"][-1]
    best = {
        n: max(config["scales"], key=lambda scale: _mean(result, scale, n)) for n in (few, many)
    }
    low = _mean(result, best[few], few)
    high = _mean(result, best[many], many)
    return (
        f"{few} clusters name {low:.2f} of the test images correctly ({SCALES[best[few]]}), {many} "
        f"clusters {high:.2f} ({SCALES[best[many]]})"
    )


def _mean(result: Result, scale: str, n: int) -> float:
    return float(np.mean([run["test_accuracy"] for run in select(result, scale, n)]))


def _draw_centers(result: Result) -> Figure:
    centers = result["centers"]
    pixels = unpack(centers["pixels"])
    names, purity = np.array(centers["names"]), np.array(centers["purity"])
    order = np.lexsort((-purity, names))
    titles = [f"{names[i]} ({purity[i]:.0%})" for i in order]
    with styled_pyplot((10.0, 1.2 * -(-len(pixels) // 10) + 1.1)) as plt:
        figure, axis = plt.subplots()
        draw_tiles(axis, pixels[order], 10, titles=titles, above=0.3)
        axis.set_title("Most frequent digit, and its share of the cluster")
        missing = sorted(set(range(10)) - set(names.tolist()))
        headline(
            figure,
            "Means of the clusters",
            f"Means of {len(pixels)} clusters, what most of their images are, and their share; "
            + (f"no cluster for {', '.join(map(str, missing))}" if missing else _most(names)),
        )
    return figure  # type: ignore[no-any-return]


def _most(names: NDArray[np.int_]) -> str:
    counts = np.bincount(names)
    return f"most are of the {counts.argmax()} ({counts.max()}), fewest of the {counts.argmin()}"


STUDY = Study(
    "kmeans",
    "How good a classifier is KMeans?",
    configure,
    run,
    tables,
    draw,
)
