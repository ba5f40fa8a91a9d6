"""Handwritten digits in a Pipeline
================================

::

    python examples/mnist_pipeline.py [--quick] [--out DIR]

MNIST is used where it is on this computer (see fastmlp.datasets), else scikit-learn's small digits.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler

from fastmlp import MLPClassifier, datasets

QUICK_ROWS, QUICK_EPOCHS, EPOCHS = 5_000, 20, 30


def load() -> datasets.Dataset:
    """MNIST without a download, or the digits that scikit-learn brings."""
    if datasets.find("mnist") is None:
        print(
            "MNIST is not on this computer, so these are scikit-learn's 8 x 8 digits. "
            "`fastmlp train --data mnist` downloads MNIST once."
        )
        return datasets.load("digits")
    return datasets.load("mnist")


def make_model(max_iter: int) -> Pipeline:
    """Pixels between 0 and 1, then two hidden layers.

    The rate falls to almost nothing over max_iter epochs, so none of them are wasted. A tenth of
    the rows is held back, and the weights that did best on them are kept.
    """
    network = MLPClassifier(
        "128x64",
        learning_rate="cosine",
        learning_rate_init=0.003,
        max_iter=max_iter,
        dropout=0.2,
        early_stopping=True,
        n_iter_no_change=np.inf,  # the schedule says when to stop
        random_state=0,
    )
    return make_pipeline(MinMaxScaler(clip=True), network)


def most_confused(y: np.ndarray, predicted: np.ndarray) -> tuple[int, int, int]:
    """The two digits that were taken for another most often: (true, predicted, times)."""
    confused = confusion_matrix(y, predicted)
    np.fill_diagonal(confused, 0)
    true, wrong = np.unravel_index(confused.argmax(), confused.shape)
    return int(true), int(wrong), int(confused[true, wrong])


def draw(network: MLPClassifier, path: Path) -> None:
    """The loss of the rows trained on and of those held back, per epoch."""
    from matplotlib.figure import Figure

    history = network.history_
    epochs = np.arange(1, len(history["loss"]) + 1)
    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = figure.subplots()
    ax.plot(epochs, history["loss"], color="#0072B2", label="images trained on, with dropout")
    ax.plot(epochs, history["val_loss"], color="#D55E00", ls="--", label="images held back")
    best = network.best_epoch_
    if best is not None:
        point = best + 1, history["val_loss"][best]
        ax.plot(*point, "o", color="#D55E00", label=f"epoch {best + 1}, whose weights were kept")
    ax.set(xlabel="epoch", ylabel="log loss per image (nats)", ylim=(0, None))
    ax.set_title(
        f"{network.best_validation_score_:.1%} of the images held back are recognized", loc="left"
    )
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> None:
    """Load, fit, score, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROWS} rows, {QUICK_EPOCHS} epochs"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write mnist_pipeline.png there")
    options = parser.parse_args(arguments)
    if options.out and find_spec("matplotlib") is None:
        parser.error("--out needs matplotlib, which pip install 'fastmlp[plots]' brings")

    data = load()
    n_rows = QUICK_ROWS if options.quick else len(data.X_train)
    X_train = data.X_train[:n_rows].astype(np.float32)  # single precision is twice as fast
    X_test = data.X_test.astype(np.float32)

    model = make_model(QUICK_EPOCHS if options.quick else EPOCHS)
    start = perf_counter()
    model.fit(X_train, data.y_train[:n_rows])
    seconds = perf_counter() - start

    network = model[-1]
    true, wrong, times = most_confused(data.y_test, model.predict(X_test))
    print(f"{len(X_train)} images of {data.name}, {network.n_iter_} epochs in {seconds:.1f} s")
    print(network.summary())
    print(f"accuracy on {len(X_test)} test images: {model.score(X_test, data.y_test):.4f}")
    print(f"most frequent error: a {true} was taken for a {wrong} ({times} times)")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        draw(network, options.out / "mnist_pipeline.png")
        print(f"written: {options.out / 'mnist_pipeline.png'}")


if __name__ == "__main__":
    main()
