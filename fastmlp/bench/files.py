"""Result files: JSON with a line per row and record, and numbers of seven digits.

Seven digits are more than any table shows, and a third of what Python writes of a float.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DIGITS = 7
KEYS = ("settings", "not_installed", "summary", "records")


def write(path: Path, content: dict[str, Any]) -> None:
    """Write what `report.as_json` returned."""
    parts = [f" {json.dumps(key)}: {_value(value)}" for key, value in content.items()]
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def read(path: Path) -> dict[str, Any]:
    """The content of a file that `write` has written; ValueError for any other file."""
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(content, dict) or not content.keys() >= set(KEYS):
        raise ValueError(f"{path} is no result of the benchmark: it must have {', '.join(KEYS)}")
    return content


def _value(value: Any) -> str:
    """A value of the outermost object: lists have a line per element."""
    if not isinstance(value, list) or not value:
        return _compact(value)
    return "[\n  " + ",\n  ".join(map(_compact, value)) + "\n ]"


def _compact(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(_rounded(value), separators=(",", ":"))


def _rounded(value: Any) -> Any:
    """The same with every float rounded."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(element) for element in value]
    return value
