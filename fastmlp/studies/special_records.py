"""Which training images are special, and what does the network learn without them?

The articles announce statistics that detect unusual records, and ask whether to remove them. Here
images are ranked by the number of epochs after which they are wrong, and then by how often they are
forgotten: right after one epoch, and wrong after the next (Toneva et al., 2019, "An Empirical Study
of Example Forgetting"). Networks are trained without the hardest, as many random, or the easiest
images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.datasets.labelled import LabelledData
from fastmlp.datasets.recipes import recipe_for
from fastmlp.plots.style import BLUE, GREEN, INK, VERMILLION, styled_pyplot
from fastmlp.studies.lab.data import RawData, load_raw, scale_rows
from fastmlp.studies.lab.figures import (
    FIGSIZE,
    draw_spread,
    draw_tiles,
    headline,
    label_log_axis,
)
from fastmlp.studies.lab.packed import LEVELS, pack, unpack
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range
from fastmlp.studies.lab.training import recipe_settings, train
from fastmlp.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAYS = {"hardest": VERMILLION, "random": BLUE, "easiest": GREEN}
"""Which images are removed, and their colors."""

N_SHOWN = 32
TOP = 0.01
"""Share of the images that counts as the hardest when seeds are compared."""


@dataclass(frozen=True)
class Config:
    """Networks that are watched, and networks trained without a share of the images."""

    data: str = "mnist"
    n_train: int | None = None
    hidden: tuple[int, ...] = (70, 30)
    n_epochs: int = 20
    seeds: tuple[int, ...] = (0, 1, 2)
    removed: tuple[float, ...] = (0.01, 0.1, 0.3, 0.6)


def configure(data: str, quick: bool) -> Config:
    """The package's settings for a network 784-70-30-10; quick: fewer images, seeds."""
    if data == "mnist" and quick:
        return Config(n_train=10000, seeds=(0, 1), removed=(0.01, 0.1, 0.3))
    if data == "mnist":
        return Config()
    return Config(data, n_epochs=30, removed=(0.01, 0.1, 0.3))


def run(config: Config, session: Session) -> dict[str, Any]:
    """Watch every image while networks are trained, rank the images, and train without some."""
    raw = load_raw(config.data, config.n_train)
    data = scale_rows(raw, recipe_for(config.data).scale)

    def watch(case: Case, tick: Tick) -> dict[str, Any]:
        return _watch(data, config, case["seed"], tick)

    def train_without(case: Case, tick: Tick) -> dict[str, Any]:
        rows = kept_rows(order, case["which"], case["removed"])
        smaller = replace(data, X_train=data.X_train[rows], Y_train=data.Y_train[rows])
        # As many updates as with all images.
        n_epochs = round(config.n_epochs * len(data.X_train) / len(rows))
        _, found = train(
            smaller,
            seed=case["seed"],
            n_epochs=n_epochs,
            hidden=config.hidden,
            keep=("test_accuracy",),
            tick=tick,
            **recipe_settings(config.data),
        )
        return {"n_epochs": n_epochs, "test_accuracy": found["test_accuracy"][-1]}

    seeds = [{"seed": seed} for seed in config.seeds]
    watched = session.map(watch, seeds, config=config, n_ticks=config.n_epochs)
    forgotten, wrong, said = (
        np.array([np.rint(unpack(item[name])) for item in watched], int)
        for name in ("forgotten", "wrong", "said")
    )
    codes = data.Y_train.argmax(axis=1)
    order = by_class(rank(forgotten, wrong), codes)
    cases = [{"which": "random", "removed": 0.0, **seed} for seed in seeds]
    cases += [
        {"which": which, "removed": share, **seed}
        for share in config.removed
        for which in WAYS
        for seed in seeds
    ]
    runs = session.map(train_without, cases, config=config, n_ticks=config.n_epochs)
    return session.record(
        config,
        n_train=len(codes),
        n_test=len(data.X_test),
        runs=runs,
        train_accuracy=rounded([1 - (s != codes).mean() for s in said]),
        **_statistics(forgotten, wrong, codes, config.n_epochs),
        images=_hardest_images(raw, rank(forgotten, wrong), codes, forgotten, wrong, said),
    )


def _watch(data: LabelledData, config: Config, seed: int, tick: Tick) -> dict[str, Any]:
    """Train a network, and count per image the times it is forgotten, and the epochs it is wrong.

    Returns
    -------
    dict
        Packed whole numbers (n,): ``forgotten``, ``wrong``, and ``said``, the class at the end.
    """
    codes = data.Y_train.argmax(axis=1)
    counts = np.zeros((2, len(codes)), int)
    was_right = np.zeros(len(codes), bool)

    def measure(trainer: Trainer) -> None:
        right = trainer.network.predict(data.X_train, n_threads=1).argmax(axis=1) == codes
        counts[0] += was_right & ~right
        counts[1] += ~right
        was_right[...] = right
        tick()

    network, _ = train(
        data,
        seed=seed,
        n_epochs=config.n_epochs,
        hidden=config.hidden,
        keep=(),
        tick=measure,
        **recipe_settings(config.data),
    )
    said = network.predict(data.X_train, n_threads=1).argmax(axis=1)
    names = ("forgotten", "wrong", "said")
    return {name: pack(n, 0, LEVELS) for name, n in zip(names, (*counts, said), strict=True)}


