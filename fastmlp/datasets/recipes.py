"""Recipes: the best known training settings for each data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Settings of one training run, in the terms of :class:`fastmlp.Trainer`.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    batch_size, epochs : int
    learn_rate, decay : float
        Initial learning rate and decay of the cumulative rule, see :mod:`fastmlp.schedules`.
    l2, l1, momentum : float
        Strengths of the L2 and L1 penalties; momentum coefficient.
    scale : str
        feature, global or none.
    initializer, activation, output, loss : str
    """

    hidden: tuple[int, ...] = (70, 30)
    batch_size: int = 500
    epochs: int = 35
    learn_rate: float = 0.003
    decay: float = 1e-3
    l2: float = 0.1
    l1: float = 0.0
    momentum: float = 5e-5
    scale: str = "global"
    initializer: str = "sqrt_nodes"
    activation: str = "sigmoid"
    output: str = "sigmoid"
    loss: str = "log_loss"


ARTICLE = Recipe(scale="feature", learn_rate=0.001, decay=1e-5, l2=0.2)
"""The settings of the articles' best run (part XIII), for 35 epochs instead of 800."""

RECIPES = {
    "mnist": Recipe(),
    "fashion": Recipe(decay=2e-3),
    "digits": Recipe(batch_size=50, epochs=60, learn_rate=0.04, decay=5e-4, l2=0.01),
    "moons": Recipe(
        hidden=(10,),
        batch_size=50,
        epochs=100,
        learn_rate=0.1,
        decay=5e-4,
        l2=0.001,
        scale="feature",
    ),
}
"""The best settings known per data set, judged by the test accuracy of a few seeds."""

PRESETS = {"article": ARTICLE}


def recipe_for(data_set: str, preset: str | None = None) -> Recipe:
    """Return the preset with this name, or the recipe of the data set (default: MNIST's).

    `data_set` is the name of a :class:`fastmlp.datasets.Dataset`.
    """
    if preset is not None:
        return PRESETS[preset]
    return RECIPES.get(data_set, RECIPES["mnist"])
