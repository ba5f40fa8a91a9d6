"""What a resumed training must have in common with the one that was saved.

Parameters are compared one by one. Data are told by a fingerprint: dtype, shape and SHA-256 of the
numbers, which takes about as long as an epoch of a small network and is made once a training, for
its first checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine.rows import SparseRows
from fastmlp.files.plain_values import decode, encode

if TYPE_CHECKING:
    from fastmlp.training.checkpoints.document import SavedTraining
    from fastmlp.training.trainer import Trainer

DATA_NAMES = ("X", "Y", "sample_weight")
"""Of a Rows, for messages."""

PLANNED_SCHEDULES = ("cosine", "one_cycle")
"""Those that are laid out for a number of epochs."""

DIGEST_SHOWN = 12
HASH_BYTES = 1 << 24


@dataclass
class Identity:
    """A training, as far as it is compared, and where it goes on.

    Attributes
    ----------
    data : mapping of str to array, SparseRows or None
        By the name that messages use.
    owner : str
        Who trains: "Trainer", "MyANN", "MLPClassifier" and so on.
    owner_settings : mapping
        Parameters in the owner's names, compared before those of the Trainer.
    owner_state : mapping
        What the owner wants back before it can call its trainer; plain values.
    settings : mapping
        More parameters of this training, beside those of the Trainer.
    saved : SavedTraining or None
        Where it goes on.
    """

    data: Mapping[str, Any]
    owner: str = "Trainer"
    owner_settings: Mapping[str, Any] = field(default_factory=dict)
    owner_state: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    saved: SavedTraining | None = None

    @cached_property
    def fingerprints(self) -> dict[str, str | None]:
        """Of the data, by name."""
        return {name: fingerprint(array) for name, array in self.data.items()}


def fingerprint(array: NDArray[Any] | SparseRows | None) -> str | None:
    """Dtype, shape and SHA-256 of a C-ordered array or of sparse rows, as a text."""
    if array is None:
        return None
    digest, kind = hashlib.sha256(), ""
    parts = [array]
    if isinstance(array, SparseRows):
        parts, kind = [array.values, array.columns, array.begin], "sparse "
    for part in parts:
        flat = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        for begin in range(0, len(flat), HASH_BYTES):  # a signal is seen in between
            digest.update(flat[begin : begin + HASH_BYTES].data)
    return f"{kind}{array.dtype} {tuple(array.shape)} sha256:{digest.hexdigest()}"


def described(value: Any) -> Any:
    """A parameter as JSON; what JSON cannot hold, by the name of its type or of the function."""
    try:
        return encode(value)
    except TypeError:
        name = getattr(value, "__qualname__", None)
        return f"{type(value).__name__} {name}" if name else f"a {type(value).__name__}"


def trainer_settings(trainer: Trainer, n_epochs: int) -> dict[str, Any]:
    """Everything that decides what a Trainer does with its data, but rates that may have changed.

    The number of threads is not among them: no bit depends on it. The number of epochs is where the
    schedule is laid out for it.
    """
    t, network, loss = trainer, trainer.network, trainer.loss_function
    settings = {
        "sizes": network.sizes,
        "activation": network.activations,
        "output": network.output,
        "dtype": network.dtype.name,
        "loss": t.loss if loss.function is None else f"own {_name_of(loss)}",
        "loss parameters": loss.parameters(network.sizes[-1]),
        "schedule": t.schedule,
        "decay": t.decay,
        "warmup": t.warmup,
        "optimizer": t.optimizer.kind if t.optimizer.name == "sgd" else t.optimizer.name,
        "optimizer's numbers": dict(t.optimizer.coefficients()),
        "l1": t.l1,
        "l2": t.l2,
        "legacy_l1_cost": t.l1_cost != t.l1,
        "penalty_scale": t.penalty_scale,
        "reduction": t.reduction,
        "batch_size": t.batch_size,
        "max_batches": t.max_batches,
        "dropout": t.dropout,
        "max_grad_norm": t.max_grad_norm,
        "shuffle": t.shuffle,
        "engine": t.engine_name,
    }
    if t.schedule in PLANNED_SCHEDULES:
        settings[f"number of epochs of the schedule {t.schedule!r}"] = n_epochs
    return settings


def _name_of(loss: Any) -> str:
    return getattr(loss.own, "__qualname__", type(loss.own).__name__)


def differences(
    saved: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> dict[str, tuple[str, str]]:
    """The names under which two mappings of JSON values differ, and both values as texts."""
    return {
        f"{prefix}{name}": (_shown(saved.get(name)), _shown(now.get(name)))
        for name in (*saved, *(name for name in now if name not in saved))
        if saved.get(name) != now.get(name)
    }


def _shown(value: Any) -> str:
    if isinstance(value, str):
        text, _, digest = value.partition(" sha256:")
        return f"{text} with SHA-256 {digest[:DIGEST_SHOWN]}..." if digest else repr(value)[:100]
    with suppress(ValueError, TypeError, LookupError, ArithmeticError):
        value = decode(value)
    return repr(value)[:100]
