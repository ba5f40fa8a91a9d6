"""Model files of the command line: what ``fastmlp train --out`` writes and others read."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from fastmlp.cli.options import UsageError
from fastmlp.cli.run_data import RunData
from fastmlp.datasets.labelled import without_rows
from fastmlp.datasets.recipes import Recipe
from fastmlp.datasets.scaling import Scaler
from fastmlp.exchange.saving import MODEL_NAME, load, save
from fastmlp.myann.myann import MyANN
from fastmlp.myann.parameters import LOSS_FUNCTIONS
from fastmlp.network.network import Network
from fastmlp.training.checkpoints.folder import NAME as CHECKPOINT_NAME
from fastmlp.training.checkpoints.folder import checkpoint_numbers
from fastmlp.training.trainer import Trainer

MODELS = "a file written by fastmlp.save, or the folder of fastmlp train --out"

_ARTICLES_LOSSES = {ours: name for name, ours in LOSS_FUNCTIONS.items()}
_ARTICLES_SCALING: dict[str, bool | str] = {"feature": True, "global": "global", "none": False}


def write_model(
    folder: Path,
    data: RunData,
    trainer: Trainer,
    scaler: Scaler,
    recipe: Recipe,
    options: Namespace,
) -> str:
    """Write network, scaler, classes and history as a MyANN, and return the file's name."""
    network = trainer.network
    ann = MyANN(
        without_rows(network.sizes[0], data.classes, network.dtype, data.origin),
        len(recipe.hidden),
        [*network.sizes],
        len(data.classes),
        my_activation_function=recipe.activation,
        my_out_function=recipe.output,
        my_loss_function=_ARTICLES_LOSSES[recipe.loss],
        n_size_mini_batch=recipe.batch_size,
        n_epochs=recipe.epochs,
        lambda2_reg=recipe.l2,
        lambda1_reg=recipe.l1,
        learn_rate=recipe.learn_rate,
        decrease_const=recipe.decay,
        mom_rate=recipe.momentum,
        random_state=options.seed,
        dtype=network.dtype.name,
        b_standardize=_ARTICLES_SCALING[scaler.kind],
        b_train_on_init=False,
        b_verbose=False,
        my_initializer=recipe.initializer,
    )
    ann.my_data_set = data.name
    ann.feature_names = data.feature_names
    ann.network.parameters[...] = network.parameters
    ann.scaler = scaler
    ann.history = trainer.history
    save(ann, folder / MODEL_NAME)
    return MODEL_NAME


def add_model(parser: ArgumentParser) -> None:
    """Add the model file as an argument."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help=MODELS,
    )


def load_model(name: str) -> Any:
    """Load a model file, or the one in a folder that ``fastmlp train --out`` wrote.

    Raises
    ------
    UsageError
        If there is none, with what is there instead.
    ModelFormatError, OSError
        As from :func:`fastmlp.load`.
    """
    path = Path(name)
    if not path.exists():
        raise UsageError(f"MODEL must be {MODELS}; {name} does not exist")
    folder = path if path.is_dir() else path.parent
    has_model = path.is_file() or (path / MODEL_NAME).is_file()
    is_checkpoint = CHECKPOINT_NAME.fullmatch(path.name) is not None
    if is_checkpoint or (not has_model and checkpoint_numbers(folder)):
        raise UsageError(
            f"MODEL must be {MODELS}; {name} holds checkpoints of a run, and no model. "
            f"fastmlp train --checkpoint {folder} --resume --out DIR, with the options of the run, "
            "continues it and writes the model"
        )
    if not has_model:
        raise UsageError(f"MODEL must be {MODELS}; the folder {name} has no {MODEL_NAME}")
    return load(path if path.is_file() else path / MODEL_NAME)


def count_inputs(model: Any) -> int | None:
    """Return the number of columns that a model takes; None if it does not say."""
    network = model if isinstance(model, Network) else getattr(model, "network", None)
    return network.sizes[0] if network is not None else getattr(model, "n_features_in_", None)


def reads_sources(model: Any) -> bool:
    """Return whether a model predicts the rows of a source; others need a data frame or array."""
    if isinstance(model, Network | MyANN):
        return True
    from fastmlp.estimators.base import BaseMLP

    return isinstance(model, BaseMLP)


def column_names(model: Any) -> list[str] | None:
    """Return the names of the columns on which a model was fitted; None if it knows none."""
    names = getattr(model, "feature_names_in_", getattr(model, "feature_names", None))
    return None if names is None else list(names)
