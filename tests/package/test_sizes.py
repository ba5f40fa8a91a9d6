"""Files fit a head: at most 400 lines each, and few of them at the top level."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import fastmlp

PACKAGE = Path(fastmlp.__file__).parent
SOURCES = sorted(
    path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyx", ".pxd", ".pxi"}
)


def relative(path):
    return path.relative_to(PACKAGE).as_posix()


def docstring_lines(text):
    """Numbers of the lines of Python text that hold strings standing alone."""
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield from range(node.lineno, node.end_lineno + 1)


def n_code_lines(path):
    """Number of lines that are neither blank nor in a docstring."""
    text = path.read_text()
    if path.suffix == ".py":
        skipped = set(docstring_lines(text))
    else:
        skipped = set()
        text = re.sub(r'^\s*"""(?:.|\n)*?"""$', "", text, flags=re.MULTILINE)
    return sum(
        bool(line.strip()) and number not in skipped
        for number, line in enumerate(text.splitlines(), 1)
    )


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_file_has_more_than_400_lines_of_code(path):
    assert n_code_lines(path) <= 400


def test_lines_of_code_are_counted_without_docstrings_and_blank_lines(tmp_path):
    text = (
        '"""One.\n\nTwo.\n"""\n\nx = 1\n"""Of x."""\n\ndef f():\n    """Three."""\n    return x\n'
    )
    for name in ("a.py", "a.pyx"):
        (tmp_path / name).write_text(text)
        assert n_code_lines(tmp_path / name) == 3


def test_the_top_level_has_at_most_14_files():
    files = [path.name for path in PACKAGE.iterdir() if path.is_file()]
    assert len(files) <= 14, files
