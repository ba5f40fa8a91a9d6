"""What does a network keep that has to squeeze an image through a few numbers?

Beyond the articles: autoencoders of MNIST, 784-128-32-2-32-128-784 and with wider codes. A code of
two numbers is a plane that can be looked at; a noisy input with a clean target makes a filter; and
a digit that was never seen is given back worse than the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.network.network import Network
from fastmlp.studies.autoencoder.coding import (
    Images,
    add_noise,
    decode,
    make_network,
    median_filtered,
    neighbor_accuracy,
    principal_components,
    squared_errors,
    train,
)
from fastmlp.studies.autoencoder.figures import (
    draw_noise,
    draw_outliers,
    draw_plane,
    draw_restored,
)
from fastmlp.studies.lab.data import load_raw
from fastmlp.studies.lab.packed import pack
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_POINTS = 2000
"""Test images whose codes are drawn."""

N_NEAR = 10000
"""Training images among whose codes neighbours are looked for."""

GRID = 9
SHADES = 15
N_WORST = 10


@dataclass(frozen=True)
class Config:
    """Autoencoders: plain, denoising, and without one of the digits."""

    data: str = "mnist"
    n_train: int | None = None
    hidden: tuple[int, ...] = (128, 32)
    widths: tuple[int, ...] = (2, 8, 32)
    noise: float = 0.5
    left_out: tuple[int, ...] = (0, 4, 7)
    n_epochs: int = 20
    batch_size: int = 100
    learning_rate: float = 0.002
    seed: int = 0


def configure(data: str, quick: bool) -> Config:
    """The first 20,000 images; quick: fewer, and one digit left out."""
    if data == "mnist":
        return Config(n_train=5000, left_out=(7,), n_epochs=15) if quick else Config(n_train=20000)
    return Config(data, hidden=(48, 24), widths=(2, 4, 8), n_epochs=60 if quick else 150)


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train all autoencoders, and restore the test images with each."""
    raw = load_raw(config.data, config.n_train)
    X, X_test = (
        x.reshape(len(x), -1).astype(np.float32) / np.float32(raw.highest)
        for x in (raw.X_train, raw.X_test)
    )
    y, y_test = raw.y_train.astype(int), raw.y_test.astype(int)
    shown = np.array([np.flatnonzero(y_test == k)[0] for k in range(10)])

    def learn(case: Case, tick: Tick) -> dict[str, Any]:
        rows = y != case["left_out"] if case["left_out"] is not None else slice(None)
        network = make_network(X.shape[1], config.hidden, case["width"], config.seed)
        train(
            network,
            X[rows],
            n_epochs=config.n_epochs,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            seed=config.seed,
            noise=config.noise if case["noisy"] else 0.0,
            tick=tick,
        )
        if case["noisy"]:
            return _denoise(network, X_test, shown, config)
        restored = network.predict(X_test, n_threads=1)
        errors = squared_errors(X_test, restored)
        if case["left_out"] is not None:
            return {"area": rounded(area_under_curve(errors, y_test == case["left_out"]))}
        return {
            "error": rounded(errors.mean()),
            **_codes(network, X, y, X_test, y_test),
            "restored": _pack_images(restored[shown]),
            **(
                _worst(X_test, restored, errors, y_test)
                if case["width"] == config.widths[1]
                else {}
            ),
            **(_plane(network, X_test) if case["width"] == 2 else {}),
        }

    plain: list[Case] = [{"width": n, "noisy": False, "left_out": None} for n in config.widths]
    widest, middle = config.widths[-1], config.widths[1]
    cases: list[Case] = [
        *plain,
        {"width": widest, "noisy": True, "left_out": None},
        *({"width": middle, "noisy": False, "left_out": digit} for digit in config.left_out),
    ]
    runs = session.map(learn, cases, config=config, n_ticks=config.n_epochs)
    linear = [_linear(X, y, X_test, y_test, n, shown) for n in config.widths]
    return session.record(
        config,
        n_train=len(X),
        n_test=len(X_test),
        runs=runs,
        linear=linear,
        originals=_pack_images(X_test[shown]),
        labels="".join(map(str, y_test[:N_POINTS])),
    )


def _pack_images(images: NDArray[Any]) -> dict[str, Any]:
    """Pack images of 16 shades, which is enough to see, and takes half the bytes."""
    return pack(np.rint(np.clip(images, 0, 1) * SHADES) / SHADES, 0.0, 1.0)


def _codes(
    network: Network, X: Images, y: NDArray[Any], X_test: Images, y_test: NDArray[Any]
) -> dict[str, Any]:
    """How well the digits can be told from the codes alone."""
    layer = len(network.sizes) // 2
    codes = network.transform(X[:N_NEAR], layer=layer, n_threads=1)
    test_codes = network.transform(X_test, layer=layer, n_threads=1)
    accuracy = neighbor_accuracy(codes, y[:N_NEAR], test_codes, y_test)
    return {"neighbor_accuracy": rounded(accuracy)}


