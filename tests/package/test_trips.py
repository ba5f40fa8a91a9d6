"""Ordinary calls enter few files of the package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trips

WANTED = {name: wanted for name, (_, _, wanted) in trips.TRIPS.items() if wanted is not None}

STILL_ABOVE: dict[str, str] = {
    "Trainer.fit": "9 files: also checks and the planner of batches",
    "MLPClassifier.fit": "31 files: 12 of the estimators and 19 below them",
    "load": "20 files: also the estimators' parameters and records, and the planner",
    "train": (
        "26 files: 7 of the command line (parsing, words about the run, display), 4 of the data "
        "(sets, recipes, scaling, encoding), 15 of network and Trainer (a formula or an idea each)"
    ),
}
"""What keeps a trip above the wanted number, by its name: to be removed when it is reached."""


def marked(names):
    """Return the names as parameters; those still above are expected to fail."""
    return [
        pytest.param(
            name,
            marks=[pytest.mark.xfail(reason=STILL_ABOVE[name], strict=True)]
            if name in STILL_ABOVE
            else [],
        )
        for name in names
    ]


def run_script(*arguments):
    command = [sys.executable, str(Path(trips.__file__)), *arguments]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def counts():
    """In a process of its own, where nothing is loaded yet and nothing else is profiled."""
    return json.loads(run_script("--json"))


@pytest.mark.parametrize("name", marked(WANTED))
def test_a_trip_enters_no_more_files_than_wanted(counts, name):
    assert counts[name]["files"] <= WANTED[name]


@pytest.mark.parametrize("name", marked(["Network.predict"]))
def test_a_prediction_makes_no_plan(counts, name):
    """The plan of a network is made once, when it is built."""
    assert counts[name]["plan_calls"] == 0


def test_a_fit_that_saves_nothing_never_enters_the_checkpoint_room():
    files = run_script("--files", "Trainer.fit")
    assert "training/trainer.py" in files
    assert "training/checkpoints/" not in files


def test_files_and_changes_are_counted(tmp_path, monkeypatch):
    """By hand: one calls two twice, a module that is imported on the way does not count."""
    (tmp_path / "one.py").write_text(
        "import two\ndef go():\n    two.step()\n    two.step()\n    inner()\n    import three\n"
        "def inner(): pass\n"
    )
    (tmp_path / "two.py").write_text("def step(): pass\n")
    (tmp_path / "three.py").write_text("def at_import(): pass\nat_import()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(trips, "PACKAGE", tmp_path)
    import one

    steps = trips.Steps()
    with steps.recorded():
        one.go()
    assert steps.files == ["one.py", "two.py", "two.py", "one.py"]
    assert steps.entered == ["one.py", "two.py"]
    assert steps.n_changes == 2


def test_the_table_names_all_trips():
    lines = run_script().splitlines()
    assert [line.split("  ")[0] for line in lines[2 : 2 + len(trips.TRIPS)]] == list(trips.TRIPS)
