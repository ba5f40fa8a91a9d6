"""benchmarks/tables.py: what it measures, and how its report counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def report(monkeypatch):
    if not (FOLDER / "tables_report.py").exists():
        pytest.skip("no benchmarks beside the tests")
    monkeypatch.syspath_prepend(str(FOLDER))
    import tables_report

    return tables_report


def row(table, contender, skill, seed=0, log_loss=None):
    return {
        "table": table, "contender": contender, "seed": seed, "skill": skill, "n_train": 100,
        "cpu_seconds": 1.0, "log_loss": float("nan") if log_loss is None else log_loss,
    }  # fmt: skip


OUTCOME = {
    "results": [
        row("one", "a", 0.8, log_loss=0.3),
        row("one", "a", 1.0, seed=1, log_loss=0.5),
        row("one", "b", 0.45, log_loss=0.6),
        row("two", "a", 0.2),
        row("two", "b", 0.4),
        row("three", "a", 0.5),
        row("three", "b", -1.0),
    ]
}


def test_ranks_and_relative_skills_are_means_over_tables_of_means_over_seeds(report):
    found = report.ranking(OUTCOME)
    assert found["mean rank"].round(6).to_dict() == {"a": 1.333333, "b": 1.666667}
    assert found.loc["a", "relative skill"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert found.loc["b", "relative skill"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert found.loc["a", "log loss"] == pytest.approx(0.4)


def test_the_best_of_a_table_is_bold(report):
    lines = report.markdown(OUTCOME).splitlines()
    assert "| one | 100 | **0.900** | 0.450 |" in lines
    assert "| two | 100 | 0.200 | **0.400** |" in lines


def test_a_short_run_writes_its_numbers(tmp_path):
    if not (FOLDER / "tables.py").exists():
        pytest.skip("no benchmarks beside the tests")
    path = tmp_path / "out.json"
    command = [sys.executable, FOLDER / "tables.py", "--tables", "breast_cancer", "--rows", "200"]
    subprocess.run(
        [*command, "--contenders", "Tabular*, fast", "linear", "--json", path],
        check=True,
        capture_output=True,
    )
    results = json.loads(path.read_text())["results"]
    assert [each["n_train"] for each in results] == [150, 150]
    assert min(each["skill"] for each in results) > 0.8
    assert max(each["log_loss"] for each in results) < 0.5
