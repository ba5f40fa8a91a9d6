"""Result files: JSON with a line per row and record, and numbers of seven digits.

Seven digits are more than any table shows, and a third of what Python writes of a float.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastmlp.exceptions import DataFormatError
from fastmlp.files.json_file import read_json, write_json

DIGITS = 7
KEYS = ("settings", "not_installed", "summary", "records")


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the result returned by `report.as_json`."""
    write_json(path, _rounded(content), line_per_row=True)


def read(path: Path) -> dict[str, Any]:
    """Return the content of a file written by `write`.

    Raises
    ------
    DataFormatError
        A ValueError: for any other file.
    OSError
        If the file cannot be read.
    """
    content = read_json(path)
    if not content.keys() >= set(KEYS):
        raise DataFormatError(
            f"{path} is not a result of the benchmark: it must have {', '.join(KEYS)}"
        )
    return content


def _rounded(value: Any) -> Any:
    """Round every float, in dicts and lists of dicts and lists too."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(element) for element in value]
    return value
