"""What the README shows runs, and what it links to exists."""

from __future__ import annotations

import re
import shutil
import tomllib
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import fastmlp

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
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    # Each runs alone, as when it is pasted.
    namespaces = [dict[str, Any]() for _ in blocks]
    for block, names in zip(blocks, namespaces, strict=True):
        exec(compile(block, "README.md", "exec"), names)
    estimator, tables, training, chunks, articles, saving, resuming = namespaces
    assert tables["model"].oof_score_ > 0.9
    promised = re.search(r"print\(ann.test_accuracy\[-1\]\) +# ([\d.]+)", text)[1]
    # The last bits, and with them a few of 500 test rows, depend on processor and BLAS.
    *summary, printed = capsys.readouterr().out.splitlines()
    assert float(printed) == pytest.approx(float(promised), abs=0.01)
    assert summary[-1].startswith("6,570 float64 parameters")
    assert estimator["clf"].best_validation_score_ > 0.95
    assert training["network"].predict(training["X"]).shape == (1797, 10)
    assert training["trainer"].evaluate(training["X"], training["Y"]).accuracy > 0.95
    clf, x, y = (chunks[name] for name in ("clf", "X", "y"))
    assert clf.score(x / 16, y) > 0.95 and clf.history_["learning_rate"][-1] > 0
    assert articles["ann"].test_accuracy[-1] > 0.95
    trainer = resuming["trainer"]
    assert trainer.epochs_done == trainer.history.n_epochs == 40
    clf, again, x = (saving[name] for name in ("clf", "again", "X"))
    np.testing.assert_array_equal(again.predict_proba(x), clf.predict_proba(x))
    matplotlib.pyplot.close("all")  # the misclassified images


def test_a_newcomer_finds_the_command_and_the_estimators_first(text):
    order = [
        "pip install fastmlp",
        "from fastmlp import MLPClassifier",
        "Trainer",
        "from fastmlp import MyANN",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places) and "numpy.memmap" in text
    # Where the command is after `make` is said once; elsewhere it has its name alone.
    assert text.count(".venv/bin/fastmlp") == 1


def test_rows_of_a_memmap_are_read_where_they_lie(tmp_path):
    rows = np.memmap(tmp_path / "x", np.float32, "w+", shape=(50, 4))
    rows[:] = np.random.default_rng(0).random((50, 4))
    check = fastmlp.Trainer(fastmlp.Network((4, 2)))._check()
    checked, _ = check.arrays("X", rows, "Y", rows[:, :2])
    assert np.shares_memory(checked, rows)


def test_make_says_what_it_does_before_it_is_silent():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("train-ready", "test-ready"):
        recipe = re.search(rf"^\.venv/{target}: .*\n((\t.*\n)+)", makefile, re.MULTILINE)[1]
        assert recipe.startswith('\t@echo "Installing') and re.search(r"\d (MB|GB)", recipe)
    recipe = re.search(r"^test: .*\n((\t.*\n)+)", makefile, re.MULTILINE)[1]
    assert recipe.index("pytest") < recipe.index("lint\n")


def test_badges_say_what_pyproject_says():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "README.md").read_text()
    badges = re.findall(r"https://img.shields.io/badge/(\w+)-((?:[^-]|--)+)-", text)
    said = {name: value.replace("--", "-").replace("_", " ") for name, value in badges}
    versions = re.findall(r":: (3\.\d+)", "\n".join(project["classifiers"]))
    assert said == {"python": f"{versions[0]} to {versions[-1]}", "licence": project["license"]}


def test_installing_from_the_index_comes_first():
    commands = re.findall(r"^pip install .*", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert commands[0].split("#")[0].strip() == "pip install fastmlp"


def page_of(name):
    """Return the path of a page of the documentation, which an installed package does not have."""
    page = ROOT / "docs" / name
    if not page.exists():
        pytest.skip("no docs beside the tests")
    return page


def test_the_page_on_checkpoints_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = page_of("checkpoints.md")
    names = {}
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        exec(compile(block, "checkpoints.md", "exec"), names)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "classifier", "ann"}
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_page_on_tables_runs(tmp_path, monkeypatch):
    page = page_of("tables.md")
    shutil.copy(ROOT / "examples" / "data" / "bird_strikes.csv.gz", tmp_path)
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    block = block.replace("random_state=0", 'random_state=0, preset="fast"')
    names = {}
    exec(compile(block, "tables.md", "exec"), names)
    assert names["model"].oof_score_ > 0.88
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_the_page_on_scale_runs(tmp_path, monkeypatch):
    page = page_of("scale.md")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(block, "scale.md", "exec"), names)
    outputs = np.load("outputs.npy")
    assert outputs.shape == (10_000, 1)
    assert np.mean((outputs[:, 0] > 0.5) == (names["label"] == "small")) > 0.95
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target.split("#")[0]).exists(), target


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_page_on_searches_runs(tmp_path, monkeypatch):
    page = page_of("searches.md")
    monkeypatch.chdir(tmp_path)
    found, many = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    names = {}
    exec(compile(found.replace("max_epochs=27", "max_epochs=9"), "searches.md", "exec"), names)
    assert names["search"].best_score_ > 0.9
    many = many.replace("random_state=0\n", 'random_state=0, backend="threads"\n')
    exec(compile(many, "searches.md", "exec"), names)
    assert len(names["models"]) == 50
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
    matplotlib.pyplot.close("all")


def test_linked_files_and_commands_exist(text):
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
