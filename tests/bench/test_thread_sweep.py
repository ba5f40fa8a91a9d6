"""The thread-count sweep: its processes, its numbers, its command and its figure."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from processes import is_running, wait_until

from fastmlp import cli
from fastmlp.bench import thread_sweep as _thread_sweep
from fastmlp.bench.thread_figure import plot_threads
from fastmlp.bench.thread_sweep import (
    Point,
    Run,
    SweepPlan,
    choose_thread_counts,
    run_sweep,
    same_weights,
    summarize,
)
from fastmlp.bench.thread_worker import time_epochs
from fastmlp.cli import threads as _cli_threads
from fastmlp.engine import _core

SIZES = (3, 4, 2)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def make_run(engine, n_threads, seconds, weights="abc") -> Run:
    return Run(engine, n_threads, 1, tuple(seconds), f"BLAS of {engine}", "sse", weights)


def make_data(n_rows=20):
    """Inputs (n_rows, 3) and one-hot targets (n_rows, 2)."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_rows, 3)), np.eye(2)[rng.integers(0, 2, n_rows)]


def make_plan(**changes) -> SweepPlan:
    return SweepPlan(**{"sizes": SIZES, "batch_size": 5, "thread_counts": (1, 2)} | changes)


@pytest.mark.parametrize(
    ("maximum", "counts"),
    [
        (1, (1,)),
        (3, (1, 2, 3)),
        (8, (1, 2, 3, 4, 5, 6, 7, 8)),
        (9, (1, 2, 3, 4, 5, 6, 7, 8, 9)),
        (48, (1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 48)),
        (64, (1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64)),
    ],
)
def test_thread_counts_are_all_up_to_eight_then_doubled_up_to_the_maximum(maximum, counts):
    assert choose_thread_counts(maximum) == counts


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"engines": ("native", "torch")}, ValueError, "engines must be one of .*; got 'torch'"),
        ({"thread_counts": (2, 4)}, ValueError, r"thread_counts must begin with 1; got \(2, 4\)"),
        ({"thread_counts": ()}, ValueError, r"thread_counts must begin with 1; got \(\)"),
        ({"thread_counts": (1, 257)}, ValueError, "thread_counts must be from 1 to 256; got 257"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1; got 0"),
        ({"n_epochs": 0}, ValueError, "n_epochs must be at least 1; got 0"),
        ({"n_rounds": 1.5}, TypeError, "n_rounds must be an integer; got 1.5"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_plans_that_cannot_be_run_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        make_plan(**changes)


def test_points_have_medians_quartiles_speed_up_and_efficiency():
    runs = [
        make_run("native", 2, [0.5, 0.3]),
        make_run("numpy", 1, [4.0]),
        make_run("native", 1, [1.0, 1.2, 0.8]),
        make_run("native", 2, [0.4]),
        make_run("native", 4, [0.5, 0.5, 0.5]),
    ]
    native = [
        Point("native", 1, 3, 1.0, pytest.approx(0.9), pytest.approx(1.1), 1.0, 1.0),
        Point("native", 2, 3, 0.4, pytest.approx(0.35), pytest.approx(0.45), 2.5, 1.25),
        Point("native", 4, 3, 0.5, 0.5, 0.5, 2.0, 0.5),
    ]
    assert summarize(runs) == [*native, Point("numpy", 1, 1, 4.0, 4.0, 4.0, 1.0, 1.0)]


def test_speed_up_without_a_run_on_one_thread_is_refused():
    with pytest.raises(ValueError, match="one thread; engine 'numpy' has none"):
        summarize([make_run("native", 1, [1.0]), make_run("numpy", 2, [1.0])])


def test_same_weights_looks_at_one_engine():
    runs = [
        make_run("native", 1, [1.0]),
        make_run("native", 2, [1.0]),
        make_run("numpy", 1, [1.0], "x"),
    ]
    assert same_weights(runs, "native") and same_weights(runs, "numpy")
    assert not same_weights([*runs, make_run("native", 2, [1.0], "other")], "native")


def test_every_round_has_every_process_once_and_starts_with_another(monkeypatch):
    seen = []
    monkeypatch.setattr(
        _thread_sweep, "_run_child", lambda plan, folder, *which: seen.append(which) or which
    )
    announced = []
    runs = run_sweep(make_plan(n_rounds=3), *make_data(), lambda *which: announced.append(which))
    assert runs == seen == announced
    rounds = [[which[:2] for which in seen if which[2] == k] for k in (1, 2, 3)]
    wanted = {(engine, n) for engine in ("native", "numpy") for n in (1, 2)}
    assert [set(part) for part in rounds] == [wanted] * 3
    assert [len(part) for part in rounds] == [4] * 3
    assert len({part[0] for part in rounds}) == 3


def test_warm_up_epochs_are_trained_but_not_reported(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    x, y = make_data()
    options = {"sizes": SIZES, "batch_size": 5}
    found = time_epochs(x, y, engine="native", n_epochs=3, **options)
    assert found["n_threads"] == 2 and found["simd"] == _core.selected_level()
    assert len(found["epoch_seconds"]) == 3 and min(found["epoch_seconds"]) > 0
    again = time_epochs(x, y, engine="native", n_epochs=3, **options)
    other = time_epochs(x, y, engine="native", n_epochs=4, **options)
    assert found["weights"] == again["weights"] != other["weights"]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("raise MemoryError('no room')", "failed: MemoryError: no room"),
        ("import os; os.kill(os.getpid(), 9)", "failed: it ended with status -9"),
    ],
    ids=["exception", "killed"],
)
def test_process_that_fails_is_named_with_its_last_words(monkeypatch, code, sentence):
    monkeypatch.setattr(_thread_sweep, "CHILD", code)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(
        ChildProcessError,
        match=f"the process of engine 'native' with OPENBLAS_NUM_THREADS=1 {sentence}",
    ):
        run_sweep(make_plan(), *make_data())


def test_processes_are_told_who_computes_the_products(monkeypatch):
    monkeypatch.setattr(
        _thread_sweep,
        "CHILD",
        "import json, sys; asked = json.load(sys.stdin); print(json.dumps({"
        "'weights': asked['engine'] + ' ' + asked['products'], 'n_threads': 1, "
        "'epoch_seconds': [1.0], 'blas': '', 'simd': ''}))",
    )
    plan = make_plan(engines=("native", "blas", "own", "numpy"), thread_counts=(1,), n_rounds=1)
    asked = {run.engine: run.weights for run in run_sweep(plan, *make_data())}
    assert asked == {
        "native": "native auto",
        "blas": "native blas",
        "own": "native own",
        "numpy": "numpy auto",
    }


def test_products_reach_the_trainer():
    common = {"engine": "native", "sizes": SIZES, "batch_size": 5, "n_epochs": 1}
    with pytest.raises(ValueError, match="products must be one of"):
        time_epochs(*make_data(), products="gemm", **common)
    assert time_epochs(*make_data(), products="own", **common)["blas"] == "no BLAS"
    assert "kernels" in time_epochs(*make_data(), products="blas", **common)["blas"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Exit code, output, JSON and figure of a short sweep over the digits, called elsewhere.

    The folder it is called in has a module that the children must not take for Python's own.
    """
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "json.py").write_text("raise ImportError('not me')")
    argv = ["threads", "--data", "digits", "--max-threads", "2", "--epochs", "2", "--rounds", "1",
            "--json", "sweep.json", "--figure", "sweep.png"]  # fmt: skip
    output, before = io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with redirect_stdout(output):
            code = cli.main(argv)
    finally:
        os.chdir(before)
    content = json.loads((folder / "sweep.json").read_text())
    return code, output.getvalue().splitlines(), content, (folder / "sweep.png").read_bytes()


def test_command_prints_a_table_of_both_engines_and_all_thread_counts(measured):
    code, lines, content, _ = measured
    assert code == 0
    assert lines[0].startswith("digits (embedded in scikit-learn): 1297 rows, network 64-70-30-10,")
    head = lines.index(next(line for line in lines if line.startswith("engine")))
    table = [line.split() for line in lines[head + 1 : head + 6] if line]
    points = content["points"]
    assert [row[:2] for row in table] == [
        ["fastmlp", "1"],
        ["fastmlp", "2"],
        ["NumPy", "1"],
        ["NumPy", "2"],
    ]
    assert [row[2] for row in table] == [f"{1000 * point['seconds']:.4g}" for point in points]
    assert [row[6] for row in table] == [f"{point['speed_up']:.2f}" for point in points]
    assert len({len(line) for line in lines[head : head + 6] if line}) == 1
    assert lines[-1] == "written:  sweep.json, sweep.png"


def test_processes_of_the_command_ran_with_the_threads_they_were_given(measured):
    _, lines, content, _ = measured
    runs = content["runs"]
    assert [(r["engine"], r["n_threads"]) for r in runs] == [
        ("native", 1),
        ("numpy", 1),
        ("native", 2),
        ("numpy", 2),
    ]
    assert all(len(r["epoch_seconds"]) == 2 for r in runs)
    native, numpy = runs[0], runs[1]
    assert f"fastmlp:  {native['blas']}; SIMD {native['simd']}" in lines
    assert f"NumPy:    {numpy['blas']}; SIMD {numpy['simd']}" in lines
    assert native["blas"] == "no BLAS" and "kernels" in numpy["blas"]


def test_weights_do_not_depend_on_the_number_of_threads(measured):
    _, lines, content, _ = measured
    assert len({r["weights"] for r in content["runs"] if r["engine"] == "native"}) == 1
    assert "weights trained by fastmlp: bit for bit the same in all processes" in lines


def test_json_of_the_command_has_settings_and_machine_but_no_paths(measured):
    _, _, content, _ = measured
    assert content["data"] == "digits"
    assert content["settings"] == {
        "sizes": [64, 70, 30, 10],
        "batch_size": 500,
        "thread_counts": [1, 2],
        "engines": ["native", "numpy"],
        "n_epochs": 2,
        "n_rounds": 1,
        "as_found": False,
        "warm_up_epochs": 2,
    }
    assert set(content["environment"]) == {"versions", "processor", "system", "processors"}
    assert str(Path.home()) not in json.dumps(content)


def test_figure_of_the_command_is_a_png(measured):
    assert measured[3].startswith(b"\x89PNG")


@pytest.fixture
def no_processes(monkeypatch):
    """Runs without processes: every engine twice as fast on two threads; the plan is kept."""
    plans = []

    def pretend(plan, X, Y, announce):
        plans.append(plan)
        announce(plan.engines[0], 1, 1)
        return [make_run(e, n, [0.4 / n]) for e in plan.engines for n in plan.thread_counts]

    monkeypatch.setattr(_cli_threads, "run_sweep", pretend)
    return plans


def command(capsys, *argv: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``fastmlp threads --data moons``."""
    code = cli.main(["threads", "--data", "moons", *argv])
    return code, *capsys.readouterr()


def test_options_reach_the_plan(capsys, no_processes):
    code, out, err = command(
        capsys, "--shape", "2,5,2", "--batch-size", "7", "--max-threads", "3", "--engines",
        "numpy,numpy", "--epochs", "4", "--rounds", "2", "--as-found",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert no_processes == [SweepPlan((2, 5, 2), 7, (1, 2, 3), ("numpy",), 4, 2, True)]
    assert "NumPy          3      133.3   133.3 - 133.3       3.00        100 %" in out.splitlines()
    assert "fastmlp" not in out and "best times" not in out


def test_defaults_are_the_usable_processors_and_the_shape_of_the_data(
    capsys, monkeypatch, no_processes
):
    monkeypatch.setattr(_cli_threads, "usable_processors", lambda: 2)
    code, out, _ = command(capsys)
    assert code == 0
    n_rows = int(re.search(r"(\d+) rows", out)[1])
    n_epochs = no_processes[0].n_epochs
    assert (n_epochs - 1) * n_rows < 600_000 <= n_epochs * n_rows
    assert no_processes == [SweepPlan((2, 70, 30, 2), 500, (1, 2), ("native", "numpy"), n_epochs)]
    assert "best times: NumPy takes 1.00 times as long as fastmlp" in out


def test_overrides_of_openblas_are_told(capsys, monkeypatch, no_processes):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.delenv("OPENBLAS_L2_SIZE", raising=False)
    line = "OPENBLAS_CORETYPE=Haswell is"
    out = command(capsys)[1].splitlines()
    assert f"{line} ignored" in out and not any("L2_SIZE" in text for text in out)
    assert f"{line} kept and can halve the speed" in command(capsys, "--as-found")[1].splitlines()


def test_progress_is_shown_on_a_terminal_and_wiped_away(capsys, monkeypatch, no_processes):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert command(capsys)[0] == 0
    shown = terminal.getvalue()
    assert "round 1 of 3: fastmlp, OPENBLAS_NUM_THREADS=1" in shown
    assert shown.endswith("\r\033[K")


def test_without_data_and_mnist_the_digits_are_timed_and_it_says_so(
    capsys, monkeypatch, tmp_path, no_processes
):
    monkeypatch.delenv("FASTMLP_DATA", raising=False)
    for name in ("HOME", "XDG_CACHE_HOME", "KERAS_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    assert cli.main(["threads"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("MNIST is not available locally") and "\ndigits (" in out
    assert no_processes[0].sizes == (64, 70, 30, 10)


def test_large_data_are_timed_for_ten_epochs():
    assert _cli_threads._enough_epochs(60_000) == _cli_threads._enough_epochs(10**7) == 10


def test_epochs_too_short_to_measure_are_told_with_how_many_would_do(capsys, monkeypatch):
    runs = [make_run("native", 1, [0.001, 0.001]), make_run("native", 2, [0.0005] * 2)]
    monkeypatch.setattr(_cli_threads, "run_sweep", lambda *_: runs)
    _, out, _ = command(capsys, "--engines", "native", "--epochs", "2")
    assert out.splitlines()[-1] == (
        "the timed epochs of one process took only 1 ms in total, too little to measure; "
        "use --epochs 100 or more"
    )
    runs[1] = make_run("native", 2, [0.03, 0.03])
    runs[0] = make_run("native", 1, [0.05])
    assert "too little" not in command(capsys, "--engines", "native")[1]


def test_different_bits_are_shouted_and_exit_with_1(capsys, monkeypatch):
    runs = [make_run("native", 1, [0.2]), make_run("native", 2, [0.1], "other")]
    monkeypatch.setattr(_cli_threads, "run_sweep", lambda *_: runs)
    code, out, _ = command(capsys, "--engines", "native")
    assert code == 1
    assert "weights trained by fastmlp: DIFFERENT in all processes" in out


def test_different_bits_of_one_kind_of_products_are_shouted_too(capsys, monkeypatch):
    runs = [make_run(each, 1, [0.2]) for each in ("blas", "own")]
    runs += [make_run("blas", 2, [0.1]), make_run("own", 2, [0.1], "other")]
    monkeypatch.setattr(_cli_threads, "run_sweep", lambda *_: runs)
    code, out, _ = command(capsys, "--engines", "blas,own")
    assert code == 1
    assert "weights trained by fastmlp, BLAS: bit for bit the same in all processes" in out
    assert "weights trained by fastmlp, own: DIFFERENT in all processes" in out


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--max-threads", "0"], "--max-threads must be from 1 to 256; got 0"),
        (["--max-threads", "two"], "--max-threads must be an integer; got 'two'"),
        (["--batch-size", "0"], "--batch-size must be at least 1; got 0"),
        (["--epochs", "0"], "--epochs must be at least 1; got 0"),
        (["--rounds", "0"], "--rounds must be at least 1; got 0"),
        (
            ["--engines", "native,jax"],
            "--engines must be one of 'native', 'blas', 'own', 'numpy'; got 'jax'",
        ),
        (["--shape", "2"], "--shape needs an input and an output width; got '2'"),
        (
            ["--shape", "784,70,10"],
            "--shape must begin with 2 and end with 2 for moons; got 784,70,10",
        ),
        (["--figure", "sweep.jpg"], "--figure must end with .png; got sweep.jpg"),
        (
            ["--json", "no/such/folder.json"],
            "--json must be a file in a writable folder; got no/such/folder.json",
        ),
        (["--json", "."], "--json must be a file in a writable folder; got ."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_options_are_refused_before_any_process_runs(
    capsys, monkeypatch, tmp_path, no_processes, argv, sentence
):
    monkeypatch.chdir(tmp_path)
    assert command(capsys, *argv) == (2, "", f"fastmlp: error: {sentence}\n")
    assert no_processes == []


def test_figure_without_matplotlib_is_refused_before_any_process_runs(
    capsys, monkeypatch, tmp_path, no_processes
):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    assert command(capsys, "--figure", str(tmp_path / "a.png")) == (
        2,
        "",
        'fastmlp: error: figures need matplotlib: pip install "fastmlp[plots]"\n',
    )
    assert no_processes == []


def children(pid: int) -> list[int]:
    """Processes that this one started and that still run."""
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


@pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="no list of children"
)
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_ends_the_running_process_and_decides_the_exit_code(number, code, word, tmp_path):
    argv = ["threads", "--data", "moons", "--epochs", "1000000", "--max-threads", "1"]
    sweep = subprocess.Popen(
        [sys.executable, "-m", "fastmlp", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    try:
        while not (started := children(sweep.pid)) and sweep.poll() is None:
            time.sleep(0.02)
        sweep.send_signal(number)
        _, err = sweep.communicate(timeout=600)
    finally:
        sweep.kill()
    assert (sweep.returncode, err) == (code, f"fastmlp: {word}\n")
    assert len(started) == 1
    wait_until(lambda: not is_running(started[0]))
    assert list(tmp_path.iterdir()) == []


def make_points(counts) -> list[Point]:
    return [
        Point(engine, n, 5, t / n, 0.9 * t / n, 1.2 * t / n, float(n), 1.0)
        for engine, t in (("native", 0.1), ("numpy", 0.4))
        for n in counts
    ]


def drawn(axes) -> dict[str, np.ndarray]:
    """Label -> (2, n) points of the lines."""
    handles, labels = axes.get_legend_handles_labels()
    lines = [getattr(handle, "lines", [handle])[0] for handle in handles]
    return {
        label: np.array(line.get_data(), float) for label, line in zip(labels, lines, strict=True)
    }


def test_figure_shows_seconds_with_quartiles_and_speed_up_beside_the_ideal():
    left, right = plot_threads(make_points([1, 2, 4]), title="my network").axes
    assert left.figure.get_suptitle() == "my network"
    assert left.get_title(loc="left") == "Fastest: fastmlp with 4 threads, 0.025 s per epoch"
    assert right.get_title(loc="left") == "Best speed-up: 4.00, fastmlp with 4 threads"
    lines = drawn(left)
    np.testing.assert_allclose(lines["fastmlp"], [[1, 2, 4], [0.1, 0.05, 0.025]])
    np.testing.assert_allclose(lines["NumPy reference"], [[1, 2, 4], [0.4, 0.2, 0.1]])
    bars = left.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(bars[1], [[2, 0.045], [2, 0.06]])
    lines = drawn(right)
    assert set(lines) == {"ideal", "fastmlp", "NumPy reference"}
    np.testing.assert_allclose(lines["ideal"], [[1, 2, 4], [1, 2, 4]])
    np.testing.assert_allclose(lines["fastmlp"], [[1, 2, 4], [1, 2, 4]])
    for axes in (left, right):
        assert axes.get_xlabel() == "OPENBLAS_NUM_THREADS"
        assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "4"]
        assert axes.get_xscale() == "linear"


def test_figure_of_many_threads_has_logarithmic_counts():
    left, right = plot_threads(make_points([1, 2, 4, 8, 16])).axes
    assert [left.get_xscale(), right.get_xscale(), right.get_yscale()] == ["log"] * 3


def test_figure_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to plot: no thread count was timed"):
        plot_threads([])


def test_figure_without_matplotlib_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install \"fastmlp\[plots\]\""):
        plot_threads(make_points([1]))
