"""Milliseconds of back propagation in the articles' versions, in NumPy.

    python benchmarks/back_propagation.py

Prints, for 784-70-30-10 and batches of 500 and 15000 random rows, the median time of one back
propagation of `fastmlp.reference` for every version (V1.0, V1.5, V1.6) and treatment of the bias,
the repetitions of all variants interleaved. Gradients are compared first.
"""

from __future__ import annotations

import statistics
import time
from itertools import product

import numpy as np

from fastmlp import Network, reference

BATCHES = {500: 41, 15000: 9}
"""Rows of a batch, and repetitions."""


def prepare(n_rows: int):
    """Network, layers and output delta of one forward pass on random rows."""
    network = Network((784, 70, 30, 10), random_state=0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, 784)).astype(np.float32)
    y = np.eye(10, dtype=np.float32)[rng.integers(0, 10, n_rows)]
    zs, activations = reference.forward(
        network.weights, reference.input_layer(x, slice(None)), network.functions
    )
    return network, zs, activations, activations[-1] - y.T


def measure(n_rows: int, repetitions: int) -> dict[tuple[str, str], float]:
    """Median milliseconds by (version, bias treatment)."""
    network, zs, activations, delta = prepare(n_rows)
    variants = list(product(reference.VERSIONS, reference.BIAS_TREATMENTS))
    milliseconds: dict[tuple[str, str], list[float]] = {variant: [] for variant in variants}
    expected = None
    for _ in range(repetitions):
        for variant in variants:
            start = time.perf_counter()
            gradients = reference.backward(
                network.weights, zs, activations, delta, network.functions, *variant
            )
            milliseconds[variant].append(1e3 * (time.perf_counter() - start))
            expected = expected or gradients
            for found, wanted in zip(gradients, expected, strict=True):
                np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-2)
    return {variant: statistics.median(values) for variant, values in milliseconds.items()}


def main() -> None:
    for n_rows, repetitions in BATCHES.items():
        print(f"batch {n_rows}, milliseconds per back propagation")
        for (version, bias), median in measure(n_rows, repetitions).items():
            print(f"  {version}  {bias:<15} {median:8.2f}")


if __name__ == "__main__":
    main()
