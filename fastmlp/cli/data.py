"""The data set that ``--data`` names."""

from __future__ import annotations

from fastmlp.datasets import Dataset, find, load

DATA_HELP = (
    "mnist, fashion (downloaded if missing), digits, moons, an npz file or a folder of IDX files; "
    "default: mnist if it is available locally, else digits"
)


def load_data(name: str | None) -> Dataset:
    """Load the data set of this name; without a name MNIST if it is available, else the digits."""
    if name is not None:
        return load(name)
    if find("mnist") is not None:
        return load("mnist", download=False)
    print(
        "MNIST is not available locally (--data mnist downloads it, FASTMLP_DATA names a folder "
        "that contains it); training on scikit-learn's small digits instead."
    )
    return load("digits")
