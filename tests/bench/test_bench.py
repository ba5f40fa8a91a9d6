"""The benchmark: its arithmetic, its order, its refusals, and its processes on tiny jobs."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from processes import PATIENCE_SECONDS, is_running, wait_until

import fastmlp
from fastmlp.bench import contenders, data, figure, jobs, report, runner, session, timing
from fastmlp.bench.adapters import Fitter, Learner, shared
from fastmlp.bench.contenders import CONTENDERS
from fastmlp.cli import bench as bench_command
from fastmlp.cli.options import UsageError

TINY = jobs.select(["tiny-256"], 512)[0]
MACHINE = {
    "processor": "a processor",
    "usable_processors": 2,
    "simd_level": "baseline",
    "system": "a system",
    "python": "3",
    "environment": {},
}


def record(contender, seconds, job=TINY, index=0, **more):
    """What a worker that timed these seconds would have handed back."""
    return {
        "contender": contender,
        "job": asdict(job) if job else None,
        "round": index,
        "n_threads": 2,
        "seconds": list(seconds),
        "median_seconds": seconds[0],
        "busy_cores": 1.5,
        "training_peak_bytes": 3e6,
        "accuracy": None,
        "largest_error": None,
        "versions": {"library": "1"},
        "blas": [],
        "machine": MACHINE,
        **more,
    }


def failure(contender, job=TINY):
    return {
        "contender": contender,
        "job": asdict(job),
        "round": 0,
        "n_threads": 2,
        "error": "OSError: it broke",
    }


def plan(**changes):
    """A plan of the four contenders that are always installed, on the tiny job."""
    names = ("noop", "fastmlp", "fastmlp.reference", "sklearn")
    return replace(
        runner.Plan(
            contenders=contenders.select(names),
            jobs=(TINY,),
            mnist=None,
            rounds=1,
            n_threads=1,
            target_seconds=0.02,
            timeout_seconds=PATIENCE_SECONDS,
            as_found=False,
        ),
        **changes,
    )


def rows_of(records, *of_jobs):
    return {row.contender: row for row in report.summarize(records, of_jobs or (TINY,))}


def test_ratios_are_medians_over_all_rounds_divided_by_those_of_fastmlp():
    rows = rows_of(
        [
            record("fastmlp", [0.9, 1.0]),
            record("sklearn", [3.0, 9.0]),
            record("fastmlp", [1.1], index=1),
            record("sklearn", [2.0], index=1),
        ]
    )
    assert (rows["fastmlp"].ratio, rows["sklearn"].ratio) == (1.0, 3.0)
    assert (rows["sklearn"].min_seconds, rows["sklearn"].max_seconds) == (2.0, 9.0)
    assert (rows["sklearn"].q1_seconds, rows["sklearn"].q3_seconds) == (2.5, 6.0)
    assert (rows["sklearn"].n_timed, rows["sklearn"].n_rounds) == (3, 2)


def test_shares_compare_with_sgemm_and_multiply_adds_of_the_same_run():
    seconds_of_sgemm, seconds_of_fma = 2 * 2048**3 / 100e9, 2 * 2048**3 / 125e9
    # 4-32-16-4: forward and weight gradient of all layers, input delta of all but the first.
    flop = 2 * 512 * (2 * (4 * 32 + 32 * 16 + 16 * 4) + 32 * 16 + 16 * 4)
    rows = rows_of(
        [
            record("fma", [seconds_of_fma], None),
            record("sgemm", [seconds_of_sgemm], None),
            record("fastmlp", [flop / 25e9]),
        ]
    )
    assert rows["sgemm"].gflop_per_second == pytest.approx(100)
    assert rows["fastmlp"].gflop_per_second == pytest.approx(25)
    assert rows["fastmlp"].peak_fraction == pytest.approx(0.25)
    assert rows["fastmlp"].fma_fraction == pytest.approx(0.2)
    assert rows["sgemm"].fma_fraction == pytest.approx(0.8)
    (line,) = [
        x
        for x in report.table([rows["fastmlp"]], [TINY], []).splitlines()
        if x.startswith("fastmlp")
    ]
    assert line.split()[5:8] == ["25.0", "25.0", "20.0"]


def test_flop_of_predictions_and_ensembles_follow_from_the_shapes():
    one, many, ensemble = jobs.select(["predict-1", "predict-10000", "ensemble"])
    assert one.flop == 2 * (784 * 70 + 70 * 30 + 30 * 10)
    assert many.flop == 10_000 * one.flop
    per_row = 2 * (2 * (784 * 100 + 100 * 10) + 100 * 10)
    assert ensemble.flop == 16 * 10 * 4_000 * per_row


def test_accuracy_far_from_the_reference_fails_and_gets_no_ratio():
    rows = rows_of(
        [
            record("fastmlp", [1.0], accuracy=0.90),
            record("fastmlp.reference", [1.0], accuracy=0.91),
            record("torch", [0.1], accuracy=0.88),
            record("sklearn", [2.0], accuracy=0.92),
        ]
    )
    assert {name: row.check for name, row in rows.items()} == {
        "fastmlp": "ok",
        "fastmlp.reference": "ok",
        "torch": "FAILS",
        "sklearn": "ok",
    }
    assert (rows["torch"].ratio, rows["sklearn"].ratio) == (None, 2.0)


def test_scikit_learn_is_the_measure_where_the_reference_did_not_run():
    rows = rows_of([record("fastmlp", [1.0], accuracy=0.5), record("sklearn", [1.0], accuracy=0.9)])
    assert rows["fastmlp"].check == "FAILS"
    assert rows_of([record("fastmlp", [1.0], accuracy=0.5)])["fastmlp"].check == "no reference"


def test_wrong_outputs_fail_a_prediction():
    job = jobs.select(["predict-1"])[0]
    found = [
        record("fastmlp", [1.0], job, largest_error=1e-6),
        record("torch", [1.0], job, largest_error=1e-3),
    ]
    rows = rows_of(found, job)
    assert (rows["fastmlp"].check, rows["torch"].check) == ("ok", "FAILS")


def test_a_failed_round_makes_the_whole_row_an_error():
    rows = rows_of([record("torch", [1.0]), failure("torch"), record("fastmlp", [1.0])])
    assert (rows["torch"].check, rows["torch"].error) == ("error", "OSError: it broke")
    assert report.failed(list(rows.values()))
    assert "OSError: it broke" in report.table(list(rows.values()), [TINY], [])


def test_times_are_shown_in_a_unit_that_suits_fastmlp():
    def header(seconds):
        rows = report.summarize([record("fastmlp", [seconds]), record("torch", [1.0])], [TINY])
        return report.table(rows, [TINY], []).splitlines()[1].split()[1]

    assert [header(s) for s in (2e-5, 0.02, 2.0)] == ["µs/epoch", "ms/epoch", "s/epoch"]


def test_order_of_contenders_turns_with_the_rounds():
    names = [[c.name for c, _ in runner.one_round(plan(), k)] for k in range(5)]
    assert names[1] == ["fastmlp", "fastmlp.reference", "sklearn", "noop"]
    assert names[4] == names[0]
    assert [order[0] for order in names[:4]] == names[0]


def test_machine_is_measured_once_a_round_and_contenders_only_do_what_they_can():
    wanted = plan(
        contenders=contenders.select(["sgemm", "fastmlp", "keras", "jax-step"]),
        jobs=jobs.select(["tiny-256", "predict-1", "ensemble"]),
    )
    pairs = [(c.name, job.name if job else None) for c, job in runner.one_round(wanted, 0)]
    assert pairs == [
        ("sgemm", None),
        ("fastmlp", "tiny-256"),
        ("keras", "tiny-256"),
        ("jax-step", "tiny-256"),
        ("fastmlp", "predict-1"),
        ("keras", "predict-1"),
        ("fastmlp", "ensemble"),
    ]


def test_budget_ends_the_first_round_early_and_begins_no_other_it_has_no_time_for(
    monkeypatch, capsys
):
    now = [0.0]
    taken = {"fastmlp": 4.0, "sklearn": 30.0}

    def slow(plan, contender, job, index):
        now[0] += taken[contender.name]
        return record(contender.name, [1.0], job, index)

    monkeypatch.setattr(runner, "monotonic", lambda: now[0])
    monkeypatch.setattr(runner, "run_one", slow)
    both = plan(
        contenders=contenders.select(["sklearn", "fastmlp"]),
        rounds=5,
        budget_seconds=60.0,
        jobs=jobs.select(["tiny-256", "tiny-full"]),
    )
    records = runner.run(both)
    assert [(r["contender"], r["job"]["name"]) for r in records] == [
        ("sklearn", "tiny-256"),
        ("fastmlp", "tiny-256"),
        ("fastmlp", "tiny-full"),
    ]
    assert "no time left for sklearn, tiny-full" in capsys.readouterr().err
    assert now[0] < 60
    taken["sklearn"], now[0] = 4.0, 0.0
    assert len(runner.run(both)) == 3 * 4
    assert capsys.readouterr().err.endswith("\nno time left for round 4 of 5\n")


def test_jobs_of_a_group_come_once_and_rows_are_cut():
    names = [job.name for job in jobs.select(["tiny-256", "tiny", "headline"])]
    assert names == ["tiny-256", "tiny-full", "headline-32", "headline-500", "headline-20000"]
    full, predict = jobs.select(["tiny-full", "predict-10000"], 600)
    assert (full.n_rows, full.batch_size, predict.n_rows) == (600, 600, 10_000)
    assert {job.name for job in jobs.select(["all"])} == set(jobs.JOBS)


def test_unknown_names_are_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"unknown job 'huge'; jobs are headline-32, .* and all"):
        jobs.select(["headline", "huge"])
    with pytest.raises(
        ValueError, match=r"unknown contender 'cuda'; contenders are noop, .* and all"
    ):
        contenders.select(["fastmlp", "cuda"])
    with pytest.raises(ValueError, match="no optimizer 'lbfgs'; it knows sgd"):
        shared.choose({"sgd": 1}, "lbfgs", "optimizer")


def options(*arguments):
    parser = argparse.ArgumentParser()
    bench_command.add_options(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--jobs", "huge"], "unknown job 'huge'"),
        (["--contenders", "cuda"], "unknown contender 'cuda'"),
        (["--rounds", "0"], "--rounds must be at least 1; got 0"),
        (["--rows", "many"], "--rows must be an integer; got 'many'"),
        (["--seconds", "nan"], "--seconds must be a finite number, at least 0; got nan"),
        (["--threads", "1000"], "--threads must be from 1 to 256; got 1000"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(arguments, sentence, monkeypatch):
    monkeypatch.setattr(session, "run_and_report", lambda *_: pytest.fail("it ran"))
    with pytest.raises((ValueError, UsageError), match=sentence):
        bench_command.run(options(*arguments))


def test_a_file_that_could_not_be_written_is_refused_before_anything_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "run", lambda _: pytest.fail("it ran"))
    with pytest.raises(FileNotFoundError, match=r"the folder for result\.json does not exist"):
        session.run_and_report(plan(), [], json_path=tmp_path / "missing" / "result.json")


def test_default_is_a_limited_selection_and_all_means_all(monkeypatch):
    plans = []
    monkeypatch.setattr(session, "run_and_report", lambda plan, *_: plans.append(plan) or 0)
    monkeypatch.setattr(contenders.Contender, "installed", lambda self: True)
    assert [bench_command.run(options(*a)) for a in ([], ["--all"])] == [0, 0]
    quick, full = plans
    assert quick.budget_seconds < 120
    assert tuple(job.name for job in quick.jobs) == jobs.QUICK_JOBS
    assert full.budget_seconds is None
    assert len(full.jobs) == len(jobs.JOBS)
    assert {c.name for c in full.contenders} == set(CONTENDERS)


def test_random_rows_are_the_same_every_time_and_have_all_classes():
    first, second = (data.load(TINY, None) for _ in range(2))
    for a, b in zip(first[:4], second[:4], strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.x_train.shape == (512, 4) and first.x_train.dtype == np.float32
    assert first.y_train.sum(axis=0).min() > 25
    assert first.x_train.std() == pytest.approx(1.0, abs=0.1)


def test_starting_weights_of_the_headline_lie_in_their_ranges_and_differ_by_seed():
    job = jobs.headline(500)
    (first, _), (second, _), _ = shared.initial_weights(job)
    assert first.shape == (784, 70)
    assert (round(abs(first).max(), 2), round(abs(second).max(), 2)) == (0.5, 1.0)
    other = shared.initial_weights(replace(job, seed=1))[0][0]
    assert not np.array_equal(first, other)


def test_expected_outputs_are_those_of_the_network():
    job = replace(TINY, kind="predict", n_rows=7)
    x = data.load(job, None).x_test
    adapter = CONTENDERS["fastmlp.reference"].create(data.load(job, None), 1)
    adapter.prepare(job)
    np.testing.assert_allclose(adapter.predict(x), shared.expected_outputs(job, x), atol=1e-6)


class Stopped(Learner):
    """Reports a second per epoch and counts them; accuracy is their number."""

    def __init__(self, wrong=0):
        super().__init__(None, 1, "")
        self.n_epochs, self.wrong = 0, wrong

    def prepare(self, job):
        pass

    def versions(self):
        return {}

    def train_epochs(self, n):
        self.n_epochs += n
        return [1.0] * (n + self.wrong)

    def accuracy(self):
        return float(self.n_epochs)


@pytest.mark.parametrize("target_seconds", [0.1, 9.0, 40.0])
def test_accuracy_is_taken_after_exactly_the_epochs_of_the_job(target_seconds):
    job = replace(TINY, check_epochs=10)
    result = timing.measure(Stopped(), job, None, target_seconds, True)
    assert result["accuracy"] == 10
    assert len(result["seconds"]) == max(timing.MIN_TIMED_EPOCHS, math.ceil(target_seconds))
    assert timing.measure(Stopped(), job, None, target_seconds, False)["accuracy"] is None


def test_an_adapter_that_miscounts_or_cannot_do_a_job_is_refused():
    with pytest.raises(RuntimeError, match="must report 5 epochs, got 6"):
        timing.measure(Stopped(wrong=1), TINY, None, 0.1, False)
    with pytest.raises(ValueError, match="cannot do jobs of kind 'predict'"):
        timing.measure(Stopped(), replace(TINY, kind="predict"), None, 0.1, False)


ESTIMATOR = replace(jobs.select(["estimator-classifier-random-float32"])[0], check_epochs=3)


def scores_of(contender, scores, **more):
    """Records of rounds of an estimator, each with its score."""
    return [
        record(contender, [1.0], ESTIMATOR, k, accuracy=s, n_epochs=7 + k, **more)
        for k, s in enumerate(scores)
    ]


def test_estimators_are_equal_within_the_spread_of_five_seeds():
    judge = scores_of("sklearn", [0.90, 0.91, 0.92, 0.93, 0.94])
    near = rows_of([*judge, *scores_of("fastmlp", [0.88] * 5)], ESTIMATOR)
    assert near["sklearn"].accuracy == pytest.approx(0.92)
    assert near["sklearn"].accuracy_spread == pytest.approx(0.04)
    assert near["fastmlp"].check == "ok" and near["sklearn"].ratio == 1
    for far in ([0.87] * 5, [0.97] * 5):
        rows = rows_of([*judge, *scores_of("fastmlp", far)], ESTIMATOR)
        assert (rows["fastmlp"].check, rows["sklearn"].ratio) == ("FAILS", None)


def test_few_seeds_are_compared_with_the_usual_tolerance_and_equal_ones_with_a_small_one():
    def check(sklearn, fastmlp):
        records = [*scores_of("sklearn", sklearn), *scores_of("fastmlp", fastmlp)]
        return rows_of(records, ESTIMATOR)["fastmlp"].check

    assert check([0.90, 0.90], [0.915, 0.915]) == "ok"
    assert check([0.90, 0.90], [0.925, 0.925]) == "FAILS"
    assert check([0.90] * 5, [0.9009] * 5) == "ok"
    assert check([0.90] * 5, [0.902] * 5) == "FAILS"


def test_flop_of_an_estimator_count_the_epochs_it_took():
    row = rows_of(scores_of("sklearn", [0.9, 0.9, 0.9]), ESTIMATOR)["sklearn"]
    # 30-100-1: no delta for the input. Between 7 and 9 epochs of one second.
    assert row.gflop_per_second * 1e9 == 8 * 2 * 200_000 * (2 * (30 * 100 + 100) + 100)


def test_every_round_of_an_estimator_has_its_own_seed_and_is_scored(monkeypatch):
    requests = []
    monkeypatch.setattr(runner, "_call_worker", lambda request, *_: requests.append(request) or {})
    for job in (ESTIMATOR, TINY):
        for index in range(3):
            runner.run_one(plan(), CONTENDERS["fastmlp"], job, index)
    assert [r["job"]["seed"] for r in requests] == [0, 1, 2, 0, 0, 0]
    assert [r["check"] for r in requests] == [True, True, True, True, False, False]


class Counted(Fitter):
    """Notes the epochs it is asked for, and takes no time."""

    def __init__(self):
        super().__init__(None, 1, "")
        self.asked = []

    def prepare(self, job):
        pass

    def versions(self):
        return {}

    def fit(self, max_epochs):
        self.asked.append(max_epochs)
        return max_epochs - 1

    def accuracy(self):
        return 0.5


def test_estimators_warm_up_with_one_epoch_and_are_fitted_at_least_once():
    adapter = Counted()
    result = timing.measure(adapter, ESTIMATOR, None, 1e-12, True)
    assert (adapter.asked, len(result["seconds"])) == ([1, 3], 1)
    assert (result["n_epochs"], result["accuracy"]) == (2, 0.5)
    adapter = Counted()
    result = timing.measure(adapter, ESTIMATOR, None, 100.0, False)
    assert adapter.asked == [1] + [3] * timing.MAX_FITS
    assert len(result["seconds"]) == timing.MAX_FITS and result["accuracy"] is None


def test_estimators_of_both_libraries_have_the_same_settings_rows_and_dtype():
    for job in jobs.select(["estimator"], 300):
        rows = data.load(job, None)
        models = []
        for name in ("fastmlp", "sklearn"):
            adapter = CONTENDERS[name].create(rows, 1, job.kind)
            adapter.prepare(replace(job, seed=4))
            assert adapter.fit(2) == 2
            models.append(adapter._model)
            assert rows.x_train.dtype == job.dtype == models[-1].coefs_[0].dtype
        own, other = models
        assert type(own).__module__.startswith("fastmlp")
        shared_names = other.get_params().keys()
        assert {k: own.get_params()[k] for k in shared_names} == other.get_params()
        assert (own.max_iter, own.random_state) == (2, 4)
        assert tuple(own.network_.sizes) == job.sizes
        assert own.out_activation_ == {"sigmoid": "logistic"}.get(job.output, job.output)


def test_jobs_in_float64_are_done_in_float64_by_everybody_in_the_same_way():
    found = []
    for name in ("fastmlp", "fastmlp.reference", "sklearn"):
        job = jobs.select(["adam-100-float64"], 600)[0]
        rows = data.load(job, None)
        adapter = CONTENDERS[name].create(rows, 1, job.kind)
        adapter.prepare(job)
        assert rows.x_train.dtype == adapter.predict(rows.x_test).dtype == np.float64
        error = np.abs(adapter.predict(rows.x_test) - shared.expected_outputs(job, rows.x_test))
        assert error.max() < 1e-12
        adapter.train_epochs(3)
        found.append(adapter.accuracy())
    assert max(found) - min(found) < 0.03 and min(found) > 0.3


def test_sparse_rows_have_the_values_asked_for_and_two_classes_that_can_be_told_apart():
    job = jobs.select(["estimator-classifier-sparse-float32"], 3000)[0]
    job = replace(job, sizes=(200, 100, 1), n_values=20)
    rows = data.load(job, None)
    assert rows.x_train.shape == (3000, 200) and rows.x_train.nnz == 3000 * 20
    assert rows.x_test.shape == (data.N_TEST_ROWS, 200)
    assert rows.x_train.has_canonical_format and rows.x_train.dtype == np.float32
    np.testing.assert_allclose(rows.y_train.mean(axis=0), 0.5, atol=0.05)
    dense = rows.x_train.toarray()
    rule = np.linalg.lstsq(np.c_[np.ones(3000), dense], rows.y_train[:, 1] - 0.5)[0]
    said = rows.x_test @ rule[1:] + rule[0] > 0
    assert (said == rows.labels_test).mean() > 0.9
    assert rows.n_bytes > rows.x_train.nnz * 8


def test_products_of_sparse_rows_count_the_stored_values_alone():
    sparse = jobs.JOBS["estimator-classifier-sparse-float32"]
    dense = replace(sparse, n_values=None, sizes=(50, 100, 1))
    assert sparse.sizes[0] == 50_000 and sparse.flop == dense.flop


@pytest.mark.parametrize("name", ["headline-500-float64", "estimator-classifier-sparse-float32"])
def test_shares_of_the_machine_are_given_for_dense_rows_of_float32_alone(name):
    job = jobs.JOBS[name]
    machine = [record(c, [1.0], None) for c in ("sgemm", "fma")]
    for asked, is_given in ((jobs.JOBS["headline-500"], True), (job, False)):
        rows = report.summarize([*machine, record("fastmlp", [1.0], asked, n_epochs=5)], [asked])
        mine = next(row for row in rows if row.job == asked.name)
        assert (mine.peak_fraction is not None, mine.fma_fraction is not None) == (is_given,) * 2


def test_rows_of_a_regression_are_numbers_and_those_of_digits_are_scaled():
    job = replace(jobs.select(["estimator-regressor-random-float32"], 400)[0])
    rows = data.load(job, None)
    assert rows.y_train.shape == (400, 1) and len(np.unique(rows.y_train)) > 390
    assert rows.labels_test.shape == (data.N_TEST_ROWS,) and rows.labels_test.std() > 0.1
    digits = data.load(jobs.select(["estimator-regressor-digits-float32"])[0], None)
    assert digits.source == "digits" and digits.x_train.shape == (1297, 64)
    assert digits.x_train.mean() == pytest.approx(0, abs=1e-5)
    assert set(digits.y_train.ravel()) == set(range(10))


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """Exit status and JSON of one real run: every kind of job, four contenders, tiny sizes."""
    path = tmp_path_factory.mktemp("bench") / "result.json"
    tiny_ensemble = replace(
        jobs.JOBS["ensemble"],
        sizes=(4, 8, 4),
        n_rows=400,
        n_models=3,
        check_epochs=3,
        data="random",
        learning_rate=0.01,
    )
    wanted = plan(
        contenders=contenders.select(["noop", "fastmlp", "sklearn"]),
        jobs=(replace(jobs.JOBS["predict-1"], sizes=(4, 8, 3)), tiny_ensemble),
    )
    training = session.run_and_report(plan(), [], json_path=path)
    others = runner.run(wanted)
    return training, json.loads(path.read_text()), wanted.jobs, others


@pytest.mark.soak
def test_worker_fits_estimators_of_those_who_have_some():
    quick = replace(jobs.select(["estimator-regressor-digits-float64"], 200)[0], check_epochs=20)
    records = runner.run(plan(jobs=(quick,), rounds=2))
    assert [r.get("error") for r in records] == [None] * 4
    assert [r["contender"] for r in records] == ["fastmlp", "sklearn", "sklearn", "fastmlp"]
    assert all(r["n_epochs"] == 20 and r["warm_up_seconds"][0] > 0 for r in records)
    rows = report.summarize(records, [quick])
    assert [row.check for row in rows] == ["ok", "ok"]
    text = report.table(rows, [quick], [])
    assert "defaults but max_iter=20; 200 rows; R² as mean of the rounds' seeds" in text
    assert "/fit" in text
    assert rows[0].accuracy_spread > 0


def test_worker_trains_a_tiny_job_with_every_contender_that_is_always_here(small_run):
    status, content, _, _ = small_run
    assert status == 0, content["summary"]
    rows = {row["contender"]: row for row in content["summary"]}
    assert list(rows) == ["noop", "fastmlp", "fastmlp.reference", "sklearn"]
    assert [row["check"] for row in rows.values()] == ["-", "ok", "ok", "ok"]
    assert rows["noop"]["seconds"] < 1e-4 < rows["sklearn"]["seconds"]
    assert rows["sklearn"]["training_peak_bytes"] > 0
    assert content["settings"]["jobs"][0]["name"] == "tiny-256"
    assert content["records"][1]["machine"]["simd_level"] == fastmlp.engine._core.selected_level()


def test_worker_predicts_and_trains_ensembles(small_run):
    _, _, both, records = small_run
    assert [r.get("error") for r in records] == [None] * len(records)
    predictions = [r for r in records if r["job"]["kind"] == "predict"]
    assert all(r["n_calls"] >= timing.MIN_ONE_ROW_CALLS for r in predictions)
    assert max(r["largest_error"] for r in predictions if r["versions"]) < 1e-5
    ensembles = rows_of([r for r in records if r["job"]["kind"] == "ensemble"], both[1])
    assert [row.check for row in ensembles.values()] == ["-", "ok", "ok"]


def test_report_of_a_real_run_names_machine_versions_and_level(small_run):
    _, content, _, _ = small_run
    text = report.where(content["records"])
    assert f"SIMD level {fastmlp.engine._core.selected_level()}" in text
    assert f"fastmlp {fastmlp.__version__}" in text
    assert str(Path.home()) not in json.dumps(content)


def test_figure_is_drawn_from_the_file_alone(small_run, tmp_path):
    _, content, _, _ = small_run
    source, target = tmp_path / "result.json", tmp_path / "picture.png"
    source.write_text(json.dumps(content))
    session.report_file(source, target)
    assert target.read_bytes().startswith(b"\x89PNG")
    content["summary"] = []
    with pytest.raises(ValueError, match="nothing to draw"):
        figure.draw(target, content)


def test_figure_of_the_stored_result_can_be_drawn_again(tmp_path):
    stored = Path(__file__).parents[2] / "benchmarks" / "results" / "headline.json"
    if not stored.exists():
        pytest.skip("no stored result beside the tests")
    session.report_file(stored, tmp_path / "headline.png")
    assert (tmp_path / "headline.png").stat().st_size > 10_000


def test_a_failing_contender_is_reported_and_the_status_is_one(capsys):
    impossible = replace(TINY, optimizer="lbfgs")
    status = session.run_and_report(
        plan(contenders=contenders.select(["noop", "sklearn"]), jobs=(impossible,)), ["torch"]
    )
    out = capsys.readouterr().out
    assert status == 1
    assert "ValueError: this adapter has no optimizer 'lbfgs'; it knows sgd, adam" in out
    assert "not installed: torch" in out


def test_a_process_that_takes_too_long_is_ended_and_reported():
    slow = runner.run_one(plan(timeout_seconds=0.05), CONTENDERS["fastmlp"], TINY, 0)
    assert slow["error"] == "took longer than 0.05 s"


SLEEPER = """
import os, subprocess, sys, time
sys.stdin.read()  # to its end: whoever started this process has finished and waits
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
folder = os.path.dirname(__file__)
with open(os.path.join(folder, "new"), "w") as file:
    print(os.getpid(), child.pid, file=file)
