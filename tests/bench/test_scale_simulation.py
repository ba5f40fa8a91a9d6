"""The model of a step on several workers, against hand-made numbers and what is stored."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "scale_simulation.py"
if not SCRIPT.exists():  # an installed copy has none
    pytest.skip("no benchmarks beside the tests", allow_module_level=True)


def _loaded():
    spec = importlib.util.spec_from_file_location("simulation_of_benchmarks", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its data classes look for it
    spec.loader.exec_module(module)
    return module


simulation = _loaded()
Machine, Network = simulation.Machine, simulation.Network
exchange_seconds, step_seconds = simulation.exchange_seconds, simulation.step_seconds

MACHINE = Machine([100, 10_000], [1e-6, 1e-4], [1e-7, 1e-5])
LINK = Network(latency=1e-3, bandwidth=1e6)


def test_a_step_on_one_worker_is_what_was_measured():
    for p, fixed, per_row in zip(*vars(MACHINE).values(), strict=True):
        assert step_seconds(p, 64, 1, LINK, MACHINE) == pytest.approx(fixed + 64 * per_row)
    assert MACHINE.seconds(1000, 0) == pytest.approx(1e-5)  # between, on logarithmic axes
    assert MACHINE.seconds(20_000, 0) == pytest.approx(2e-4)  # beyond, in proportion
    assert MACHINE.seconds(50, 0) == pytest.approx(5e-7)


@pytest.mark.parametrize("parameters, workers, expected", [
    (1000, 1, 0.0), (1000, 2, 1e-3 + 4e-3), (1000, 5, 1e-3 + 4 * 4e-3),
    (250_000, 2, 1e-3 + 1.0), (250_000, 4, 2e-3 + 1.5),
])  # fmt: skip
def test_an_exchange_is_one_message_to_all_or_two_of_parts(parameters, workers, expected):
    assert exchange_seconds(parameters, workers, LINK) == pytest.approx(expected)


def test_the_rows_are_shared_and_the_update_is_not():
    quick = Network(0.0, math.inf)
    assert step_seconds(100, 10, 4, quick, MACHINE) == pytest.approx(1e-6 + 3 * 1e-7)


def test_two_machines_pay_from_the_smallest_batch_on():
    machine = simulation.measured_machine()
    link = simulation.ETHERNET["10 GbE"]
    for p in (804, 1_863_690):
        rows = simulation.smallest_batch(p, 2, link, machine)
        assert step_seconds(p, rows, 2, link) < step_seconds(p, rows, 1, link)
        assert step_seconds(p, rows - 1, 2, link) >= step_seconds(p, rows - 1, 1, link)
    assert simulation.smallest_batch(100, 2, Network(1e9, 1.0), MACHINE) is None


def test_what_is_stored_is_what_the_model_says():
    results = simulation.stored()
    machine, known = simulation.measured_machine(results), simulation.networks(results)
    for entry in results["simulated"]:
        for workers, seconds in entry["seconds"].items():
            given = entry["parameters"], entry["batch"], int(workers), known[entry["network"]]
            assert step_seconds(*given, machine) == pytest.approx(seconds, rel=1e-2)


def test_the_formulas_hold_for_what_was_measured():
    results = simulation.stored()
    for case in results["memory"]:
        predicted = simulation.predicted_bytes(case["sizes"], case["batch_size"])
        assert predicted == pytest.approx(case["measured_bytes"], rel=0.15)
    assert all(step["largest_relative_error"] < 0.2 for step in results["steps"])


def test_the_page_has_the_numbers_of_the_results():
    page, results = (ROOT / "docs" / "scale.md").read_text(), simulation.stored()
    for p, first, batches in (
        (p, next(iter(of.values())), of)
        for p in ("804", "57390", "8413194")
        for of in [{name: v[p] for name, v in results["smallest_batch_for_two"].items()}]
    ):
        row = " | ".join(f"{n:,}" for n in batches.values())
        assert f"| {int(p):,} | {row} |" in page, first
    for step in results["steps"]:
        assert re.search(rf"\| {step['parameters']:,} \|.* {step['gflops']:.0f} GFLOPS", page)


def test_the_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    simulation.draw(tmp_path / "scale.png")
    assert (tmp_path / "scale.png").stat().st_size > 20_000
