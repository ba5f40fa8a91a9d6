"""A study's files: names, numbers and checks of results, which are JSON."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.exceptions import DataFormatError
from fastmlp.files.json_file import plain, read_json

FORMAT = 1


def rounded(values: ArrayLike, digits: int = 5) -> Any:
    """Numbers with so many significant digits, which is all that a picture shows."""
    array = np.asarray(values, float)
    if array.ndim:
        return [rounded(item, digits) for item in array]
    return float(f"{array:.{digits}g}")


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
