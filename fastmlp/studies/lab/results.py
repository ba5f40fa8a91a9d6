"""A study's files: results as JSON, written whole or not at all, and checked when read."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.exceptions import DataFormatError
from fastmlp.files.atomic import write_atomically

FORMAT = 1


def plain(value: Any) -> Any:
    """`value` as JSON has it: arrays and tuples as lists, what is not finite as None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def rounded(values: ArrayLike, digits: int = 5) -> Any:
    """Numbers with so many significant digits, which is all that a picture shows."""
    array = np.asarray(values, float)
    if array.ndim:
        return [rounded(item, digits) for item in array]
    return float(f"{array:.{digits}g}")


def write_json(path: Path, content: Any) -> None:
    """Write `content` atomically.

    Raises
    ------
    OSError
        If it cannot be written, with the file's name.
    """
    text = json.dumps(plain(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    write_atomically(path, [text.encode(), b"\n"])


def read_json(path: Path) -> dict[str, Any]:
    """The object that a file holds.

    Raises
    ------
    DataFormatError
        If it holds none.
    OSError
        If it cannot be read.
    """
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataFormatError(f"{path}: damaged: expected JSON, found: {error}") from error
    if not isinstance(content, dict):
        raise DataFormatError(
            f"{path}: damaged: expected a JSON object, found {type(content).__name__}"
        )
    return content


def read_result(path: Path, study: str | None = None) -> dict[str, Any]:
    """The result of a study, of the one named if one is.

    Raises
    ------
    DataFormatError
        If the file is damaged, or not such a result.
    OSError
        If it cannot be read.
    """
    result = read_json(path)
    for name, expected in (("format", FORMAT), ("study", study or result.get("study"))):
        if name not in result or result[name] != expected:
            raise DataFormatError(
                f"{path}: no result of this study: expected {name} {expected!r}, "
                f"found {result.get(name)!r}"
            )
    return result


def result_path(folder: Path, study: str, quick: bool) -> Path:
    """Where a result lies; a quick one never takes the place of a full one."""
    return folder / f"{study}{'-quick' if quick else ''}.json"


def fingerprint(*values: Any) -> str:
    """A short name for plain values: 16 hexadecimal digits."""
    text = json.dumps(plain(list(values)), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
