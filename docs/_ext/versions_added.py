"""Sphinx: since which version a public name is there, under its description.

Not in the docstrings, where 300 names would say the same by hand: a name has the first release
whose list in docs/api/names has it, or else the version that is being written. A release stores its
list:

    python docs/_ext/versions_added.py
"""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fastmlp import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

API = Path(__file__).parents[1] / "api"
LISTS = API / "names"


def as_numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers, for comparison: "0.10.0" is later than "0.9.0"."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


@cache
def released() -> dict[str, frozenset[str]]:
    """Return the names of every release so far, the oldest first."""
    paths = sorted(LISTS.glob("*.txt"), key=lambda path: as_numbers(path.stem))
    return {path.stem: frozenset(path.read_text().split()) for path in paths}


def since(name: str) -> str:
    """Return the version in which a full name such as "fastmlp.network.Network" came."""
    return next((v for v, names in released().items() if name in names), __version__)


def current_names() -> list[str]:
    """Return all names of the reference, and the members of its classes, sorted."""
    names = []
    for page in sorted(API.glob("*.rst")):
        text = page.read_text()
        for module in re.findall(r"^\.\. currentmodule:: (\S+)$", text, re.MULTILINE):
            for name in re.findall(r"^   (\w+)$", text, re.MULTILINE):
                names.append(f"{module}.{name}")
                thing = getattr(importlib.import_module(module), name, None)
                if inspect.isclass(thing):
                    members = (m for m in vars(thing) if not m.startswith("_"))
                    names += [f"{module}.{name}.{member}" for member in members]
    return sorted(set(names))


def add_version(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Append the version to a description; a member's only where it is not its class's."""
    owner = name.rpartition(".")[0]
    is_member = what in ("method", "property", "attribute")
    if what == "module" or (is_member and since(name) == since(owner)):
        return
    lines += ["", f".. versionadded:: {since(name)}", ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the listener, after numpydoc's."""
    app.connect("autodoc-process-docstring", add_version, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    LISTS.mkdir(exist_ok=True)
    path = LISTS / f"{__version__}.txt"
    path.write_text("\n".join(current_names()) + "\n")
    print(path)
