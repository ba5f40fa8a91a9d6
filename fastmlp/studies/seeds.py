"""How much is luck? Many networks that differ in their random seed alone.

Each draws its own initial weights and its own order of the rows; settings are the package's best
ones for a network 784-70-30-10. Together they are an ensemble, whose outputs are averaged, or whose
members vote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.datasets.recipes import recipe_for
from fastmlp.plots.style import BLUE, GREEN, INK, ORANGE, styled_pyplot
from fastmlp.studies.lab.data import load_raw, scale_rows
from fastmlp.studies.lab.figures import FIGSIZE, headline
from fastmlp.studies.lab.packed import pack, unpack
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table
from fastmlp.studies.lab.training import recipe_settings, train

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

N_DRAWS = 20
"""Random selections of networks per size of an ensemble."""

N_SHOWN = 12
"""Images on which the networks disagree most."""


@dataclass(frozen=True)
class Config:
    """Settings: a number of networks that differ only in the seed."""

    data: str = "mnist"
    n_train: int | None = None
    n_networks: int = 50
    hidden: tuple[int, ...] = (70, 30)
    n_epochs: int = 35


def configure(data: str, quick: bool) -> Config:
    """Return the settings: fifty networks with the recipe's epochs; quick: fewer of both."""
    if data == "mnist":
        return Config(n_train=10000, n_networks=12, n_epochs=15) if quick else Config()
    n_networks, n_epochs = (20, 20) if quick else (50, 60)
    return Config(data, n_networks=n_networks, n_epochs=n_epochs)


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train all networks, then analyze them together."""
    raw = load_raw(config.data, config.n_train)
    data = scale_rows(raw, recipe_for(config.data).scale)
    settings = recipe_settings(config.data)

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        network, found = train(
            data,
            seed=case["seed"],
            n_epochs=config.n_epochs,
            hidden=config.hidden,
            keep=("train_accuracy", "test_accuracy"),
            tick=tick,
            **settings,
        )
        outputs = network.predict(data.X_test, n_threads=1)
        return {name: values[-1] for name, values in found.items() if name != "diverged"} | {
            "outputs": pack(outputs, 0.0, 1.0)
        }

    cases = [{"seed": seed} for seed in range(config.n_networks)]
    runs = session.map(train_one, cases, config=config, n_ticks=config.n_epochs)
    outputs = np.array([unpack(item.pop("outputs")) for item in runs])
    codes = data.classes.searchsorted(data.y_test)
    compared = compare_predictions(outputs, codes)
    disputed = np.argsort(compared.pop("agreement"), kind="stable")[:N_SHOWN]
    votes = outputs.argmax(axis=2)
    images = {
        "pixels": pack(raw.X_test[disputed], 0.0, raw.highest),
        "labels": codes[disputed],
        "votes": [np.bincount(votes[:, i], minlength=outputs.shape[2]) for i in disputed],
    }
    sizes = {"n_train": len(raw.X_train), "n_test": len(raw.X_test)}
    return session.record(config, **sizes, runs=runs, **compared, images=images)


def compare_predictions(outputs: NDArray[np.float64], codes: NDArray[np.intp]) -> dict[str, Any]:
    """Analyze the predictions of many networks for the same rows.

    Parameters
    ----------
    outputs : ndarray of shape (n_networks, n, n_classes)
    codes : ndarray of shape (n,)
        True classes.

    Returns
    -------
    dict
        ``ensembles``: accuracy by size of the ensemble, mean over random selections, of averaged
        outputs and of votes; ``n_right``: number of rows by number of networks that are right;
        ``dissent`` (n_classes,): probability that two networks say different things about a row of
        the class; ``rivals`` (n_classes, n_classes): mean over the rows of a class of the share of
        votes for each class; ``agreement`` (n,): share of the networks that say what most say.
    """
    n_networks, _, n_classes = outputs.shape
    said = outputs.argmax(axis=2)
    votes = (said[:, :, np.newaxis] == np.arange(n_classes)).sum(axis=0)
    shares = votes / n_networks
    differ = 1 - (votes * (votes - 1)).sum(axis=1) / (n_networks * max(n_networks - 1, 1))
    members = [codes == k for k in range(n_classes)]
    return {
        "ensembles": _ensembles(outputs, said, codes),
        "n_right": np.bincount(votes[np.arange(len(codes)), codes], minlength=n_networks + 1),
        "dissent": rounded([differ[rows].mean() for rows in members]),
        "rivals": rounded([shares[rows].mean(axis=0) for rows in members], 4),
        "agreement": shares.max(axis=1),
    }


def _ensembles(
    outputs: NDArray[np.float64], said: NDArray[np.intp], codes: NDArray[np.intp]
) -> dict[str, Any]:
    n_networks, _, n_classes = outputs.shape
    sizes = [size for size in (1, 2, 3, 5, 7, 10, 15, 20, 30, 40) if size < n_networks]
    sizes.append(n_networks)
    rng = np.random.default_rng(0)
    averaged, voted = [], []
    for size in sizes:
        # All networks can be chosen in one way only.
        draws = [
            rng.permutation(n_networks)[:size] for _ in range(1 if size == n_networks else N_DRAWS)
        ]
        averaged.append(
            np.mean([(outputs[d].mean(axis=0).argmax(axis=1) == codes).mean() for d in draws])
        )
        counts = [(said[d][:, :, np.newaxis] == np.arange(n_classes)).sum(axis=0) for d in draws]
        voted.append(np.mean([(count.argmax(axis=1) == codes).mean() for count in counts]))
    return {"sizes": sizes, "averaged": rounded(averaged), "voted": rounded(voted)}


def tables(result: Result) -> list[Table]:
    """Tabulate the spread of single networks, the ensembles, and the disagreement by digit."""
    rows = []
    for part in ("train", "test"):
        values = np.array([run[f"{part}_accuracy"] for run in result["runs"]])
        rows.append(
            (
                f"one network, {part} set",
                f"{values.mean():.4f}",
                f"{values.std():.4f}",
                f"{values.min():.4f}",
                f"{values.max():.4f}",
            )
        )
    for kind, name in (("averaged", "outputs averaged"), ("voted", "majority")):
        accuracy = result["ensembles"][kind][-1]
        rows.append((f"all {len(result['runs'])}, {name}, test set", f"{accuracy:.4f}", "", "", ""))
    columns = ("", "accuracy", "standard deviation", "lowest", "highest")
    dissent = result["dissent"]
    digits = tuple(
        (str(digit), f"{dissent[digit]:.2%}", f"{rival} ({share:.2%})")
        for digit, (rival, share) in enumerate(map(_first_rival, _without_right(result)))
    )
    return [
        Table("Spread over the seeds", columns, tuple(rows)),
        Table(
            "Dissent by digit, test set",
            ("digit", "two networks differ on", "most often taken for (share of votes)"),
            digits,
        ),
    ]


def _without_right(result: Result) -> NDArray[np.float64]:
    rivals = np.array(result["rivals"], float)
    np.fill_diagonal(rivals, 0.0)
    return rivals


def _first_rival(shares: NDArray[np.float64]) -> tuple[int, float]:
    return int(shares.argmax()), float(shares.max())


def draw(result: Result) -> dict[str, Figure]:
    """Plot spread and ensembles, disagreement by digit, and the most disputed images."""
    return {
        "spread": _draw_spread(result),
        "digits": _draw_digits(result),
        "images": _draw_images(result),
    }


def _draw_spread(result: Result) -> Figure:
    values = np.array([run["test_accuracy"] for run in result["runs"]])
    ensembles = result["ensembles"]
    with styled_pyplot(FIGSIZE) as plt:
        figure, (left, right) = plt.subplots(1, 2)
        left.hist(values, bins=max(5, len(values) // 4), color=BLUE, edgecolor="white")
        left.axvline(values.mean(), color=INK, linestyle="--", label="mean")
        left.set_xlabel("test accuracy of one network (fraction)")
        left.set_ylabel("networks (count)")
        left.xaxis.set_major_locator(plt.MaxNLocator(5))
        left.set_title(f"{len(values)} seeds, dashed: mean {values.mean():.4f}")
        for kind, color, marker in (("averaged", GREEN, "^"), ("voted", ORANGE, "s")):
            right.plot(
                ensembles["sizes"],
                ensembles[kind],
                color=color,
                marker=marker,
                label="outputs averaged" if kind == "averaged" else "majority of votes",
            )
        right.set_xscale("log")
        ticks = [size for size in (1, 2, 5, 10, 20, 50) if size <= len(values)]
        right.set_xticks(ticks, labels=map(str, ticks))
        right.set_xticks([], minor=True)
        right.set_xlabel("networks in the ensemble (count)")
        right.set_ylabel("test accuracy (fraction)")
        right.set_title("Mean over random selections")
        right.legend(loc="lower right")
        low, high, best = values.min(), values.max(), ensembles["averaged"][-1]
        headline(
            figure,
            "What the seed alone changes",
            f"The seed alone moves the test accuracy from {low:.4f} to {high:.4f}; "
            f"all {len(values)} networks together reach {best:.4f}",
        )
    return figure  # type: ignore[no-any-return]


def _draw_digits(result: Result) -> Figure:
    dissent, rivals = 100 * np.array(result["dissent"]), 100 * _without_right(result)
    digits = range(len(dissent))
    worst = int(dissent.argmax())
    with styled_pyplot((10.0, 5.2)) as plt:
        figure, (left, right) = plt.subplots(1, 2, width_ratios=[1, 1.25])
        left.bar(digits, dissent, color=BLUE)
        left.set_xticks(digits)
        left.grid(axis="x", visible=False)
        left.set_xlabel("digit")
        left.set_ylabel("images on which two networks differ (%)")
        left.set_title("Dissent")
        _draw_rivals(figure, right, rivals)
        rival = int(rivals[worst].argmax())
        headline(
            figure,
            "Digits on which networks differ",
            f"Two networks differ most often on a {worst} ({dissent[worst]:.1f} % of the images), "
            f"which is most often taken for a {rival}",
        )
    return figure  # type: ignore[no-any-return]


def _draw_rivals(figure: Figure, axis: Axes, rivals: NDArray[np.float64]) -> None:
    digits = range(len(rivals))
    image = axis.imshow(rivals, cmap="Blues", vmin=0)
    axis.grid(False)
    axis.set_xticks(digits)
    axis.set_yticks(digits)
    axis.set_xlabel("said by networks")
    axis.set_ylabel("true digit")
    axis.set_title("Who takes it for what")
    bar = figure.colorbar(image, ax=axis, shrink=0.9)
    bar.set_label("votes (% of the digit's)")


def _draw_images(result: Result) -> Figure:
    images = result["images"]
    pixels = unpack(images["pixels"])
    side = round(pixels.shape[1] ** 0.5)
    n_unanimous = result["n_right"][-1]
    with styled_pyplot((10.0, 6.4)) as plt:
        figure, axes = plt.subplots(3, 4)
        for axis in axes.flat:
            axis.set_axis_off()
        shown = zip(axes.flat, pixels, images["labels"], images["votes"], strict=False)
        for axis, image, label, votes in shown:
            axis.imshow(image.reshape(side, side), cmap="gray_r")
            order = np.argsort(votes)[::-1][:3]
            text = ", ".join(f"{votes[k]}×{k}" for k in order if votes[k])
            axis.set_title(f"a {label}: {text}", weight="normal", pad=4)
        headline(
            figure,
            "Images on which the networks disagree most",
            f"All {len(result['runs'])} networks are right on {n_unanimous} of "
            f"{result['n_test']} test images; on these they disagree most (votes × digit)",
        )
    return figure  # type: ignore[no-any-return]


STUDY = Study(
    "seeds",
    "How much of a network's accuracy is luck, and what do many networks know together?",
    configure,
    run,
    tables,
    draw,
)
