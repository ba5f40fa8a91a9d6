"""A folder from which an interrupted search continues.

``search.json`` describes the search. Every finished task has a JSON file with its scores and, as
long as its model is needed, a model file next to it, written by `fastmlp.save`; all are written
atomically. Models that it cannot save, such as those of scikit-learn, have none: they are trained
again from the beginning if they are needed. Nothing is pickled. Without ``search.json`` nothing
says of which search the other files are: the next one removes them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastmlp.exceptions import DataFormatError, ModelFormatError, ResumeError
from fastmlp.exchange.saving import load, save
from fastmlp.files.atomic import check_writable, remove_abandoned
from fastmlp.files.fields import Fields
from fastmlp.files.json_file import plain, read_json, write_json
from fastmlp.files.lock import own_folder
from fastmlp.search.tasks import Outcome, Unit
from fastmlp.search.tournament import RungResult
from fastmlp.training.checkpoints.fingerprint import differences

SEARCH_FILE = "search.json"
PREFIX = "bracket-"
NAME = re.compile(r"bracket-(\d+)-rung-(\d+)-candidate-(\d+)-split-(\d+)\.json")


class SearchFolder:
    """Takes note of a tournament in a folder; an observer of it.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.

    Attributes
    ----------
    stored : dict of Unit to Outcome
        Outcomes of an earlier run, without models and failures: what has failed runs again, since
        the reason may have passed, such as a full disk.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stored: dict[Unit, Outcome] = {}
        self._has_warned = False

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Own the folder within this block.

        Raises
        ------
        BlockingIOError
            If another search writes into it, with the process that does.
        OSError
            If no file can be made in it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = own_folder(self.folder, "search")
        try:
            remove_abandoned(self.folder, PREFIX)
            check_writable(self.folder, SEARCH_FILE)
            yield
        finally:
            with suppress(OSError):  # nothing is written through it
                lock.release()

    def entropy(self) -> int | None:
        """Return the entropy of the search that has begun there; None if there is none.

        Raises
        ------
        DataFormatError
            If the file is damaged.
        """
        content = self._description()
        if content is None:
            return None
        try:
            return int(content["random_state"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataFormatError(
                f"{self.folder / SEARCH_FILE}: damaged: 'random_state' is no number"
            ) from error

    def _description(self) -> dict[str, Any] | None:
        path = self.folder / SEARCH_FILE
        return read_json(path) if path.exists() else None

    def begin(self, description: Mapping[str, Any]) -> None:
        """Compare the search with the one that has begun there, and read its outcomes.

        Parameters
        ----------
        description : mapping of str to JSON
            Everything on which the outcomes depend.

        Raises
        ------
        ResumeError
            If it is another search, with what differs.
        DataFormatError
            If a file is damaged, with its name.
        """
        now = plain(dict(description))
        saved = self._description()
        if saved is None:
            self._remove_tasks()
            write_json(self.folder / SEARCH_FILE, now, line_per_row=True)
            return
        different = differences(saved, now)
        if different:
            raise ResumeError(str(self.folder), different)
        for path in sorted(self.folder.glob(f"{PREFIX}*.json")):
            match = NAME.fullmatch(path.name)
            if match is not None:
                unit = Unit(*map(int, match.groups()))
                outcome = _read_outcome(path, unit)
                if outcome.scores is not None:
                    self.stored[unit] = outcome

    def _remove_tasks(self) -> None:
        """Remove the files of tasks, which this search would take for its own."""
        for suffix in ("json", "safetensors"):
            for path in self.folder.glob(f"{PREFIX}*.{suffix}"):
                if NAME.fullmatch(path.with_suffix(".json").name):
                    path.unlink()

    def model(self, unit: Unit) -> Any:
        """Return the model of a unit; None if it has no file.

        Raises
        ------
        ModelFormatError
            If the file is damaged; removing it has the model trained again.
        """
        path = self._path(unit, "safetensors")
        if not path.exists():
            return None
        try:
            return load(path)
        except ModelFormatError as error:
            raise ModelFormatError(
                f"{error}; without this file the model is trained again"
            ) from error

    def outcome(self, result: RungResult, outcome: Outcome) -> None:
        """Write an outcome, unless it is stored; if that fails, warn."""
        if outcome.unit in self.stored:
            return
        try:
            if outcome.model is not None:
                with suppress(TypeError):  # a model of another library
                    save(outcome.model, self._path(outcome.unit, "safetensors"))
            write_json(self._path(outcome.unit, "json"), _document(outcome))
        except (OSError, ValueError) as error:
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"the search continues, but cannot save its state: {error}", stacklevel=2
                )

    def decided(self, result: RungResult) -> None:
        """Remove the models that are no longer needed: those that a later one has replaced."""
        for candidate, split in result.outcomes:
            if candidate not in (result.promoted or ()):
                self._remove_model(Unit(result.bracket, result.rung, candidate, split))
            if result.rung:
                self._remove_model(Unit(result.bracket, result.rung - 1, candidate, split))

    def _remove_model(self, unit: Unit) -> None:
        with suppress(OSError):  # the next time, then
            self._path(unit, "safetensors").unlink(missing_ok=True)

    def _path(self, unit: Unit, suffix: str) -> Path:
        name = f"{PREFIX}{unit.bracket}-rung-{unit.rung}-candidate-{unit.candidate:05d}"
        return self.folder / f"{name}-split-{unit.split}.{suffix}"


def _document(outcome: Outcome) -> dict[str, Any]:
    scores = outcome.scores
    return {
        "scores": None if scores is None else {k: repr(v) for k, v in scores.items()},
        "fit_seconds": outcome.fit_seconds,
        "score_seconds": outcome.score_seconds,
        "error": outcome.error,
    }


def _read_outcome(path: Path, unit: Unit) -> Outcome:
    fields = Fields(read_json(path), str(path))
    try:
        scores = fields.take("scores", dict, type(None))
        outcome = Outcome(
            unit,
            None if scores is None else {name: float(text) for name, text in scores.items()},
            fields.number("fit_seconds"),
            fields.number("score_seconds"),
            error=fields.take("error", str),
        )
        fields.end()
    except ModelFormatError as error:
        raise DataFormatError(f"damaged: {error}") from None
    except (TypeError, ValueError) as error:
        raise DataFormatError(f"{path}: damaged: 'scores' must be numbers as text") from error
    return outcome
