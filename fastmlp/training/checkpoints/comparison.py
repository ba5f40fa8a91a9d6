"""Comparison of a run with the checkpoint that it is to resume from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from fastmlp.engine.environment import arithmetic
from fastmlp.engine.plan import PLAN_VERSION
from fastmlp.exceptions import ModelFormatError, ResumeError
from fastmlp.training.checkpoints.document import SavedTraining
from fastmlp.training.checkpoints.fingerprint import Fingerprint, described, differences
from fastmlp.training.epoch import Epoch
from fastmlp.training.protocol import NetworkTraining

INTERNAL = ("HistoryRecorder", "Recorder", "FitRecorder", "Bookkeeper", "Convergence", "Progress")
"""Names of callbacks that users do not know."""


class Remembering(Protocol):
    """Interface of objects whose state a checkpoint saves: a callback, or a run's recorder."""

    def settings(self) -> Mapping[str, Any] | None:
        """Return what a resumed run must share; None for what may come and go."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Return what has been learned so far."""
        ...

    def restore(self, training: Any, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        ...


Partner = tuple[Remembering, str, Mapping[str, Any] | None]
"""Something with settings or a state, its name and settings."""


class Comparison:
    """A run beside a checkpoint.

    Parameters
    ----------
    training : NetworkTraining
    fingerprint : Fingerprint
    partners : sequence of Partner
    settings : dict
        All parameters of the run, as JSON.
    solver : {"epochs", "lbfgs"}
    n_epochs : int
        Epochs of the run, those of the checkpoint included.
    """

    def __init__(
        self,
        training: NetworkTraining,
        fingerprint: Fingerprint,
        partners: Sequence[Partner],
        settings: Mapping[str, Any],
        *,
        solver: str,
        n_epochs: int,
    ) -> None:
        self.training, self.fingerprint, self.partners = training, fingerprint, partners
        self.settings, self.solver, self.n_epochs = settings, solver, n_epochs

    def refuse_another_run(self, saved: SavedTraining) -> None:
        """Raise an error for a checkpoint of another run; warn if the arithmetic differs.

        Raises
        ------
        ResumeError
            Naming what differs.
        """
        found = (
            self._different_owner(saved)
            or differences(saved.settings, self.settings)
            or self._different_callbacks(saved) | self._different_epochs(saved)
            or differences(
                {"random_state": _type_of(saved.generator)},
                {"random_state": _type_of(self.training.rng)},
            )
            or differences(saved.data, self.fingerprint.digests)
        )
        if found:
            raise ResumeError(saved.path, found)
        _warn_of_other_arithmetic(saved)

    def _different_owner(self, saved: SavedTraining) -> dict[str, tuple[str, str]]:
        fingerprint = self.fingerprint
        now = fingerprint.described_owner
        return differences(
            {"owner": saved.owner, "solver": saved.solver},
            {"owner": fingerprint.owner, "solver": self.solver},
        ) or differences(saved.owner_settings, now)

    def refuse_wrong_shapes(self, saved: SavedTraining, n_batches: int) -> None:
        """Raise an error for a file whose arrays do not match its parameters.

        Raises
        ------
        ModelFormatError
        """
        shape, progress = self.training.states.shape, saved.progress
        if saved.states is not None and saved.states.shape != shape:
            raise ModelFormatError(
                f"{saved.path!r}: array 'optimizer.states' must have shape {shape}, found "
                f"{saved.states.shape}"
            )
        if isinstance(progress, Epoch) and progress.n_batches != n_batches:
            raise ModelFormatError(
                f"{saved.path!r} has an epoch of {progress.n_batches} batches, expected {n_batches}"
            )

    def _different_callbacks(self, saved: SavedTraining) -> dict[str, tuple[str, str]]:
        partners = [each for each in self.partners if each[2] is not None]
        saved_partners = [each for each in saved.callbacks if each[1] is not None]
        names = [name for _, name, _ in partners]
        saved_names = [name for name, _, _ in saved_partners]
        if names != saved_names:
            before_and_now = [
                ", ".join(name for name in each if name not in INTERNAL) or "none"
                for each in (saved_names, names)
            ]
            return {"callbacks": (before_and_now[0], before_and_now[1])}
        found: dict[str, tuple[str, str]] = {}
        for (_, name, mine), (_, theirs, _) in zip(partners, saved_partners, strict=True):
            now = {key: described(value) for key, value in (mine or {}).items()}
            found |= differences(theirs or {}, now, prefix=f"{name}.")
        return found

    def _different_epochs(self, saved: SavedTraining) -> dict[str, tuple[str, str]]:
        """A run can become longer, but not shorter than what is done."""
        if self.n_epochs >= saved.least_epochs:
            return {}
        return {"number of epochs": (f"at least {saved.least_epochs}", str(self.n_epochs))}


def _warn_of_other_arithmetic(saved: SavedTraining) -> None:
    here = {"plan_version": PLAN_VERSION, "arithmetic": arithmetic()}
    found = differences(_flat(saved.arithmetic), _flat(here))
    if found:
        text = "; ".join(f"{name} was {a}, is now {b}" for name, (a, b) in found.items())
        warnings.warn(
            f"the checkpoint {saved.path!r} was written in a different environment; results may "
            f"differ in the last bits: {text}",
            stacklevel=2,
        )


def _type_of(generator: np.random.Generator) -> str:
    return type(generator.bit_generator).__name__


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with names joined by points."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{name}.")
            if isinstance(value, dict)
            else {f"{prefix}{name}": value}
        )
    return flat
