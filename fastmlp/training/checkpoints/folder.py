"""A folder of numbered checkpoints, of which a run keeps the last few."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fastmlp._checks import check_path
from fastmlp._types import StrPath
from fastmlp.exceptions import ModelFormatError
from fastmlp.files.atomic import check_writable, remove_abandoned
from fastmlp.files.lock import own_folder
from fastmlp.files.model_file import Content, write_model_file
from fastmlp.training.checkpoints.document import SavedTraining, read_checkpoint

PREFIX = "checkpoint-"
SUFFIX = ".safetensors"
NAME = re.compile(PREFIX + r"(\d{8,})" + re.escape(SUFFIX))


def checkpoint_numbers(folder: Path) -> list[int]:
    """Return the numbers of the checkpoints in a folder, lowest first."""
    matches = map(NAME.fullmatch, os.listdir(folder))
    return sorted(int(match[1]) for match in matches if match)


def checkpoint_path(folder: Path, number: int) -> Path:
    """Return the path of the checkpoint of this number."""
    return folder / f"{PREFIX}{number:08d}{SUFFIX}"


def read_newest(path: StrPath) -> SavedTraining | None:
    """Read the checkpoint `path`, or the newest one that can be read in the folder `path`.

    Returns
    -------
    SavedTraining or None
        None for a folder that is not there or has no checkpoints: a run starts fresh.

    Raises
    ------
    ModelFormatError
        Where the file is damaged; of a folder, all its checkpoints.
    OSError
        Where it cannot be read, or there is no such file, that is, nothing whose name ends in
        ``.safetensors``.

    Warns
    -----
    UserWarning
        Where a checkpoint in the folder cannot be read, and the one before it is taken.
    """
    folder = Path(check_path("resume", path))
    if not folder.is_dir():
        is_missing = not os.path.lexists(folder) and folder.suffix != SUFFIX
        return None if is_missing else read_checkpoint(folder)
    numbers = checkpoint_numbers(folder)
    reasons = []
    for number in reversed(numbers):
        try:
            saved = read_checkpoint(checkpoint_path(folder, number))
        except (ModelFormatError, OSError) as error:
            reasons.append(str(error))
        else:
            for reason in reasons:
                warnings.warn(
                    f"a checkpoint cannot be read: {reason}. The run resumes from an older "
                    f"one, {saved.path!r}",
                    stacklevel=2,
                )
            return saved
    if numbers:
        raise ModelFormatError(f"no checkpoint in {str(folder)!r} can be read: {reasons[0]}")
    return None


@contextmanager
def writing_into(folder: Path, resumed_from: str | None) -> Iterator[None]:
    """Own the folder within this block, without abandoned files in it.

    Raises
    ------
    FileExistsError
        Where it has checkpoints of another run than the one that is resumed.
    BlockingIOError
        Where another run writes into it, with the process that does.
    OSError
        Where no file can be made in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = own_folder(folder, "checkpoints")
    try:
        remove_abandoned(folder, PREFIX)
        numbers = checkpoint_numbers(folder)
        if numbers and not (resumed_from and _is_in(folder, resumed_from)):
            last = checkpoint_path(folder, numbers[-1]).name
            raise FileExistsError(
                f"{str(folder)!r} already contains checkpoints (latest: {last}); pass resume= "
                "(--resume), choose another folder, or delete them"
            )
        check_writable(folder, PREFIX)
        yield
    finally:
        with suppress(OSError):  # nothing is written through it
            lock.release()


def _is_in(folder: Path, path: str) -> bool:
    with suppress(OSError):
        return os.path.samefile(folder, Path(path).parent)
    return False


def write_next(folder: Path, content: Content, keep: int) -> Path:
    """Write the next checkpoint, and remove all but the last `keep`.

    Raises
    ------
    OSError
        Where it cannot be written; all others are still there then.
    """
    numbers = checkpoint_numbers(folder)
    path = checkpoint_path(folder, numbers[-1] + 1 if numbers else 1)
    write_model_file(path, content)
    for number in numbers[: max(0, len(numbers) + 1 - keep)]:
        with suppress(OSError):  # the next time, then
            checkpoint_path(folder, number).unlink()
    return path
