"""The stub of the compiled module is true, and the public interface type-checks."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import fastmlp
from fastmlp.engine import _core

PACKAGE = Path(fastmlp.__file__).parent


def stub_names():
    tree = ast.parse((PACKAGE / "engine" / "_core.pyi").read_text())
    names = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names[node.name] = None
        elif isinstance(node, ast.ClassDef):
            names[node.name] = {
                n.name if isinstance(n, ast.FunctionDef) else n.target.id
                for n in node.body
                if isinstance(n, ast.FunctionDef | ast.AnnAssign)
            }
        elif isinstance(node, ast.AnnAssign):
            names[node.target.id] = None
    return names


def test_stub_and_compiled_module_have_the_same_names():
    public = {
        name
        for name, value in vars(_core).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "fastmlp.engine._core") == "fastmlp.engine._core"
        and not isinstance(value, type(sys))
    }
    assert public == set(stub_names())


def test_stub_of_the_engine_has_its_members():
    declared = stub_names()["Engine"] - {"__init__"}
    members = {name for cls in _core.Engine.__mro__[:-1] for name in vars(cls)}
    assert declared == {name for name in members if not name.startswith("_")}


def test_package_and_example_pass_mypy():
    root = PACKAGE.parent
    targets = [str(PACKAGE)]
    if (root / "examples").exists() and (root / "pyproject.toml").exists():
        targets += [str(p) for p in sorted((root / "examples").glob("*.py"))]
    command = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", *targets]
    result = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert result.returncode == 0, result.stdout
