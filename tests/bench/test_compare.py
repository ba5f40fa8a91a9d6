"""benchmarks/compare.py: verdicts, drift, refusals and exit codes, on results made by hand."""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "compare.py"
if not SCRIPT.exists():
    pytest.skip("no benchmarks beside the tests", allow_module_level=True)

JOBS = ("small", "large")


def load_script():
    spec = importlib.util.spec_from_file_location("compare_of_benchmarks", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


compare = load_script()


def row(contender, job, seconds, check="ok"):
    return {"contender": contender, "job": job, "check": check, "seconds": seconds}


def result(fastmlp=(0.1, 0.2), reference=(0.4, 0.6), sgemm=0.05):
    """A result file: seconds per epoch of two contenders in two jobs, and of one product."""
    jobs = [
        {"name": name, "sizes": [4, 3, 2], "batch_size": size, "n_rows": 1000, "hidden": "relu"}
        for name, size in zip(JOBS, (32, 500), strict=True)
    ]
    summary = [row("sgemm", None, sgemm, "-")]
    for k, job in enumerate(JOBS):
        summary += [row("fastmlp", job, fastmlp[k]), row("fastmlp.reference", job, reference[k])]
    record = {
        "contender": "fastmlp.reference",
        "machine": {"processor": "Abacus 9", "usable_processors": 2},
        "versions": {"numpy": "2.0"},
        "blas": [{"prefix": "libopenblas", "version": "0.3", "architecture": "Haswell"}],
    }
    failed = {"contender": "torch", "error": "out of memory"}
    settings = {"n_threads": 2, "data": "mnist.npz", "as_found": False, "jobs": jobs}
    return {"settings": settings, "summary": summary, "records": [record, failed]}


@pytest.fixture
def run(tmp_path, capsys):
    """Exit code, stdout and stderr for two contents and more options."""

    def call(before, after, *options):
        paths = [tmp_path / "before.json", tmp_path / "after.json"]
        for path, content in zip(paths, (before, after), strict=True):
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        code = compare.main([*map(str, paths), *options])
        return code, *capsys.readouterr()

    return call


def cells(out, job):
    """The cells of a job's line."""
    return next(line.split() for line in out.splitlines() if line.startswith(job))


def test_equal_results_are_the_same_and_exit_with_0(run):
    code, out, err = run(result(), result())
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == [
        "job",
        "before",
        "after",
        "ratio*",
        "/",
        "fastmlp.reference",
        "/",
        "sgemm",
        "verdict",
    ]
    assert cells(out, "small") == ["small", "0.1000", "0.1000", *["1.000"] * 3, "same"]


def test_one_slower_job_exits_with_1_and_a_faster_one_is_named_too(run):
    code, out, _ = run(result(), result(fastmlp=(0.12, 0.1)))
    assert code == 1
    assert cells(out, "small") == ["small", "0.1000", "0.1200", *["1.200"] * 3, "slower"]
    assert cells(out, "large") == ["large", "0.2000", "0.1000", *["0.500"] * 3, "faster"]


def test_faster_jobs_alone_exit_with_0(run):
    assert run(result(), result(fastmlp=(0.05, 0.1)))[0] == 0


@pytest.mark.parametrize(
    ("relative", "absolute", "verdict"),
    [
        ("0.05", "0.001", "slower"),
        ("0.25", "0.001", "same"),
        ("0.05", "0.03", "same"),
        ("0.25", "0.03", "same"),
        ("0.2", "0", "same"),
    ],
    ids=["both exceeded", "relative not", "absolute not", "neither", "just reached"],
)
def test_change_counts_only_when_it_exceeds_both_thresholds(run, relative, absolute, verdict):
    before, after = result(fastmlp=(0.125, 0.2)), result(fastmlp=(0.15, 0.2))
    code, out, _ = run(before, after, "--relative", relative, "--absolute", absolute)
    assert cells(out, "small")[-1] == verdict
    assert code == (verdict == "slower")


def test_drift_of_the_machine_is_divided_out_when_asked(run):
    drifted = result(fastmlp=(0.15, 0.3), reference=(0.6, 0.9), sgemm=0.06)
    code, out, _ = run(result(), drifted)
    assert code == 1
    assert cells(out, "small") == ["small", "0.1000", "0.1500", "1.500", "1.000", "1.250", "slower"]
    code, out, _ = run(result(), drifted, "--normalize-by", "fastmlp.reference")
    assert code == 0
    assert "/ fastmlp.reference*" in out and "ratio*" not in out
    assert cells(out, "small")[-1] == cells(out, "large")[-1] == "same"
    code, out, _ = run(result(), drifted, "--normalize-by", "sgemm")
    assert code == 1


def test_slowdown_that_the_machine_hides_is_found_by_normalising(run):
    hidden = result(fastmlp=(0.1, 0.2), reference=(0.2, 0.3))
    assert run(result(), hidden)[0] == 0
    code, out, _ = run(result(), hidden, "--normalize-by", "fastmlp.reference")
    assert code == 1
    assert cells(out, "small") == ["small", "0.1000", "0.1000", "1.000", "2.000", "1.000", "slower"]


def test_absolute_threshold_applies_to_the_normalized_change(run):
    hidden = result(reference=(0.2, 0.6))
    options = ("--normalize-by", "fastmlp.reference", "--absolute")
    assert run(result(), hidden, *options, "0.09")[0] == 1
    assert run(result(), hidden, *options, "0.11")[0] == 0


def test_any_contender_can_be_judged_and_normalizes_nothing_for_itself(run):
    after = result(reference=(0.5, 0.6))
    code, out, _ = run(result(), after, "--contender", "fastmlp.reference")
    assert code == 1
    assert cells(out, "small") == ["small", "0.4000", "0.5000", "1.250", "1.250", "slower"]


def test_any_contender_can_normalize(run):
    pair = [result(), result(fastmlp=(0.2, 0.4))]
    for content, seconds in zip(pair, (1.0, 2.0), strict=True):
        content["summary"] += [row("torch", job, seconds) for job in JOBS]
    code, out, _ = run(*pair, "--normalize-by", "torch")
    assert code == 0
    assert cells(out, "small")[3:] == ["2.000", "2.000", "2.000", "1.000", "same"]


def without(content, *names):
    """A copy without the rows of some contenders."""
    new = copy.deepcopy(content)
    new["summary"] = [r for r in new["summary"] if r["contender"] not in names]
    return new


def test_columns_are_left_out_where_a_file_lacks_the_normalizer(run):
    code, out, _ = run(result(), without(result(), "sgemm", "fastmlp.reference"))
    assert code == 0
    assert cells(out, "small") == ["small", "0.1000", "0.1000", "1.000", "same"]
    assert "sgemm" not in out


def without_large(content):
    content["summary"] = [r for r in content["summary"] if r["job"] != "large"]
    return content


def test_job_that_is_gone_exits_with_1_and_is_named(run):
    code, out, err = run(result(), without_large(result()))
    assert code == 1
    assert cells(out, "large") == ["large", "0.2000", "-", "-", "-", "-", "gone"]
    assert err.startswith("compare.py: not in ")
    assert err.endswith("after.json: large; --jobs leaves jobs out\n")


def test_new_job_is_no_slowdown(run):
    code, out, err = run(without_large(result()), result())
    assert (code, err) == (0, "")
    assert cells(out, "large") == ["large", "-", "0.2000", "-", "-", "-", "new"]


def test_only_the_jobs_named_are_compared(run):
    code, out, err = run(result(), without_large(result(fastmlp=(0.1, 9.0))), "--jobs", "small")
    assert (code, err) == (0, "")
    assert "large" not in out
    code, _, err = run(result(), result(), "--jobs", "small,huge")
    assert code == 2
    assert "--jobs: fastmlp has no job 'huge'; its jobs are small, large" in err


def test_job_without_the_normalizer_is_not_judged(run):
    after = result()
    after["summary"] = [
        r for r in after["summary"] if (r["contender"], r["job"]) != ("fastmlp.reference", "large")
    ]
    _, out, _ = run(result(), after, "--normalize-by", "fastmlp.reference")
    assert cells(out, "small")[-1] == "same"
    assert out.splitlines()[2].endswith("  no normalizer")


@pytest.mark.parametrize("check", ["FAILS", "error"])
def test_job_that_has_failed_since_exits_with_1(run, check):
    after = result()
    for r in after["summary"]:
        if (r["contender"], r["job"]) == ("fastmlp", "large"):
            r.update(check=check, seconds=None if check == "error" else 0.1)
    code, out, _ = run(result(), after)
    assert code == 1
    assert cells(out, "large")[-1] == "failed"
    code, out, _ = run(after, result())
    assert code == 0
    assert cells(out, "large")[-2:] == ["failed", "before"]


def test_changed_versions_are_noted(run):
    after = result()
    after["records"][0]["versions"]["numpy"] = "2.1"
    after["records"][0]["blas"][0]["architecture"] = "Zen"
    out = run(result(), after)[1].splitlines()
    assert "note: fastmlp.reference: numpy 2.0 before, 2.1 after" in out
    assert "note: fastmlp.reference: libopenblas 0.3 Haswell before, 0.3 Zen after" in out
    assert not any(line.startswith("note") for line in run(result(), result())[1].splitlines())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda r: r["settings"].update(n_threads=1), "setting n_threads: 2 before, 1 after"),
        (
            lambda r: r["settings"].update(data="other.npz"),
            "setting data: mnist.npz before, other.npz after",
        ),
        (
            lambda r: r["settings"].update(as_found=True),
            "setting as_found: False before, True after",
        ),
        (
            lambda r: r["records"][0]["machine"].update(processor="Abacus 10"),
            "processors: 2 x Abacus 9 before, 2 x Abacus 10 after",
        ),
        (
            lambda r: r["records"][0]["machine"].update(usable_processors=4),
            "processors: 2 x Abacus 9 before, 4 x Abacus 9 after",
        ),
        (
            lambda r: r["settings"]["jobs"][1].update(n_rows=500),
            "n_rows of job large: 1000 before, 500 after",
        ),
        (
            lambda r: r["settings"]["jobs"][0].update(sizes=[4, 2]),
            "sizes of job small: [4, 3, 2] before, [4, 2] after",
        ),
    ],
    ids=["threads", "data", "as_found", "processor", "processors", "rows", "sizes"],
)
def test_results_of_different_settings_are_refused(run, change, sentence):
    after = result()
    change(after)
    assert run(result(), after) == (
        2,
        "",
        f"compare.py: error: measured under different settings: {sentence}\n",
    )


