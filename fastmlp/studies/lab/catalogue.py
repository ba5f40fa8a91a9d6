"""Names of all studies, and the lookup of a study by name."""

from __future__ import annotations

from importlib import import_module

from fastmlp._names import nearest
from fastmlp.studies.lab.study import Study

NAMES = (
    "first-run",
    "regularisation",
    "learning-rate",
    "batch-size",
    "mini-batches",
    "bias-variants",
    "performance",
    "confusion",
    "clusters",
    "perceptron",
    "softmax-vs-sigmoid",
    "moons",
    "threads",
    "products",
    "seeds",
    "best-of-60s",
    "special-records",
    "populations",
    "bias-off",
    "kmeans",
    "autoencoder",
    "landscapes",
    "cnn-dense-layers",
    "cnn-outputs",
    "cnn-optimizers",
    "cnn-augmentation",
)
"""All studies: those of the articles in their order, what they announced, and what lies beyond."""


def find_study(name: str) -> Study:
    """Import the module of a study and return the study.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    if name not in NAMES:
        there_are = nearest(name, NAMES) or f"; there are: {', '.join(NAMES)}"
        raise ValueError(f"unknown study {name!r}{there_are}")
    study: Study = import_module(f"fastmlp.studies.{name.replace('-', '_')}").STUDY
    return study
