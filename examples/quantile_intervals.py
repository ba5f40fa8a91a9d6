"""How warm will it be? Five quantiles in one network
==================================================

::

    python examples/quantile_intervals.py [--out DIR]

Highest temperatures of every day in New York and Seattle: two years to train on, a third to shift
the quantiles until they hold for days that were not trained on, and a fourth to see how often the
intervals hold. Linear quantile regression on harmonics of the year, one fit per level for all three
years, is what the network has to measure up to.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections.abc import Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import mean_pinball_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fastmlp import MLPRegressor

DATA = Path(__file__).parent / "data" / "temperatures.csv.gz"
CITIES = ("New York", "Seattle")
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
CALIBRATION_YEAR, TEST_YEAR = 2014, 2015
DAYS = 365.25
Floats = NDArray[np.float64]


class Days(NamedTuple):
    """X: (n, 2), day of the year from 0 and index of the city.  y: (n,) highest temperature, °C."""

    X: Floats
    y: Floats

    def of(self, city: int) -> Days:
        """The days of one city."""
        chosen = self.X[:, 1] == city
        return Days(self.X[chosen], self.y[chosen])


def load() -> tuple[Days, Days, Days]:
    """Days to train on, and of the years to calibrate with and to test; see examples/README.md."""
    with gzip.open(DATA, "rt") as file:
        rows = list(csv.DictReader(file))
    dates = [date.fromisoformat(row["date"]) for row in rows]
    X = np.array(
        [
            (day.timetuple().tm_yday - 1, CITIES.index(row["city"]))
            for day, row in zip(dates, rows, strict=True)
        ],
        dtype=float,
    )
    y = np.array([float(row["high"]) for row in rows])
    year = np.array([day.year for day in dates])
    before, held_out, test = year < CALIBRATION_YEAR, year == CALIBRATION_YEAR, year == TEST_YEAR
    return Days(X[before], y[before]), Days(X[held_out], y[held_out]), Days(X[test], y[test])


def circle(X: Floats) -> Floats:
    """(n, 3): the year as a circle, so that December ends where January begins, and the city."""
    angle = 2 * np.pi * X[:, 0] / DAYS
    return np.column_stack([np.cos(angle), np.sin(angle), X[:, 1]])


def harmonics(X: Floats) -> Floats:
    """(n, 9): two harmonics of the year, for each city its own."""
    angle, city = 2 * np.pi * X[:, :1] / DAYS, X[:, 1:]
    waves = np.hstack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)])
    return np.hstack([waves, waves * city, city])


def make_model() -> Pipeline:
    """Targets are scaled in training; predictions are in °C, one column per level."""
    network = MLPRegressor(
        loss="quantile",
        quantile=LEVELS,
        hidden_layer_sizes="16x16",
        activation="silu",
        batch_size=50,
        learning_rate="cosine",
        learning_rate_init=0.01,
        max_iter=60,
        n_iter_no_change=np.inf,  # the schedule says when to stop
        scale_target=True,
        random_state=0,
    )
    return make_pipeline(FunctionTransformer(circle), network)


def calibrate(model: Pipeline, days: Days) -> None:
    """Shift the quantiles of the pipeline's network so that they hold for these days."""
    model[-1].calibrate(model[:-1].transform(days.X), days.y)


def linear_quantiles(train: Days, X: Floats) -> Floats:
    """(n, 5) predictions of quantile regressions on harmonics."""
    columns = [
        make_pipeline(FunctionTransformer(harmonics), QuantileRegressor(quantile=q, alpha=0.0))
        .fit(train.X, train.y)
        .predict(X)
        for q in LEVELS
    ]
    return np.column_stack(columns)


def coverage(y: Floats, low: Floats, high: Floats) -> float:
    """Share of the days whose temperature lies in its interval."""
    return float(np.mean((low <= y) & (y <= high)))


def pinball(y: Floats, quantiles: Floats) -> float:
    """The loss of quantiles (n, 5), mean over the levels, in °C."""
    losses = [mean_pinball_loss(y, q, alpha=a) for q, a in zip(quantiles.T, LEVELS, strict=True)]
    return float(np.mean(losses))


def draw(model: Pipeline, test: Days, path: Path) -> None:
    """Predicted intervals over the year, and the days of the test year, for each city."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.subplots(1, len(CITIES), sharey=True)
    day = np.arange(366.0)
    for city, ax in enumerate(axes):
        low, q25, middle, q75, high = model.predict(np.column_stack([day, 0 * day + city])).T
        ax.fill_between(day, low, high, color="#56B4E9", alpha=0.4, lw=0, label="90 % interval")
        ax.fill_between(day, q25, q75, color="#0072B2", alpha=0.5, lw=0, label="50 % interval")
        ax.plot(day, middle, color="#00324F", lw=2, label="median")
        X, y = test.of(city)
        predicted = model.predict(X)
        share = coverage(y, predicted[:, 0], predicted[:, -1])
        ax.plot(X[:, 0], y, ".", color="0.2", ms=3.5, label=f"days of {TEST_YEAR}")
        ax.set_title(f"{CITIES[city]}: {100 * share:.0f} % of the days in the 90 % interval")
        _label_months(ax)
    axes[0].set_ylabel("highest temperature of the day (°C)")
    axes[0].legend(frameon=False, loc="lower center", fontsize=9)
    figure.savefig(path, dpi=120)


def _label_months(ax: Any) -> None:
    """Every second month at its first day."""
    months = [date(TEST_YEAR, month, 1) for month in range(1, 13, 2)]
    ax.set_xticks([d.timetuple().tm_yday - 1 for d in months], [f"{d:%b}" for d in months])
    ax.set_xlim(0, 365)
    ax.spines[["top", "right"]].set_visible(False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, calibrate, count how often the intervals hold, print, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write quantile_intervals.png there"
    )
    options = parser.parse_args(arguments)
    if options.out and find_spec("matplotlib") is None:
        parser.error("--out needs matplotlib, which pip install 'fastmlp[plots]' brings")

    train, held_out, test = load()
    model = make_model().fit(train.X, train.y)
    print(
        f"trained on {len(train.y)} days before {CALIBRATION_YEAR}, calibrated with "
        f"{len(held_out.y)} of {CALIBRATION_YEAR}, tested on {len(test.y)} of {TEST_YEAR}"
    )
    of_train, before = model.predict(train.X), model.predict(test.X)
    calibrate(model, held_out)
    of_test = model.predict(test.X)
    for low, high in ((0, 4), (1, 3)):
        trained, raw, calibrated = (
            coverage(days.y, quantiles[:, low], quantiles[:, high])
            for days, quantiles in ((train, of_train), (test, before), (test, of_test))
        )
        print(
            f"interval of {LEVELS[high] - LEVELS[low]:.0%}: holds {trained:.1%} of the days "
            f"trained on; of {TEST_YEAR} {raw:.1%}, and {calibrated:.1%} after calibration"
        )
    print(f"crossing quantiles: {np.sum(np.diff(of_test, axis=1) < 0)}")
    known = Days(*(np.concatenate(parts) for parts in zip(train, held_out, strict=True)))
    line = pinball(test.y, linear_quantiles(known, test.X))
    print(
        f"quantile loss in {TEST_YEAR}: {pinball(test.y, of_test):.3f} °C; "
        f"of linear quantile regression on harmonics {line:.3f} °C"
    )
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        draw(model, test, options.out / "quantile_intervals.png")
        print(f"written: {options.out / 'quantile_intervals.png'}")


if __name__ == "__main__":
    main()