def test_unknown_contender_is_refused_with_those_there_are(run):
    assert run(result(), result(), "--contender", "tinygrad") == (
        2,
        "",
        "compare.py: error: contender 'tinygrad' has no job that is in both files; they have "
        "fastmlp, fastmlp.reference, sgemm\n",
    )


def test_normalizer_without_numbers_is_refused(run):
    code, out, err = run(result(), result(), "--normalize-by", "keras")
    assert (code, out) == (2, "")
    assert err == (
        "compare.py: error: --normalize-by keras: no job has a number of it in both files\n"
    )


NO_RESULT = (
    "is no result of headline.py: it must have settings with jobs, a summary with contender, job, "
    "check, seconds in every row, and records"
)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not a JSON file: "),
        ("[1]", NO_RESULT),
        ({"settings": {}, "records": []}, NO_RESULT),
        ({"settings": {}, "summary": [], "records": []}, NO_RESULT),
        ({"settings": {"jobs": []}, "summary": [{"job": 1}], "records": []}, NO_RESULT),
    ],
    ids=["no JSON", "no object", "no summary", "no jobs", "short row"],
)
def test_files_of_another_kind_are_refused(run, content, sentence):
    code, out, err = run(result(), content)
    assert (code, out) == (2, "")
    assert err.startswith("compare.py: error: ") and f"after.json {sentence}" in err


def test_file_that_is_not_there_is_named(capsys, tmp_path):
    absent = str(tmp_path / "absent.json")
    assert compare.main([absent, absent]) == 2
    assert capsys.readouterr().err == (
        f"compare.py: error: cannot read {absent}: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("-0.1", "must be a finite number, at least 0; got -0.1"),
        ("much", "must be a number; got 'much'"),
        ("nan", "must be a finite number, at least 0; got nan"),
        ("inf", "must be a finite number, at least 0; got inf"),
    ],
)
@pytest.mark.parametrize("option", ["--relative", "--absolute"])
def test_thresholds_that_are_no_numbers_are_refused(run, option, text, sentence):
    code, out, err = run(result(), result(), f"{option}={text}")
    assert (code, out) == (2, "")
    assert err == f"compare.py: error: {option} {sentence}\n"


def test_missing_arguments_are_one_line_on_stderr(capsys):
    assert compare.main([]) == 2
    err = capsys.readouterr().err
    assert err.startswith("compare.py: error: the following arguments are required")
    assert err.count("\n") == 1
