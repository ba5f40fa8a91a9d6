"""benchmarks/guard.py: what it counts, what it says, and its exit codes; valgrind is played."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import fastmlp

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "guard.py"
if not SCRIPT.exists():
    pytest.skip("no benchmarks beside the tests", allow_module_level=True)


def load_script():
    spec = importlib.util.spec_from_file_location("guard_of_benchmarks", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


guard = load_script()
WITH = {"BLAS": "openblas 9", "compiler": "GCC 12"}
TINY = (
    guard.Job((4, 3, 2), "sigmoid", batch_size=5, n_steps=2),
    guard.Job((4, 2), "relu", batch_size=3, n_steps=3),
)


@pytest.fixture
def record(tmp_path, monkeypatch):
    """A guard.json of its own, with two jobs."""
    path = tmp_path / "guard.json"
    jobs = {
        "instructions": {"small": 1000, "large": 50_000},
        "ratio": {"small": 0.5, "large": 0.25},
    }
    path.write_text(json.dumps({name: {"with": WITH, "jobs": part} for name, part in jobs.items()}))
    monkeypatch.setattr(guard, "RECORD", path)
    monkeypatch.setattr(guard.shutil, "which", lambda name: f"/somewhere/{name}")
    return path


@pytest.fixture
def run(capsys, monkeypatch, record):
    """Exit code, stdout and stderr of the guard when these numbers are measured."""

    def call(numbers, *options, conditions=WITH):
        monkeypatch.setattr(guard, "measure", lambda _: {"with": conditions, "jobs": numbers})
        code = guard.main(list(options))
        return code, *capsys.readouterr()

    return call


def test_same_instructions_exit_with_0_and_show_both_numbers(run):
    assert run({"small": 1000, "large": 50_000}) == (
        0,
        "small         1,000         1,000 instructions per step\n"
        "large        50,000        50,000 instructions per step\n",
        "",
    )


@pytest.mark.parametrize(
    ("method", "tolerated", "too_many", "sentence"),
    [
        ("instructions", 1029, 1031, "1,031 instructions per step, 3.1% more than recorded; 3%"),
        ("ratio", 0.62, 0.63, "0.630 of the NumPy reference's time, 26.0% more than recorded; 25%"),
    ],
    ids=["instructions", "ratio"],
)
def test_more_than_tolerated_exits_with_1_and_names_the_job(
    run, method, tolerated, too_many, sentence
):
    large = {"instructions": 50_000, "ratio": 0.25}[method]
    code, _, err = run({"small": tolerated, "large": large}, "--method", method)
    assert (code, err) == (0, "")
    code, _, err = run({"small": too_many, "large": large}, "--method", method)
    assert (code, err) == (1, f"guard.py: slower: small takes {sentence} are tolerated\n")


def test_every_slower_job_is_named(run):
    code, _, err = run({"small": 2000, "large": 100_000})
    assert code == 1
    assert [line.split()[2] for line in err.splitlines()] == ["small", "large"]


def test_improvement_is_a_note_that_asks_to_be_recorded(run):
    code, out, err = run({"small": 900, "large": 50_000})
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == (
        "note: small takes 900 instructions per step, 10.0% less than recorded: "
        "--record keeps it so"
    )


def test_job_without_a_recorded_number_is_a_note(run):
    code, out, _ = run({"small": 1000, "large": 50_000, "new": 5})
    assert code == 0
    assert out.splitlines()[2:] == [
        "new               -             5 instructions per step",
        "note: new has no recorded number",
    ]


def test_job_that_is_recorded_and_not_measured_any_more_exits_with_1(run):
    code, out, err = run({"small": 1000})
    assert code == 1
    assert out.splitlines()[1] == "large        50,000             - instructions per step"
    assert err == (
        "guard.py: gone: large has a recorded number and is not measured; --record forgets it\n"
    )


def test_record_holds_what_was_measured_and_nothing_older(run, record):
    code, out, _ = run({"new": 0.125}, "--record", "--method", "ratio")
    assert code == 0
    assert out == "recorded: new: 0.125 of the NumPy reference's time\n"
    assert json.loads(record.read_text()) == {"ratio": {"with": WITH, "jobs": {"new": 0.125}}}


def test_record_has_both_methods_where_valgrind_is_installed(run, record, monkeypatch):
    run({"new": 1}, "--record")
    assert list(json.loads(record.read_text())) == ["instructions", "ratio"]
    monkeypatch.setattr(guard.shutil, "which", lambda name: None)
    run({"new": 1}, "--record")
    assert list(json.loads(record.read_text())) == ["ratio"]


def test_without_valgrind_ratios_are_compared(run, monkeypatch):
    monkeypatch.setattr(guard.shutil, "which", lambda name: None)
    assert "NumPy reference" in run({"small": 0.5})[1]


def test_other_conditions_are_no_slowdown_but_no_comparison(run):
    found = run({"small": 9999}, conditions=WITH | {"compiler": "GCC 13"})
    assert found == (
        2,
        "",
        "guard.py: error: guard.json was recorded with compiler GCC 12, here it is GCC 13: go back "
        "to the code to compare with, --record it here, and come again\n",
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot read guard.json: No such file or directory; --record makes it"),
        ("{", "guard.json is not a JSON file: Expecting property name"),
        ("{}", "guard.json has no numbers for method 'instructions'; --record makes them"),
    ],
    ids=["absent", "no JSON", "empty"],
)
def test_records_that_cannot_be_used_exit_with_2(run, record, content, sentence):
    record.unlink() if content is None else record.write_text(content)
    code, out, err = run({"small": 1})
    assert (code, out) == (2, "")
    assert err.startswith(f"guard.py: error: {sentence}") and err.count("\n") == 1


def test_unknown_options_are_one_line_on_stderr(capsys):
    assert guard.main(["--method", "guess"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("guard.py: error: argument --method: invalid choice: 'guess'")
    assert err.count("\n") == 1


def test_instructions_per_step_are_those_that_more_steps_add():
    marks = [("", 0), ("a", 4), ("", 0), ("a", 8), ("", 0), ("b", 2), ("", 0), ("b", 4)]
    counts = [10**9, 500 + 4 * 70, 33, 500 + 8 * 70, 44, 9 + 2 * 3, 55, 9 + 4 * 3]
    assert guard.per_step(marks, counts) == {"a": 70, "b": 3}


def write_counts(folder, counts):
    """What callgrind leaves: numbered files, one per mark, and one for the end."""
    for number, count in enumerate(counts, start=1):
        (folder / f"counts.{number}").write_text(
            f"# callgrind format\npart: {number}\ndesc: Trigger: --dump-before=getppid\n"
            f"summary: {count + 1}\n\nfn=(1) main\n1 5\n\ntotals: {count}\n"
        )
    (folder / "counts").write_text("desc: Trigger: Program termination\ntotals: 77\n")


def test_counts_are_read_in_the_order_of_the_marks(tmp_path):
    counts = [100 * k for k in range(1, 13)]  # counts.10 sorts before counts.2 as a text
    write_counts(tmp_path, counts)
    (tmp_path / "counts.13").write_text("desc: Trigger: Program termination\ntotals: 5\n")
    assert guard.read_counts(tmp_path) == counts


@pytest.fixture
def play_valgrind(tmp_path, monkeypatch):
    """Puts a program of this name on the path that answers with marks and writes counts."""

    def play(marks, counts, exit_status=0):
        source, program = tmp_path / "source", tmp_path / "bin" / "valgrind"
        source.mkdir()
        write_counts(source, counts)
        program.parent.mkdir()
        answer = json.dumps({"with": WITH, "marks": marks})
        program.write_text(
            "#!/bin/sh\n"
            f"echo \"$@\" > '{tmp_path}/arguments'; env > '{tmp_path}/environment'\n"
            'for argument in "$@"; do case "$argument" in --callgrind-out-file=*)\n'
            f'  cp \'{source}\'/* "$(dirname "${{argument#*=}}")";; esac; done\n'
            f"echo '{answer}'; echo 'no memory' >&2; exit {exit_status}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("OPENBLAS_L2_SIZE", "512")

    return play


def test_instructions_are_counted_on_one_thread_with_fixed_kernels(play_valgrind, tmp_path):
    play_valgrind([("", 0), ("a", 1), ("", 0), ("a", 2)], [7, 30, 8, 50])
    assert guard.measure("instructions") == {"with": WITH, "jobs": {"a": 20}}
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[:3] == ["-q", "--tool=callgrind", "--dump-before=getppid"]
    assert arguments[4:] == [sys.executable, str(SCRIPT), "--child", "instructions"]
    environment = dict(
        line.split("=", 1)
        for line in (tmp_path / "environment").read_text().splitlines()
        if "=" in line
    )
    wanted = {
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "OPENBLAS_CORETYPE": "Haswell",
        "FASTMLP_SIMD": "avx2",
    }
    assert wanted.items() <= environment.items()
    assert "OPENBLAS_L2_SIZE" not in environment


def test_lost_count_is_no_comparison(play_valgrind):
    play_valgrind([("", 0), ("a", 1), ("", 0), ("a", 2)], [7, 30, 8])
    with pytest.raises(guard.GuardError, match="callgrind wrote 3 counts for 4 marks"):
        guard.measure("instructions")


def test_measuring_process_that_fails_is_told_with_its_last_words(play_valgrind):
    play_valgrind([], [], exit_status=3)
    with pytest.raises(guard.GuardError, match="the measuring process failed: no memory"):
        guard.measure("instructions")


def test_child_marks_begin_and_end_of_two_trainings_of_every_job(capsys, monkeypatch):
    steps, parent = [], []
    monkeypatch.setattr(guard, "JOBS", TINY)
    monkeypatch.setattr(os, "getppid", lambda: parent.append(len(steps)))
    prepare = guard.prepare

    def spied(job, engine):
        train = prepare(job, engine)
        return lambda n: (steps.append((job.name, engine, n)), train(n))

    monkeypatch.setattr(guard, "prepare", spied)
    assert guard.main(["--child", "instructions"]) == 0
    first, second = "4-3-2 sigmoid, batch 5", "4-2 relu, batch 3"
    answer = json.loads(capsys.readouterr().out)
    assert answer["marks"] == [
        ["", 0],
        [first, 2],
        ["", 0],
        [first, 4],
        ["", 0],
        [second, 3],
        ["", 0],
        [second, 6],
    ]
    assert [n for _, _, n in steps] == [1, 2, 4, 1, 3, 6]
    assert {engine for _, engine, _ in steps} == {"native"}
    assert parent == [1, 2, 2, 3, 4, 5, 5, 6]


@pytest.mark.parametrize("engine", ["native", "numpy"])
def test_training_takes_exactly_the_steps_it_is_told(monkeypatch, engine):
    trained = []
    fit = fastmlp.Trainer.fit

    def spied(self, x, y):
        history = fit(self, x, y)
        trained.append((self.engine_name, self.threads.n_threads, history["costs"].shape))
        return history

    monkeypatch.setattr(fastmlp.Trainer, "fit", spied)
    train = guard.prepare(TINY[0], engine)
    assert all(seconds > 0 for seconds in map(train, (1, 2, 4)))
    assert trained == [(engine, 1, (1, n)) for n in (1, 2, 4)]


def test_ratio_is_the_median_of_turns_without_the_first(monkeypatch):
    def pretend(job, engine):
        native = iter([99.0, *[2.0] * 8, *[3.0] * 7])
        return lambda n_steps: next(native) if engine == "native" else 4.0

    monkeypatch.setattr(guard, "prepare", pretend)
    monkeypatch.setattr(guard, "JOBS", TINY[:1])
    answer = guard.time_ratios()
    assert answer["jobs"] == {"4-3-2 sigmoid, batch 5": 0.5}
    assert answer["with"]["NumPy"] == np.__version__


def test_conditions_name_everything_that_changes_the_numbers():
    counted = guard.conditions("instructions")
    assert set(counted) == {"BLAS", "BLAS kernels", "SIMD level", "compiler"}
    assert set(guard.conditions("ratio")) == set(counted) | {"processor", "NumPy"}
    assert all(isinstance(value, str) and value for value in counted.values())


def test_recorded_jobs_are_those_that_are_measured_now():
    content = json.loads(SCRIPT.with_name("guard.json").read_text())
    assert set(content) <= {"instructions", "ratio"}
    for part in content.values():
        assert list(part["jobs"]) == [job.name for job in guard.JOBS]
        assert min(part["jobs"].values()) > 0
