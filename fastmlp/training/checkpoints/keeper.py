"""One training and its checkpoints: where it goes on, what it has in common, when to write."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.callbacks.base import EpochCallback, around_training
from fastmlp.engine.environment import arithmetic
from fastmlp.engine.plan import PLAN_VERSION
from fastmlp.exceptions import ModelFormatError, ResumeError
from fastmlp.files.plain_values import encode
from fastmlp.training.checkpoints.checkpoint import Checkpoint
from fastmlp.training.checkpoints.document import (
    Position,
    Progress,
    SavedTraining,
    all_settings,
    check_callbacks,
    describe_training,
)
from fastmlp.training.checkpoints.identity import Identity, described, differences
from fastmlp.training.epoch import Epoch

if TYPE_CHECKING:
    from fastmlp.training.trainer import Trainer

SHORTEST_LOOK_SECONDS = 0.05
"""Between two looks at the clock within an epoch."""

FASTEST_GROWTH = 2
"""Batches until the next look, of those that are done: as long as their speed is hardly known."""


RESTORE_ERRORS = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
"""What `restore` of a callback may raise for a state that is none."""

INTERNAL = ("Recorder", "FitRecorder", "Convergence")
"""Callbacks that users do not know of."""

Partner = tuple[EpochCallback, str, Mapping[str, Any] | None]
"""A callback with settings or a state, its name and settings."""


class Run:
    """A training of a Trainer.

    Parameters
    ----------
    trainer : Trainer
    calls : sequence of EpochCallback
        All of them; the Checkpoints among them are served here.
    identity : Identity
    solver : {"epochs", "lbfgs"}
    n_epochs : int
        At the end of which the training is over.
    n_batches : int
        Of an epoch; for solver "epochs".

    Raises
    ------
    ResumeError
        Where the checkpoint in `identity` is of another training.
    ModelFormatError
        Where the checkpoint contradicts itself.
    """

    def __init__(
        self,
        trainer: Trainer,
        calls: Sequence[EpochCallback],
        identity: Identity,
        *,
        solver: str,
        n_epochs: int,
        n_batches: int = 0,
    ) -> None:
        self.trainer, self.calls, self.identity = trainer, calls, identity
        self.solver = solver
        self.ended = self._ended_for_good = False
        self._checkpoints = [call for call in calls if isinstance(call, Checkpoint)]
        self._behind: list[Checkpoint] = []
        self._partners: list[Partner] = []
        for call in calls:
            settings = call.settings()
            if settings is not None or type(call).state is not EpochCallback.state:
                self._partners.append((call, type(call).__name__, settings))
        self._position: Position | None = None
        self._settings: dict[str, Any] = {}
        saved = identity.saved
        if self._checkpoints or saved is not None:
            encode(trainer.rng)  # says so if it cannot be saved
            self._settings = all_settings(trainer, identity, n_epochs)
            self._settings["learning_rate"] = trainer.learning_rate
            if saved is not None and saved.learning_rate == trainer.learning_rate:
                # A callback changed it in the course of the training.
                self._settings["learning_rate"] = saved.settings.get("learning_rate")
        if saved is not None:
            self._compare(saved, n_epochs)
            self._check_shapes(saved, n_batches)

    # --- Going on

    def _compare(self, saved: SavedTraining, n_epochs: int) -> None:
        """Refuse what is of another training; warn of another arithmetic."""
        identity = self.identity
        now = {name: described(value) for name, value in identity.owner_settings.items()}
        found = differences(
            {"training by": saved.owner, "solver": saved.solver},
            {"training by": identity.owner, "solver": self.solver},
        ) or differences(saved.owner_settings, now)
        if not found:
            found = differences(saved.settings, self._settings)
        if not found:
            found = self._different_callbacks(saved) | self._different_epochs(saved, n_epochs)
        if not found:
            found = differences(
                {"random_state": _kind(saved.generator)}, {"random_state": _kind(self.trainer.rng)}
            )
        if not found:
            found = differences(saved.data, identity.fingerprints)
        if found:
            raise ResumeError(saved.path, found)
        here = {"plan_version": PLAN_VERSION, "arithmetic": arithmetic()}
        found = differences(_flat(saved.arithmetic), _flat(here))
        if found:
            text = "; ".join(f"{name}: {old} then, {new} now" for name, (old, new) in found.items())
            warnings.warn(
                f"the checkpoint {saved.path!r} was written under other conditions: {text}. The "
                "training goes on, but its last bits may differ from those of one undisturbed run",
                stacklevel=2,
            )

    def _check_shapes(self, saved: SavedTraining, n_batches: int) -> None:
        """A file that names the right parameters must also have what belongs to them."""
        shape, progress = self.trainer.states.shape, saved.progress
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
        partners = [each for each in self._partners if each[2] is not None]
        saved_partners = [each for each in saved.callbacks if each[1] is not None]
        names = [name for _, name, _ in partners]
        saved_names = [name for name, _, _ in saved_partners]
        if names != saved_names:
            texts = [
                ", ".join(name for name in each if name not in INTERNAL) or "none"
                for each in (saved_names, names)
            ]
            return {"callbacks": (texts[0], texts[1])}
        found: dict[str, tuple[str, str]] = {}
        for (_, name, mine), (_, theirs, _) in zip(partners, saved_partners, strict=True):
            now = {key: described(value) for key, value in (mine or {}).items()}
            found |= differences(theirs or {}, now, prefix=f"{name}.")
        return found

    def _different_epochs(self, saved: SavedTraining, n_epochs: int) -> dict[str, tuple[str, str]]:
        """A training can become longer, but what is done is done."""
        if n_epochs >= saved.least_epochs:
            return {}
        under_way = " and one is under way" if saved.under_way else ""
        return {"number of epochs": (f"{saved.epochs_done} are done{under_way}", str(n_epochs))}

    def restore(self) -> Progress | None:
        """Make the trainer and its callbacks what they were; the progress of what is under way."""
        saved, trainer = self.identity.saved, self.trainer
        if saved is None:
            self.mark()
            if self._position is not None:
                check_callbacks(self._position)
            return None
        for call, name, values in self._saved_states(saved):
            try:
                call.restore(trainer, values)
            except RESTORE_ERRORS as error:
                raise ModelFormatError(
                    f"{saved.path!r}: the state of {name} cannot be restored: {error!r}"
                ) from error
        trainer.rng.bit_generator.state = saved.generator.bit_generator.state
        trainer.network.parameters[...] = saved.network.parameters
        if saved.states is not None:
            trainer.states[...] = saved.states
        trainer.n_steps, trainer.epochs_done = saved.n_steps, saved.epochs_done
        trainer.learning_rate, trainer.metrics = saved.learning_rate, saved.metrics
        self.ended = self._ended_for_good = saved.ended
        self.mark(saved.progress, under_way=saved.under_way)
        self._behind.clear()
        return saved.progress

    def _saved_states(
        self, saved: SavedTraining
    ) -> Iterator[tuple[EpochCallback, str, Mapping[str, Any]]]:
        """Every callback that was there too, with its state; those that may come and go by name."""
        rest = list(saved.callbacks)
        for call, name, settings in self._partners:
            for i, (other, theirs, state) in enumerate(rest):
                if other == name and (theirs is None) == (settings is None):
                    del rest[i]
                    yield call, name, state
                    break

    # --- Writing

    @contextmanager
    def folders(self) -> Iterator[None]:
        """Within this block the folders of the checkpoints belong to this training."""
        saved = self.identity.saved
        with ExitStack() as folders:
            for checkpoint in self._checkpoints:
                folders.enter_context(checkpoint.opened(saved.path if saved else None))
            yield

    @contextmanager
    def around(self) -> Iterator[None]:
        """The training: callbacks are told, and where it is interrupted, the position is saved."""
        with around_training(self.calls, self.trainer):
            try:
                yield
            except (KeyboardInterrupt, SystemExit):
                self._write_last()
                raise

    def tell_epoch_done(self) -> None:
        """Tell the callbacks of the end of an epoch; each of them may end the training."""
        enders = [call for call in self.calls if call.after_epoch(self.trainer) is True]
        self.ended = bool(enders)
        self._ended_for_good = any(call.ends_for_good for call in enders)

    def mark(self, progress: Progress | None = None, *, under_way: bool = False) -> None:
        """Take the position: nothing is half done here."""
        if not self._checkpoints:
            return
        trainer = self.trainer
        self._position = Position(
            epochs_done=trainer.epochs_done,
            n_steps=trainer.n_steps,
            learning_rate=trainer.learning_rate,
            generator=trainer.rng.bit_generator.state,
            metrics=dict(trainer.metrics),
            under_way=under_way,
            progress=progress,
            callbacks=[(name, settings, call.state()) for call, name, settings in self._partners],
            ended=self._ended_for_good,
        )
        self._behind = self._checkpoints.copy()

    @property
    def is_saving(self) -> bool:
        """Whether there are checkpoints to be written."""
        return bool(self._checkpoints)

    def stop_saving(self) -> None:
        """Write no more files."""
        self._checkpoints.clear()
        self._behind.clear()
        self._position = None

    @property
    def seconds_left(self) -> float:
        """Until the next file is due by time; infinite where none is."""
        return min((call.seconds_left() for call in self._checkpoints), default=np.inf)

    def batches_to_go(self, epoch: Epoch) -> int:
        """Batches until the next look at the clock; all that are left where nobody waits for it."""
        left, seconds = epoch.n_batches - epoch.n_done, self.seconds_left
        if seconds == np.inf:
            return left
        done, spent = epoch.n_done, epoch.seconds
        most = FASTEST_GROWTH * done
        last = self.trainer.last_epoch
        if last is not None:
            done, spent = done + len(last.costs), spent + last.seconds
            most = left
        if done == 0:
            return 1
        # Half the time only, because the next batches may be slower.
        wait = max(seconds / 2, SHORTEST_LOOK_SECONDS)
        return max(1, min(left, most, int(min(done / max(spent, 1e-9) * wait, left))))

    def look(self) -> None:
        """Within an epoch: write the files that are due by now."""
        for checkpoint in self._checkpoints:
            if checkpoint.seconds_left() <= 0:
                self._write(checkpoint)

    def write_if_due(self) -> None:
        """After an epoch and its callbacks: write the files that are due."""
        for checkpoint in self._checkpoints:
            if checkpoint.is_due(self.trainer.epochs_done):
                self._write(checkpoint)

    def finish(self) -> None:
        """At the end: write what has not been written."""
        for checkpoint in self._behind.copy():
            self._write(checkpoint)

    def _write(self, checkpoint: Checkpoint) -> None:
        assert self._position is not None
        content = describe_training(
            self.trainer, self.identity, self._position, self.solver, self._settings
        )
        checkpoint.write(content)
        if checkpoint in self._behind:
            self._behind.remove(checkpoint)

    def _write_last(self) -> None:
        """Before an interruption is passed on; what goes wrong here is only a warning."""
        if self._position is None:
            return
        for checkpoint in self._checkpoints:
            try:
                self._write(checkpoint)
            except (OSError, ValueError, TypeError) as error:
                last = checkpoint.last_path
                warnings.warn(
                    f"the interrupted training could not be saved: {error}; "
                    + (f"the last checkpoint is {str(last)!r}" if last else "there is none"),
                    stacklevel=2,
                )


def _kind(generator: np.random.Generator) -> str:
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
