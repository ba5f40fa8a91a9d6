"""The recipes: which one is for which data set, and that they suit a Trainer."""

from __future__ import annotations

import pytest

from fastmlp import Network, Trainer
from fastmlp.datasets import NAMES
from fastmlp.datasets.recipes import ARTICLE, PRESETS, RECIPES, Recipe, recipe_for
from fastmlp.datasets.scaling import Scaler


def test_every_data_set_has_a_recipe() -> None:
    assert set(RECIPES) == set(NAMES)
    assert all(recipe_for(name) is RECIPES[name] for name in NAMES)


def test_unknown_data_get_the_recipe_of_mnist() -> None:
    assert recipe_for("some.npz") is RECIPES["mnist"]


def test_a_preset_takes_the_place_of_the_recipe() -> None:
    assert recipe_for("digits", "article") is ARTICLE


@pytest.mark.parametrize("recipe", [*RECIPES.values(), *PRESETS.values()])
def test_a_recipe_is_accepted_by_network_trainer_and_scaler(recipe: Recipe) -> None:
    network = Network(
        (4, *recipe.hidden, 3),
        activation=recipe.activation,
        output=recipe.output,
        initializer=recipe.initializer,
    )
    Trainer(
        network,
        loss=recipe.loss,
        learning_rate=recipe.learn_rate,
        schedule="cumulative",
        decay=recipe.decay,
        momentum=recipe.momentum,
        l1=recipe.l1,
        l2=recipe.l2,
        batch_size=recipe.batch_size,
    )
    assert Scaler(recipe.scale).kind == recipe.scale
    assert recipe.epochs > 0