os.rename(file.name, os.path.join(folder, "pids"))
time.sleep(600)
"""
"""A worker that never ends, and starts a process that never ends."""

RUN_SLEEPER = """
from fastmlp.bench import contenders, jobs, runner
runner.WORKER = "sleeper"
runner.run(runner.Plan(contenders.select(["fastmlp"]), jobs.select(["tiny-256"]), None, 1, 1,
                       60.0, 600.0, False))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")
def test_ctrl_c_ends_the_children_too(tmp_path):
    """Once the worker has its request: while it is being started Ctrl-C may come too early."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    parent = subprocess.Popen(
        [sys.executable, "-c", RUN_SLEEPER],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    pids = []
    try:
        wait_until(lambda: (tmp_path / "pids").exists() or parent.poll() is not None)
        pids = (tmp_path / "pids").read_text().split()
        assert len(pids) == 2 and all(map(is_running, pids))
        parent.send_signal(signal.SIGINT)
        _, said = parent.communicate(timeout=PATIENCE_SECONDS)
        wait_until(lambda: not any(map(is_running, pids)))
    finally:
        parent.kill()
        parent.communicate()
        for pid in filter(is_running, pids):
            os.kill(int(pid), signal.SIGKILL)
    assert said.strip().endswith("KeyboardInterrupt")


def test_ctrl_c_before_the_request_is_written_is_still_a_keyboard_interrupt(monkeypatch):
    """The first look at a worker that is being killed finds its pipes half set up."""

    class Interrupted(subprocess.Popen):
        def _communicate(self, *arguments):
            monkeypatch.setattr(subprocess, "Popen", Popen)
            type(self)._communicate = Popen._communicate
            raise KeyboardInterrupt

    Popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner.run_one(plan(), CONTENDERS["fastmlp"], TINY, 0)


def test_a_worker_whose_parent_is_gone_before_its_request_ends_by_itself(tmp_path):
    """So that a Ctrl-C while the worker is being started leaves nothing behind for long."""
    worker = subprocess.run(
        [sys.executable, "-m", runner.WORKER, tmp_path / "result.json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        cwd=Path(fastmlp.__file__).parents[1],
    )
    assert worker.returncode == 1
    assert "JSONDecodeError" in worker.stderr
    assert not (tmp_path / "result.json").exists()
