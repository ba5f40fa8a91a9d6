"""docs/cnn-articles.md: its first example runs, the others are Python, and its links exist."""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module
from pathlib import Path

import matplotlib

from fastmlp.plots.headline import finding_of, title_of

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "cnn-articles.md"


@pytest.fixture(scope="module")
def page():
    """The text of the page."""
    if not PAGE.exists():
        pytest.skip("no docs beside the tests")
    return PAGE.read_text()


@pytest.fixture(scope="module")
def blocks(page):
    """The Python of the page."""
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def test_the_examples_of_the_first_part_print_what_stands_beside_them(blocks, capsys):
    (block,) = [text for text in blocks if "layer_table" in text]
    exec(block, {})
    expected = re.findall(r"print\(.*\)  # (.*)", block)
    assert capsys.readouterr().out.splitlines() == expected
    assert title_of(plt.gcf()) == "A node of conv_2 sees 6 x 6 pixels"
    assert finding_of(plt.gcf()).endswith("both together 6 x 7.")
    plt.close("all")


def test_the_other_examples_are_python_and_name_what_is_there(blocks):
    nodes = [node for block in blocks for node in ast.walk(ast.parse(block))]
    imports = [n for n in nodes if isinstance(n, ast.ImportFrom) and "fastmlp" in str(n.module)]
    assert len(imports) > 4
    for node in imports:
        names = {name.name for name in node.names}
        assert names <= set(dir(import_module(node.module))), node.module


def test_everything_that_is_linked_exists(page):
    for target in re.findall(r"\]\(([^)#]+)", page):
        assert (PAGE.parent / target).exists(), target


def test_the_pasted_run_has_the_numbers_of_its_file(page):
    run = json.loads((PAGE.parent / "cnn" / "pasted-c2.json").read_text())
    measured = zip(run["loss"], run["accuracy"], strict=True)
    row = " | ".join(f"{loss:.4f}/{accuracy:.4f}" for loss, accuracy in measured)
    assert f"| [here](cnn/pasted-c2.json) | {row} |" in page
    assert len(run["loss"]) == run["epochs"] == 5
    assert f"`test_acc` is {run['test_accuracy']:.4f}, the article's 0.99" in page


def test_the_pasted_run_of_part_3_has_the_numbers_of_its_file(page):
    run = json.loads((PAGE.parent / "cnn" / "c3b-pasted-history.json").read_text())
    assert run["epochs"] == len(run["loss"]) == len(run["val_loss"]) == 13
    for row in (
        f"| 7.5792e-05 | {run['learning_rates'][-1]:.4e} |",
        f"| 0.0096, 0.9986 | {run['loss'][-1]:.4f}, {run['accuracy'][-1]:.4f} |",
        f"| 0.0238, 0.9944 | {run['val_loss'][-1]:.4f}, {run['val_accuracy'][-1]:.4f} |",
        f"| not printed | {run['penalty'][-1]:.4f} |",
        f"Our lowest value in 13 epochs is {min(run['val_loss']):.4f}.",
        f"With 0.8 we had {run['val_loss'][8]:.4f} after epoch 9",
    ):
        assert row in page, row
