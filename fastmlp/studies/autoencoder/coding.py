"""Autoencoders, and what they are compared with: PCA, a median filter, neighbours in the code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine.rows import Rows
from fastmlp.network.network import Network
from fastmlp.training.trainer import Trainer

Images = NDArray[np.float32]

N_NEIGHBORS = 10


def make_network(n_pixels: int, hidden: Sequence[int], width: int, seed: int) -> Network:
    """Create a network n_pixels - hidden - width - reversed hidden - n_pixels.

    Hidden layers are relu, the narrow one (the code) linear, pixels sigmoid.
    """
    sizes = (n_pixels, *hidden, width, *reversed(hidden), n_pixels)
    relu = ["relu"] * len(hidden)
    return Network(
        sizes,
        activation=[*relu, "identity", *relu],
        output="sigmoid",
        initializer="he",
        random_state=seed,
    )


def train(
    network: Network,
    images: Images,
    *,
    n_epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    noise: float,
    tick: Callable[[Any], None],
) -> None:
    """Train with Adam and log loss to give back images (n, n_pixels), which are in [0, 1].

    With noise (a standard deviation), inputs are noisy, drawn again for every epoch, and targets
    are the clean images.
    """
    trainer = Trainer(
        network,
        optimizer="adam",
        loss="log_loss",
        learning_rate=learning_rate,
        schedule="constant" if noise else "cosine",
        reduction="mean",
        batch_size=batch_size,
        n_threads=1,
        random_state=seed,
    )
    if not noise:
        trainer.train(Rows(images, images), n_epochs=n_epochs, callbacks=[tick])
        return
    rng = np.random.default_rng([seed, 1])
    # One call has one set of inputs: the rate follows the same cosine by hand.
    for epoch in range(n_epochs):
        trainer.learning_rate = learning_rate * (1 + np.cos(np.pi * epoch / n_epochs)) / 2
        trainer.train(Rows(add_noise(images, noise, rng), images), n_epochs=1, callbacks=[tick])


def add_noise(images: Images, noise: float, rng: np.random.Generator) -> Images:
    """Add Gaussian noise of this standard deviation; the result is cut to [0, 1]."""
    noisy = rng.standard_normal(images.shape, np.float32)
    noisy *= np.float32(noise)
    noisy += images
    return np.clip(noisy, 0, 1, out=noisy)


def decode(network: Network, codes: NDArray[Any]) -> Images:
    """Images (n, n_pixels) that the second half of an autoencoder makes of codes (n, width)."""
    half = len(network.sizes) // 2
    decoder = Network(
        network.sizes[half:], activation=network.activations[half:], output=network.output
    )
    decoder.set_weights(network.weights[half:])
    images: Images = decoder.predict(codes.astype(np.float32), n_threads=1)
    return images


def squared_errors(images: Images, restored: NDArray[Any]) -> NDArray[np.float64]:
    """Mean squared difference of the pixels of every image, (n,)."""
    errors: NDArray[np.float64] = ((images - restored) ** 2).mean(axis=1, dtype=np.float64)
    return errors


def principal_components(
    train: Images, test: Images, width: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Codes of training and test images, and restored test images, of the best linear code."""
    from sklearn.decomposition import PCA

    pca = PCA(width, svd_solver="covariance_eigh").fit(train)
    codes = pca.transform(test)
    return pca.transform(train), codes, pca.inverse_transform(codes)


def neighbor_accuracy(
    codes: NDArray[Any], y: NDArray[Any], test_codes: NDArray[Any], y_test: NDArray[Any]
) -> float:
    """Test accuracy of the majority of the nearest training codes."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(N_NEIGHBORS, algorithm="kd_tree").fit(codes, y)
    return float(model.score(test_codes, y_test))


def median_filtered(images: Images, side: int) -> NDArray[Any]:
    """Each pixel the median of its 3 x 3 neighborhood."""
    from scipy.ndimage import median_filter

    filtered = median_filter(images.reshape(-1, side, side), size=(1, 3, 3))
    rows: NDArray[Any] = filtered.reshape(len(images), -1)
    return rows
