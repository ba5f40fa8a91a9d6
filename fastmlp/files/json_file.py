"""JSON files: written atomically, with null for every number that is NaN or infinite."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.exceptions import DataFormatError
from fastmlp.files.atomic import write_atomically


def plain(value: Any) -> Any:
    """Convert a value to types that JSON supports, as a new object.

    Arrays, NumPy's numbers and tuples become lists and Python's numbers, keys become strings, and
    NaN and infinity become None. Everything else is returned as it is.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, content: dict[str, Any], *, line_per_row: bool = False) -> None:
    """Write `plain(content)` atomically, as UTF-8.

    Parameters
    ----------
    path : Path
        A file that is replaced keeps its permissions.
    content : dict
        Not modified.
    line_per_row : bool
        Write each name, and each item of a list, on a separate line, so that a diff of two files
        shows the rows that differ.

    Raises
    ------
    TypeError
        For a value that JSON cannot represent, before anything is written.
    OSError
        As from :func:`fastmlp.files.atomic.write_atomically`.
    """
    values = plain(content)
    text = _rows(values) if line_per_row else _compact(values)
    write_atomically(path, [text.encode(), b"\n"])


def read_json(path: Path) -> dict[str, Any]:
    """Read the JSON object in a file.

    Raises
    ------
    DataFormatError
        If the file is not JSON, or its value is not an object.
    OSError
        If it cannot be read.
    """
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataFormatError(f"{path}: damaged: expected JSON, found: {error}") from error
    if not isinstance(content, dict):
        found = type(content).__name__
        raise DataFormatError(f"{path}: damaged: expected a JSON object, found {found}")
    return content


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _rows(content: dict[str, Any]) -> str:
    names = [f" {_compact(name)}: {_items(value)}" for name, value in content.items()]
    return "{\n" + ",\n".join(names) + "\n}"


def _items(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return _compact(value)
    return "[\n  " + ",\n  ".join(map(_compact, value)) + "\n ]"
