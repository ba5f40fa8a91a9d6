"""docs/cnn-articles.md: its first example runs, the others are Python, and its links exist."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "cnn-articles.md"


@pytest.fixture(scope="module")
def blocks():
    """The Python of the page."""
    if not PAGE.exists():
        pytest.skip("no docs beside the tests")
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_examples_of_the_first_part_print_what_stands_beside_them(blocks, capsys):
    (block,) = [text for text in blocks if "layer_table" in text]
    exec(block, {})
    expected = re.findall(r"print\(.*\)  # (.*)", block)
    assert capsys.readouterr().out.splitlines() == expected
    assert plt.gcf().get_suptitle() == "A node of conv_2 sees 6 x 6 pixels, both together 6 x 7"
    plt.close("all")


def test_the_other_examples_are_python_and_name_what_is_there(blocks):
    import fastmlp.cnn
    import fastmlp.cnn.articles

    known = {**vars(fastmlp.cnn), **vars(fastmlp.cnn.articles)}
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and "articles" in str(node.module):
                for name in node.names:
                    assert name.name in known or name.name in dir(fastmlp.cnn.articles)


def test_everything_that_is_linked_exists():
    for target in re.findall(r"\]\(([^)#]+)", PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target


def test_the_pasted_run_has_the_numbers_of_its_file():
    run = json.loads((PAGE.parent / "cnn" / "pasted-c2.json").read_text())
    measured = zip(run["loss"], run["accuracy"], strict=True)
    row = " | ".join(f"{loss:.4f}/{accuracy:.4f}" for loss, accuracy in measured)
    text = PAGE.read_text()
    assert f"| [here](cnn/pasted-c2.json) | {row} |" in text
    assert len(run["loss"]) == run["epochs"] == 4
