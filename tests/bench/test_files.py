"""Results of the benchmark as files and as tables in Markdown."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from fastmlp.bench import contenders, files, jobs, markdown, report, runner, session

ROOT = Path(__file__).parents[2]
HEADLINE = ROOT / "benchmarks" / "headline.py"


def row(contender, job, seconds, **more):
    """A row of a summary."""
    return {
        "contender": contender,
        "job": job,
        "check": "ok",
        "seconds": seconds,
        "ratio": None,
        "accuracy": None,
        "accuracy_spread": None,
        "n_epochs": None,
        "peak_fraction": None,
        **more,
    }


def content(*rows):
    names = dict.fromkeys(r["job"] for r in rows if r["job"])
    kinds = [{"name": n, "kind": jobs.JOBS[n].kind} for n in names]
    return {"settings": {"jobs": kinds}, "not_installed": [], "summary": list(rows), "records": []}


FIT = "estimator-regressor-digits-float64"


def test_table_of_times_has_units_ratios_and_dashes():
    text = markdown.tables(
        content(
            row("sgemm", None, 0.04),
            row("noop", "tiny-256", 1e-7),
            row("sklearn", "tiny-256", 1.0, ratio=12.34),
            row("fastmlp", "tiny-256", 0.0812345, peak_fraction=0.386, fma_fraction=0.314),
            row("fastmlp", "predict-1", 6.041e-6),
            row("torch", "predict-1", 9.9996, ratio=0.51),
        )
    )
    assert text.splitlines() == [
        "| job | fastmlp | scikit-learn | PyTorch | % of sgemm | % of FMA |",
        "|---|---|---|---|---|---|",
        "| `tiny-256` | **81.2 ms** | 1 s (12.3×) | – | 39 | 31 |",
        "| `predict-1` | **6.04 µs** | – | 10 s (0.5×) | – | – |",
    ]


def test_estimators_have_a_table_of_their_own_with_scores_and_epochs():
    text = markdown.tables(
        content(
            row("fastmlp", "tiny-256", 0.5),
            row("fastmlp", FIT, 0.9996, accuracy=0.8912, accuracy_spread=0.0123, n_epochs=151.0),
            row("sklearn", FIT, 0.1234, accuracy=0.9, check="FAILS", n_epochs=150.5),
        )
    )
    first, second = text.split("\n\n")
    assert first.splitlines()[0] == "| job | fastmlp |"
    assert second.splitlines()[0] == (
        "| job | fastmlp | scikit-learn | score, fastmlp | score, scikit-learn "
        "| epochs, fastmlp | epochs, scikit-learn |"
    )
    assert second.splitlines()[2] == (
        "| `regressor-digits-float64` | **1000 ms** | FAILS | 89.12 (1.23) | 90.00 | 151 | 150.5 |"
    )


def test_a_file_has_a_line_per_record_and_seven_digits(tmp_path):
    path = tmp_path / "result.json"
    record = {"seconds": [0.123456789, 1e-7 / 3], "round": 0, "machine": {"load": 2 / 3}}
    files.write(path, content(row("fastmlp", FIT, 1 / 3)) | {"records": [record, record]})
    again = files.read(path)
    assert again["records"][1] == {
        "seconds": [0.1234568, 3.333333e-8],
        "round": 0,
        "machine": {"load": 0.6666667},
    }
    assert again["summary"][0]["seconds"] == 0.3333333
    assert again["not_installed"] == []
    assert len([line for line in path.read_text().splitlines() if '"round"' in line]) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# Results", "expected JSON, found: Expecting value"),
        ("[1]", "expected a JSON object, found list"),
        ('{"settings": {}}', "is not a result of the benchmark: it must have settings, not_ins"),
    ],
)
def test_other_files_are_refused(tmp_path, text, sentence):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        files.read(path)


def plan(**changes):
    return runner.Plan(
        **dict(
            contenders=contenders.select(["sgemm", "fastmlp", "sklearn"]),
            jobs=jobs.select(["tiny-256", "predict-1"]),
            mnist=None,
            rounds=3,
            n_threads=1,
            target_seconds=0.1,
            timeout_seconds=600.0,
            as_found=False,
            budget_seconds=90.0,
        )
        | changes
    )


def record(contender, job, index):
    return {"contender": contender, "job": job and {"name": job}, "round": index}


def test_rounds_and_processes_that_did_not_fit_into_the_budget_are_told():
    whole = [
        record("sgemm", None, 0),
        *(record(c, j, 0) for j in ("tiny-256", "predict-1") for c in ("fastmlp", "sklearn")),
    ]
    rounds = [r | {"round": k} for k in range(3) for r in whole]
    assert runner.left_out(plan(), rounds) == []
    assert runner.left_out(plan(), rounds[:10]) == [
        "the budget of 90 s was too small for 3 rounds: 2 were run; --budget allows more seconds"
    ]
    assert runner.left_out(plan(rounds=1), whole[1:4]) == [
        "the budget of 90 s was too small for sgemm in machine, sklearn in predict-1"
    ]


def test_a_shortened_run_says_so_in_its_report_and_when_it_is_read_again(
    monkeypatch, capsys, tmp_path
):
    path = tmp_path / "result.json"
    monkeypatch.setattr(session, "run", lambda _: [])
    monkeypatch.setattr(session, "left_out", lambda *_: ["something did not fit"])
    session.run_and_report(plan(), [], path)
    assert capsys.readouterr().out.endswith("something did not fit\n")
    session.report_file(path)
    assert capsys.readouterr().out.endswith("something did not fit\n")


def test_help_lists_every_job_and_contender_unbroken():
    listed = f"{jobs.listing()}\n{contenders.listing()}"
    for name in (*jobs.JOBS, *jobs.GROUPS, *contenders.CONTENDERS):
        assert re.search(rf"(^|[ (]){re.escape(name)}(,|\s|;|$)", listed, re.MULTILINE), name
    assert max(map(len, listed.splitlines())) < 80


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--from-json", "absent.json"], "no such result file: absent.json"),
        (["--markdown"], "--markdown prints a result that is there: give --from-json too"),
        (["--from-json", __file__], "expected JSON"),
        (["--seconds", "nan"], "--seconds must be a finite number, at least 0; got nan"),
        (["--seconds", "0"], "--seconds must be above 0; got '0'"),
        (["--jobs", "huge"], "unknown job 'huge'; jobs are headline-32, "),
        (["--contenders", "huge"], "unknown contender 'huge'"),
    ],
)
def test_bad_options_of_the_full_benchmark_exit_with_2(arguments, sentence, monkeypatch, capsys):
    if not HEADLINE.exists():
        pytest.skip("no benchmarks beside the tests")
    monkeypatch.setattr(sys, "argv", [str(HEADLINE), *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(HEADLINE), run_name="__main__")
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("headline.py: error: ") and sentence in line


@pytest.mark.parametrize("name", ["headline", "estimator"])
def test_tables_of_the_documentation_are_those_of_the_stored_results(name, capsys):
    stored, page = ROOT / "benchmarks/results" / f"{name}.json", ROOT / "docs/benchmarks.md"
    if not (stored.exists() and page.exists()):
        pytest.skip("no stored result beside the tests")
    session.markdown_file(stored)
    assert capsys.readouterr().out in page.read_text()


def test_stored_summaries_follow_from_their_records():
    for name in ("headline", "estimator"):
        stored = ROOT / "benchmarks" / "results" / f"{name}.json"
        if not stored.exists():
            pytest.skip("no stored result beside the tests")
        kept = json.loads(stored.read_text())
        again = report.summarize(kept["records"], session.jobs_of(kept))
        for row, found in zip(kept["summary"], again, strict=True):
            assert (row["contender"], row["job"]) == (found.contender, found.job)
            for key in ("seconds", "ratio", "accuracy"):
                wanted = None if row[key] is None else pytest.approx(row[key], rel=1e-5)
                assert getattr(found, key) == wanted, (row, key)
