"""Prints the oldest versions that pyproject.toml allows, as requirements: `python oldest.py`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def oldest_requirements(lines: list[str]) -> list[str]:
    """`name==version` for each `name>=version`."""
    found = []
    for line in lines:
        match = re.fullmatch(r"([\w.-]+)>=([\d.]+)", line)
        if match is None:
            raise ValueError(f"must be name>=version; got {line!r}")
        found.append(f"{match[1]}=={match[2]}")
    return found


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print("\n".join(oldest_requirements(project["dependencies"])))
