"""Prints the oldest versions that pyproject.toml allows, as requirements.

`python oldest.py pandas polars` adds those of packages that extras name.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

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


def of_extras(project: dict[str, Any], names: list[str]) -> list[str]:
    """The line `name>=version` of each name, from whichever extra has it first."""
    lines = [line for extra in project["optional-dependencies"].values() for line in extra]
    return [next(line for line in lines if line.startswith(f"{name}>=")) for name in names]


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + of_extras(project, sys.argv[1:])
    print("\n".join(oldest_requirements(lines)))