def rank(forgotten: NDArray[np.int_], wrong: NDArray[np.int_]) -> NDArray[np.intp]:
    """Return the images' indices, hardest first.

    Hardest is what was wrong after most epochs of all runs; among equals, what was forgotten more
    often, and then a random order: most images are never wrong after the first epochs.

    Parameters
    ----------
    forgotten, wrong : ndarray of shape (n_seeds, n)
    """
    ties = np.random.default_rng(0).permutation(forgotten.shape[1])
    return np.lexsort((ties, -forgotten.sum(axis=0), -wrong.sum(axis=0)))


def by_class(order: NDArray[np.intp], codes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Reorder indices so that any first share of them has the same share of every class.

    Without this, the easiest tenth would be nearly all images of a 1.
    """
    place = np.empty(len(order))
    for k in np.unique(codes):
        members = order[codes[order] == k]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(place, kind="stable")


def kept_rows(order: NDArray[np.intp], which: str, share: float) -> NDArray[np.intp]:
    """Return the sorted rows that are left when a share of the images is removed."""
    n = len(order)
    n_removed = round(share * n)
    if which == "random":
        order = np.random.default_rng(1).permutation(n)
    kept = order[: n - n_removed] if which == "easiest" else order[n_removed:]
    return np.sort(kept)


def _statistics(
    forgotten: NDArray[np.int_], wrong: NDArray[np.int_], codes: NDArray[np.intp], n_epochs: int
) -> dict[str, Any]:
    """Shares of all images and of every digit, and what two seeds have in common."""
    never_learnt = (wrong == n_epochs).mean(axis=1)
    times = np.array([np.bincount(f, minlength=n_epochs + 1) for f in forgotten]).mean(axis=0)
    often = forgotten.mean(axis=0)
    return {
        "times_forgotten": rounded(np.trim_zeros(times, "b"), 6),
        "never_forgotten": rounded((forgotten.sum(axis=0) == 0).mean()),
        "never_learnt": rounded(never_learnt),
        "never_learnt_by_any": int((wrong == n_epochs).all(axis=0).sum()),
        "by_class": rounded([often[codes == k].mean() for k in range(codes.max() + 1)]),
        "in_common": _in_common(wrong),
    }


def _in_common(wrong: NDArray[np.int_]) -> float | None:
    """Mean share of one run's hardest images that are among another's; None for one run."""
    n_top = max(1, round(TOP * wrong.shape[1]))
    tops = [set(np.argsort(-w, kind="stable")[:n_top].tolist()) for w in wrong]
    pairs = [(a, b) for i, a in enumerate(tops) for b in tops[:i]]
    if not pairs:
        return None
    return float(rounded(np.mean([len(a & b) / n_top for a, b in pairs])))


def _hardest_images(
    raw: RawData,
    order: NDArray[np.intp],
    codes: NDArray[np.intp],
    forgotten: NDArray[np.int_],
    wrong: NDArray[np.int_],
    said: NDArray[np.int_],
) -> dict[str, Any]:
    rows = order[:N_SHOWN]
    votes = [np.bincount(said[:, row]).argmax() for row in rows]
    return {
        "rows": rows,
        "pixels": pack(raw.X_train[rows], 0.0, raw.highest),
        "labels": codes[rows],
        "said": votes,
        "forgotten": forgotten[:, rows].mean(axis=0),
        "wrong": wrong[:, rows].mean(axis=0),
    }


def accuracies(result: Result, which: str, share: float) -> list[float]:
    """Test accuracies of the seeds without a share of the images."""
    return [
        run["test_accuracy"]
        for run in result["runs"]
        if run["removed"] == share and (run["which"] == which or share == 0)
    ]


def tables(result: Result) -> list[Table]:
    """Test accuracy by what was removed."""
    config = result["config"]
    rows = [("none", *[mean_and_range(accuracies(result, which, 0.0)) for which in WAYS])]
    for share in config["removed"]:
        found = [mean_and_range(accuracies(result, which, share)) for which in WAYS]
        rows.append((f"{share:.1%} ({round(share * result['n_train'])})", *found))
    columns = ("removed", *(f"the {which}" if which != "random" else which for which in WAYS))
    title = "Test accuracy without a share of the images of every digit (lowest to highest)"
    shares = (
        ("never forgotten, in any run", f"{result['never_forgotten']:.1%}"),
        ("never right after any epoch", mean_and_range(result["never_learnt"])),
        ("never right in any run (images)", str(result["never_learnt_by_any"])),
        (f"hardest {TOP:.0%} that two runs share", _percent(result["in_common"])),
        ("training accuracy at the end", mean_and_range(result["train_accuracy"])),
    )
    return [
        Table(title, columns, tuple(rows)),
        Table("Training images", ("", "share"), shares),
    ]


def _percent(share: float | None) -> str:
    return "one run" if share is None else f"{share:.0%}"


def draw(result: Result) -> dict[str, Figure]:
    """Accuracy without some of the images; how often images are forgotten; the hardest ones."""
    return {
        "removed": _draw_removed(result),
        "forgotten": _draw_forgotten(result),
        "images": _draw_images(result),
    }


def _draw_removed(result: Result) -> Figure:
    shares = result["config"]["removed"]
    with styled_pyplot(FIGSIZE) as plt:
        figure, axis = plt.subplots()
        for (which, color), marker in zip(WAYS.items(), "osD", strict=True):
            by_seed = np.array([accuracies(result, which, share) for share in shares]).T
            draw_spread(
                axis, [100 * s for s in shares], by_seed.tolist(), color=color, marker=marker,
                label=f"without {which}" + (" ones" if which == "random" else ""),
            )  # fmt: skip
        full = np.mean(accuracies(result, "random", 0.0))
        axis.axhline(full, color=INK, linestyle="--", label="with all images")
        axis.set_xscale("log")
        label_log_axis(axis.xaxis)
        axis.set_xlabel("removed (percent of the training images of every digit)")
        axis.set_ylabel("test accuracy (fraction)")
        axis.set_title("As many updates with the rest: mean and range of seeds")
        axis.legend(loc="lower left")
        headline(
            figure, "Training without some of the images", _removed_finding(result, float(full))
        )
    return figure  # type: ignore[no-any-return]


def _removed_finding(result: Result, full: float) -> str:
    most = result["config"]["removed"][-1]
    means = {which: np.mean(accuracies(result, which, most)) for which in WAYS}
    return (
        f"Without {most:.0%} of the images, the test accuracy of {full:.4f} becomes "
        f"{means['easiest']:.4f} if they are the easiest, {means['random']:.4f} if random, "
        f"{means['hardest']:.4f} if the hardest"
    )


def _draw_forgotten(result: Result) -> Figure:
    times = np.array(result["times_forgotten"])
    with styled_pyplot(FIGSIZE) as plt:
        figure, (left, right) = plt.subplots(1, 2, width_ratios=(3, 2))
        left.bar(np.arange(len(times)), times, color=BLUE, width=0.85)
        left.set_yscale("log")
        left.set_xlabel("times that an image is forgotten")
        left.set_ylabel("images (mean of the runs)")
        left.set_title("All training images")
        left.xaxis.get_major_locator().set_params(integer=True)
        by_class = result["by_class"]
        right.bar(np.arange(len(by_class)), by_class, color=BLUE, width=0.7)
        right.set_xticks(range(len(by_class)))
        right.set_xlabel("digit")
        right.set_ylabel("times forgotten (mean)")
        right.set_title("By digit")
        hardest = int(np.argmax(by_class))
        headline(
            figure,
            "How often images are forgotten",
            f"{result['never_forgotten']:.0%} of the images are never forgotten, in any run; "
            f"a {hardest} is forgotten {by_class[hardest] / max(min(by_class), 1e-9):.1f} times as "
            f"often as a {int(np.argmin(by_class))}",
        )
    return figure  # type: ignore[no-any-return]


def _draw_images(result: Result) -> Figure:
    images = result["images"]
    pixels = unpack(images["pixels"])
    said = zip(images["labels"], images["said"], strict=True)
    titles = [f"{label}, said {vote}" if label != vote else f"{label}" for label, vote in said]
    with styled_pyplot((9.0, 1.3 * -(-len(pixels) // 8) + 1.1)) as plt:
        figure, axis = plt.subplots()
        draw_tiles(axis, pixels, 8, titles=titles, above=0.3)
        axis.set_title("Label, and what the networks say")
        disputed = np.mean(np.array(images["labels"]) != np.array(images["said"]))
        headline(
            figure,
            "The hardest training images",
            f"The {len(pixels)} hardest training images and their labels; at the end the networks "
            f"still say something else about {disputed:.0%} of these",
        )
    return figure  # type: ignore[no-any-return]


STUDY = Study(
    "special-records",
    "Which training images are special, and what does the network learn without them?",
    configure,
    run,
    tables,
    draw,
)
