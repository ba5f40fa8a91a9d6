"""What the README shows runs, and what it links to exists."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from fastmlp.datasets.loading import load

matplotlib.use("Agg")

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


@pytest.fixture(scope="module")
def text():
    if not README.exists():
        pytest.skip("no README beside the tests")
    return README.read_text()


def test_examples_run_and_print_what_they_say(text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = load("digits")
    names = {"X": data.X_train / 16, "Y": np.eye(10)[data.y_train]}
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 6
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    promised = re.search(r"print\(ann.test_accuracy\[-1\]\) +# ([\d.]+)", text)[1]
    # The last bits, and with them a few of 500 test rows, depend on processor and BLAS.
    printed, *summary = capsys.readouterr().out.splitlines()
    assert float(printed) == pytest.approx(float(promised), abs=0.01)
    assert summary[-1].startswith("6,570 float64 parameters")
    assert names["clf"].best_validation_score_ > 0.95
    assert names["network"].predict(names["X"]).shape == (1797, 10)
    assert names["trainer"].evaluate(names["X"], names["Y"]).accuracy > 0.95
    assert names["trainer"].epochs_done == names["trainer"].history.n_epochs == 40
    ann, again, x = names["ann"], names["again"], names["X"] * 16
    np.testing.assert_array_equal(again.predict_proba(x), ann.predict_proba(x))
    matplotlib.pyplot.close("all")


def test_the_page_on_checkpoints_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "checkpoints.md"
    if not page.exists():
        pytest.skip("no docs beside the tests")
    data = load("digits")
    names = {"X": data.X_train[:200] / 16, "labels": data.y_train[:200]}
    names["Y"] = np.eye(10)[names["labels"]]
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        exec(compile(block, "checkpoints.md", "exec"), names)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "classifier", "ann"}
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_page_on_tables_runs(tmp_path, monkeypatch):
    page = ROOT / "docs" / "tables.md"
    if not page.exists():
        pytest.skip("no docs beside the tests")
    shutil.copy(ROOT / "examples" / "data" / "bird_strikes.csv.gz", tmp_path)
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    block = block.replace("random_state=0", 'random_state=0, preset="fast"')
    names = {}
    exec(compile(block, "tables.md", "exec"), names)
    assert names["model"].oof_score_ > 0.88
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_linked_files_and_commands_exist(text):
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