def _plane(network: Network, X_test: Images) -> dict[str, Any]:
    """Ranks of the codes of test images, and images decoded from a grid of equally spaced ranks.

    Ranks, from 0 to 1 along each axis, because a few far codes would leave no room for the others.
    """
    codes = network.transform(X_test, layer=len(network.sizes) // 2, n_threads=1)
    ranks = codes.argsort(axis=0).argsort(axis=0) / max(len(codes) - 1, 1)
    steps = np.linspace(0.5 / GRID, 1 - 0.5 / GRID, GRID)
    x, y = np.quantile(codes, steps, axis=0).T
    xx, yy = np.meshgrid(x, y[::-1])
    tiles = decode(network, np.c_[xx.ravel(), yy.ravel()])
    return {
        "ranks": pack(ranks[:N_POINTS], 0.0, 1.0),
        "range": rounded([codes.min(axis=0), codes.max(axis=0)]),
        "tiles": _pack_images(tiles),
    }


def _denoise(
    network: Network, X_test: Images, shown: NDArray[np.intp], config: Config
) -> dict[str, Any]:
    """Errors of noisy images, of the network's, and of a median filter's."""
    noisy = add_noise(X_test, config.noise, np.random.default_rng([config.seed, 2]))
    restored = network.predict(noisy, n_threads=1)
    filtered = median_filtered(noisy, round(X_test.shape[1] ** 0.5))
    errors = {"noisy": noisy, "median": filtered, "network": restored}
    return {
        "errors": {n: rounded(squared_errors(X_test, e).mean()) for n, e in errors.items()},
        "noisy_images": _pack_images(noisy[shown]),
        "median_images": _pack_images(filtered[shown]),
        "restored": _pack_images(restored[shown]),
    }


def _worst(
    X_test: Images, restored: Images, errors: NDArray[np.float64], y_test: NDArray[Any]
) -> dict[str, Any]:
    """The test images that are given back worst."""
    rows = np.argsort(-errors, kind="stable")[:N_WORST]
    return {
        "worst": {
            "labels": y_test[rows],
            "errors": rounded(errors[rows], 3),
            "images": _pack_images(X_test[rows]),
            "restored": _pack_images(restored[rows]),
        }
    }


def area_under_curve(errors: NDArray[np.float64], is_new: NDArray[np.bool_]) -> float:
    """Probability that a new image has a larger error than a known one."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_new, errors))


def _linear(
    X: Images,
    y: NDArray[Any],
    X_test: Images,
    y_test: NDArray[Any],
    width: int,
    shown: NDArray[np.intp],
) -> dict[str, Any]:
    """The same numbers for PCA, the best linear code."""
    codes, test_codes, restored = principal_components(X, X_test, width)
    accuracy = neighbor_accuracy(codes[:N_NEAR], y[:N_NEAR], test_codes, y_test)
    return {
        "width": width,
        "error": rounded(squared_errors(X_test, restored).mean()),
        "neighbor_accuracy": rounded(accuracy),
        "restored": _pack_images(restored[shown]),
    }


def tables(result: Result) -> list[Table]:
    """Errors and neighbours by width; noise; digits that were left out."""
    plain = [r for r in result["runs"] if not r["noisy"] and r["left_out"] is None]
    rows = tuple(
        (
            str(run["width"]),
            f"{run['error']:.4f}",
            f"{linear['error']:.4f}",
            f"{run['neighbor_accuracy']:.4f}",
            f"{linear['neighbor_accuracy']:.4f}",
        )
        for run, linear in zip(plain, result["linear"], strict=True)
    )
    noise = next(r["errors"] for r in result["runs"] if r["noisy"])
    left_out = [r for r in result["runs"] if r["left_out"] is not None]
    return [
        Table(
            "Test images through a code: mean squared error of a pixel (0 to 1), and accuracy of "
            "the nearest codes' majority",
            ("numbers in the code", "error", "error, PCA", "neighbours", "neighbours, PCA"),
            rows,
        ),
        Table(
            f"Mean squared error after noise of standard deviation {result['config']['noise']:g}",
            ("test images", "error"),
            (
                ("noisy", f"{noise['noisy']:.4f}"),
                ("median filter 3 x 3", f"{noise['median']:.4f}"),
                ("network", f"{noise['network']:.4f}"),
            ),
        ),
        Table(
            "A digit that was not trained: probability that its error is larger than another's",
            ("digit left out", "area under the ROC curve"),
            tuple((str(r["left_out"]), f"{r['area']:.3f}") for r in left_out),
        ),
    ]


def draw(result: Result) -> dict[str, Figure]:
    """The plane of codes; restored images by width; noise; images that are given back worst."""
    return {
        "plane": draw_plane(result),
        "restored": draw_restored(result),
        "noise": draw_noise(result),
        "outliers": draw_outliers(result),
    }


STUDY = Study(
    "autoencoder",
    "What does a network keep that has to squeeze an image through a few numbers?",
    configure,
    run,
    tables,
    draw,
)
