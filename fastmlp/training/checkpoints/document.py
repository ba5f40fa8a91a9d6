"""A training run as what a checkpoint file holds, and back."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_path
from fastmlp._types import Array, StrPath
from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Arrays, Fields
from fastmlp.files.model_file import Content, read_model_file
from fastmlp.files.plain_values import encode
from fastmlp.files.safetensors_header import DTYPES
from fastmlp.network.document import describe_network, restore_network
from fastmlp.network.network import Network
from fastmlp.training.checkpoints.fingerprint import Fingerprint, described
from fastmlp.training.checkpoints.search import Evaluations
from fastmlp.training.epoch import Epoch
from fastmlp.training.protocol import NetworkTraining

KIND = "Checkpoint"
SHORTEST_COLUMN = 64
"""Numbers in a list of a callback's state from which on it becomes an array of the file."""

SOLVERS: dict[str, type[Epoch] | type[Evaluations]] = {"epochs": Epoch, "lbfgs": Evaluations}


class Progress(Protocol):
    """Progress of an epoch or a search."""

    def describe(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Fields and arrays of a checkpoint."""
        ...


@dataclass(frozen=True)
class Snapshot:
    """State of a run between two steps, apart from weights and optimizer states.

    It is taken when nothing is half done, and stays true while batches are trained and while the
    callbacks after an epoch run, until the next one takes its place: whatever interrupts the run,
    the last snapshot and the weights fit together.

    Attributes
    ----------
    epochs_done : int
    n_steps : int
        Of the optimizer; before the epoch that is under way.
    learning_rate : float
    generator : mapping
        State of the bit generator, after the draws for the epoch that is under way.
    metrics : mapping
        Of the last epoch.
    under_way : bool
        Whether an epoch has begun: callbacks have been called, and random numbers drawn.
    progress : Epoch, Evaluations or None
        Live: it advances while the snapshot stays.
    callbacks : sequence of (name, settings, state)
    ended : bool
        Whether a callback has ended the run for good.
    """

    epochs_done: int
    n_steps: int
    learning_rate: float
    generator: Mapping[str, Any]
    metrics: Mapping[str, float]
    under_way: bool
    progress: Progress | None
    callbacks: Sequence[tuple[str, Mapping[str, Any] | None, Mapping[str, Any]]]
    ended: bool


def describe_training(
    training: NetworkTraining,
    fingerprint: Fingerprint,
    snapshot: Snapshot,
    solver: str,
    settings: Any,
) -> Content:
    """Return the content of a checkpoint of a run at this snapshot."""
    document, arrays = describe_network(training.network)
    document |= {
        "owner": {
            "name": fingerprint.owner,
            "settings": fingerprint.described_owner,
            "state": {name: encode(value) for name, value in fingerprint.owner_state.items()},
        },
        "settings": settings,
        "data": fingerprint.digests,
        "solver": solver,
        "position": {
            "epochs_done": snapshot.epochs_done,
            "n_steps": snapshot.n_steps,
            "learning_rate": snapshot.learning_rate,
            "generator": encode(_generator(training.rng, snapshot.generator)),
            "metrics": _described(snapshot.metrics),
            "under_way": snapshot.under_way,
            "ended": snapshot.ended,
        },
        "progress": None,
    }
    if snapshot.progress is not None:
        document["progress"], more = snapshot.progress.describe()
        arrays |= more
    if solver == "epochs":
        arrays["optimizer.states"] = training.states
    document["callbacks"] = [
        _describe_callback(f"callbacks.{i}", *callback, arrays)
        for i, callback in enumerate(snapshot.callbacks)
    ]
    return Content(KIND, document, arrays)


def _generator(like: np.random.Generator, state: Mapping[str, Any]) -> np.random.Generator:
    generator = copy.deepcopy(like)
    generator.bit_generator.state = state
    return generator


def _described(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: described(value) for name, value in values.items()}


def all_settings(
    training: NetworkTraining, fingerprint: Fingerprint, n_epochs: int
) -> dict[str, Any]:
    """Return the Trainer's parameters and those of this run, as JSON."""
    return _described({**training.settings(n_epochs), **fingerprint.settings})


def _describe_callback(
    where: str,
    name: str,
    settings: Mapping[str, Any] | None,
    state: Mapping[str, Any],
    arrays: dict[str, NDArray[Any]],
) -> dict[str, Any]:
    """Fields of a callback; its arrays go into `arrays`."""
    values, names, lists = {}, [], []
    for key, value in state.items():
        now = value() if callable(value) else value
        if isinstance(now, np.ndarray) and now.dtype in DTYPES.values():
            names.append(key)
            arrays[f"{where}.{key}"] = now
        elif (column := _column(now)) is not None:
            lists.append(key)
            arrays[f"{where}.{key}"] = column
        else:
            try:
                values[key] = encode(now)
            except TypeError as error:
                raise TypeError(f"{name}.state()[{key!r}]: {error} in a checkpoint") from None
    known = None if settings is None else _described(settings)
    return {"name": name, "settings": known, "values": values, "arrays": names, "lists": lists}


def _column(value: Any) -> NDArray[Any] | None:
    """A long list of numbers of one type as an array, which takes a tenth of the room."""
    if type(value) is not list or len(value) < SHORTEST_COLUMN:
        return None
    types = set(map(type, value))
    if types == {float}:
        return np.array(value, np.float64)
    if types == {int} and min(value) >= -(2**63) and max(value) < 2**63:
        return np.array(value, np.int64)
    return None


@dataclass
class SavedTraining:
    """Content of a checkpoint file, checked as far as possible without the run.

    Attributes
    ----------
    path : str
        Of the file.
    network : Network
    owner, owner_settings, settings, data
        JSON, to be compared with a Fingerprint.
    owner_state : dict
    solver : str
    states : ndarray of shape (n_states, n_parameters) or None
        Of the optimizer.
    epochs_done, n_steps, learning_rate, generator, metrics, under_way, ended, progress
        As of the Snapshot.
    callbacks : list of (name, settings, state)
    arithmetic : dict
        What the last bits depend on.
    """

    path: str
    network: Network
    owner: str
    owner_settings: dict[str, Any]
    owner_state: dict[str, Any]
    settings: dict[str, Any]
    data: dict[str, Any]
    solver: str
    states: Array | None
    epochs_done: int
    n_steps: int
    learning_rate: float
    generator: np.random.Generator
    metrics: dict[str, float]
    under_way: bool
    ended: bool
    progress: Epoch | Evaluations | None
    callbacks: list[tuple[str, dict[str, Any] | None, dict[str, Any]]]
    arithmetic: dict[str, Any]

    @property
    def least_epochs(self) -> int:
        """Smallest number of epochs of a run that continues from here."""
        return self.epochs_done + self.under_way


def read_checkpoint(path: StrPath) -> SavedTraining:
    """Read a checkpoint file.

    Raises
    ------
    ModelFormatError
        For every file that is not as it was written, with the file's name.
    OSError
        Where the file cannot be opened or read.
    """
    name = check_path("path", path)
    try:
        return _restore(name, read_model_file(name, (KIND,)))
    except ModelFormatError as error:
        raise ModelFormatError(f"{name!r}: {error}") from error.__cause__


def _restore(path: str, content: Content) -> SavedTraining:
    document, arrays = Fields(content.document, "document"), Arrays(content.arrays)
    arithmetic = {name: content.document.get(name) for name in ("plan_version", "arithmetic")}
    network = restore_network(document, arrays)
    owner, position = document.fields("owner"), document.fields("position")
    solver = document.take("solver", str)
    if solver not in SOLVERS:
        raise ModelFormatError(f"{document.where}: 'solver' must be one of {', '.join(SOLVERS)}")
    owner_state = owner.fields("state")
    saved = SavedTraining(
        path=path,
        network=network,
        owner=owner.take("name", str),
        owner_settings=owner.take("settings", dict),
        owner_state={name: owner_state.plain(name) for name in owner_state.names()},
        settings=document.take("settings", dict),
        data=document.take("data", dict),
        solver=solver,
        states=None,
        epochs_done=position.count("epochs_done"),
        n_steps=position.count("n_steps"),
        learning_rate=position.number("learning_rate"),
        generator=position.plain("generator", np.random.Generator),
        metrics=_restore_metrics(position.fields("metrics")),
        under_way=position.take("under_way", bool),
        ended=position.take("ended", bool),
        progress=_restore_progress(solver, document, network, arrays),
        callbacks=[
            _restore_callback(f"callbacks.{i}", fields, arrays)
            for i, fields in enumerate(document.objects("callbacks"))
        ],
        arithmetic=arithmetic,
    )
    if solver == "epochs":
        shape = (None, network.n_parameters)
        saved.states = arrays.take("optimizer.states", network.dtype, shape)
    if (saved.progress is None) == (saved.under_way or solver == "lbfgs"):
        raise ModelFormatError(f"{document.where}: 'under_way' and 'progress' do not fit")
    for fields in (owner, position, document):
        fields.end()
    arrays.end()
    return saved


def _restore_metrics(fields: Fields) -> dict[str, float]:
    metrics = {name: fields.plain(name, float, int) for name in fields.names()}
    return {name: float(value) for name, value in metrics.items()}


def _restore_progress(
    solver: str, document: Fields, network: Network, arrays: Arrays
) -> Epoch | Evaluations | None:
    progress = document.take("progress", dict, type(None))
    if progress is None:
        return None
    fields = Fields(progress, f"{document.where}.progress")
    if solver == "epochs":
        return Epoch.restore(fields, arrays)
    return Evaluations.restore(fields, arrays, network.n_parameters, network.dtype)


def _restore_callback(
    where: str, fields: Fields, arrays: Arrays
) -> tuple[str, dict[str, Any] | None, dict[str, Any]]:
    values = fields.fields("values")
    state = {name: values.plain(name) for name in values.names()}
    state |= {name: arrays.pop(f"{where}.{name}") for name in fields.texts("arrays")}
    if "lists" in fields.names():
        state |= {name: arrays.pop(f"{where}.{name}").tolist() for name in fields.texts("lists")}
    callback = fields.take("name", str), fields.take("settings", dict, type(None)), state
    fields.end()
    return callback
