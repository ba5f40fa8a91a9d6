"""A session runs configurations side by side, keeps what is finished, and goes on from there."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from processes import PATIENCE_SECONDS

from fastmlp.files.json_file import plain
from fastmlp.studies.lab import session
from fastmlp.studies.lab.session import Session, StoppedError

CASES = [{"number": i} for i in range(5)]


@dataclass(frozen=True)
class Config:
    factor: int = 2


class Counted:
    """Multiplies, and remembers what it was asked for; ends by an exception at one case."""

    def __init__(self, fails_at=None, error=KeyboardInterrupt):
        self.fails_at, self.error = fails_at, error
        self.asked = []

    def __call__(self, case, tick):
        self.asked.append(case["number"])
        tick()
        if case["number"] == self.fails_at:
            raise self.error
        return {"product": 2 * case["number"]}


class Heard:
    """A progress that writes down what it is told."""

    def __init__(self):
        self.ticks, self.cases, self.begun, self.ended = 0, [], [], 0

    def begin(self, n_cases, n_ticks):
        self.begun.append((n_cases, n_ticks))

    def tick(self, n_ticks=1):
        self.ticks += n_ticks

    def finish_case(self, case, seconds):
        self.cases.append((case["number"], seconds is None))

    def end(self):
        self.ended += 1


def products(found):
    return [(run["number"], run["product"]) for run in found]


EXPECTED = [(i, 2 * i) for i in range(5)]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_results_come_in_the_order_of_the_cases(n_threads):
    """The first case is finished last."""
    last_one_finished = threading.Event()

    def product(case, tick):
        if n_threads > 1 and case["number"] == 0:
            assert last_one_finished.wait(PATIENCE_SECONDS)
        if case["number"] == 4:
            last_one_finished.set()
        return {"product": 2 * case["number"]}

    session = Session("regularisation", n_threads=n_threads)
    assert products(session.map(product, CASES, config=Config())) == EXPECTED


def test_configurations_for_times_run_one_after_the_other_in_the_calling_thread():
    threads = []

    def note(case, tick):
        threads.append(threading.current_thread())
        return {}

    Session("regularisation", n_threads=3).map(note, CASES, config=Config(), alone=True)
    assert threads == [threading.current_thread()] * 5


@pytest.mark.parametrize("n_threads", [1, 2])
def test_stopped_study_goes_on_from_what_is_finished(tmp_path, n_threads):
    stopped = Session("regularisation", tmp_path, n_threads=n_threads)
    with pytest.raises(KeyboardInterrupt):
        stopped.map(Counted(fails_at=3), CASES, config=Config())
    kept = len(list((tmp_path / "regularisation.unfinished").iterdir()))
    assert stopped.n_kept == kept >= 3 - (n_threads - 1)

    session, again = Session("regularisation", tmp_path, n_threads=n_threads), Counted()
    assert products(session.map(again, CASES, config=Config())) == EXPECTED
    assert len(again.asked) == 5 - kept and 3 in again.asked
    assert session.n_resumed == kept
    assert session.record(Config())["seconds"]["resumed_configurations"] == kept


def test_failure_of_one_configuration_stops_the_others_at_their_next_tick():
    others_begun, stopped = threading.Barrier(3), []

    def work(case, tick):
        others_begun.wait(PATIENCE_SECONDS)
        if case["number"] == 0:
            raise ValueError("no such thing")
        try:
            while True:
                tick()
        except StoppedError:
            stopped.append(case["number"])
            raise

    session = Session("regularisation", n_threads=3)
    with pytest.raises(ValueError, match="no such thing"):
        session.map(work, CASES, config=Config())
    assert sorted(stopped) == [1, 2]  # the others were never begun


def test_quick_and_full_configurations_are_kept_apart(tmp_path):
    Session("regularisation", tmp_path, quick=True).map(Counted(), CASES, config=Config())
    full = Counted()
    Session("regularisation", tmp_path).map(full, CASES, config=Config())
    assert sorted(full.asked) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("change", ["config", "machine"])
def test_configurations_made_under_other_circumstances_are_not_taken(tmp_path, change, monkeypatch):
    Session("regularisation", tmp_path).map(Counted(), CASES, config=Config())
    if change == "machine":
        monkeypatch.setattr(session.environment, "arithmetic", lambda: {"processor": "another"})
    again = Counted()
    config = Config(factor=3) if change == "config" else Config()
    Session("regularisation", tmp_path).map(again, CASES, config=config)
    assert len(again.asked) == 5


@pytest.mark.parametrize("damage", ["{", '{"product": 0}', "[1]"])
def test_damaged_configuration_is_named_and_made_anew(tmp_path, damage):
    Session("regularisation", tmp_path, n_threads=1).map(Counted(), CASES[:1], config=Config())
    (path,) = (tmp_path / "regularisation.unfinished").iterdir()
    path.write_text(damage)
    session, again = Session("regularisation", tmp_path), Counted()
    assert products(session.map(again, CASES[:1], config=Config())) == [(0, 0)]
    assert again.asked == [0]
    (complaint,) = session.complaints
    assert complaint.startswith(f"{path}: damaged: expected ")
    assert complaint.endswith("; this configuration was repeated")


def test_finished_study_forgets_its_configurations(tmp_path):
    session = Session("regularisation", tmp_path)
    session.map(Counted(), CASES, config=Config())
    session.forget()
    assert list(tmp_path.iterdir()) == []


def test_progress_hears_of_every_tick_and_every_case(tmp_path):
    Session("regularisation", tmp_path, n_threads=2).map(Counted(), CASES[:2], config=Config())
    heard = Heard()
    session = Session("regularisation", tmp_path, n_threads=2, progress=heard)
    session.map(Counted(), CASES, config=Config(), n_ticks=4)
    assert heard.begun == [(5, 20)] and heard.ticks == 20 and heard.ended == 1
    assert sorted(heard.cases) == [(0, True), (1, True), (2, False), (3, False), (4, False)]


def test_progress_ends_when_a_configuration_fails():
    heard = Heard()
    with pytest.raises(OSError):
        Session("regularisation", progress=heard).map(Counted(1, OSError), CASES, config=Config())
    assert heard.ended == 1


def test_content_that_would_overwrite_the_record_is_refused():
    session = Session("regularisation")
    (found,) = session.map(Counted(), CASES[:1], config=Config())
    message = "^content of a result must have other names than quick, seconds$"
    with pytest.raises(ValueError, match=message):
        session.record(Config(), quick=True, **found)


def test_record_says_what_ran_where_and_is_json_as_it_comes_back():
    session = Session("regularisation", quick=True, n_threads=2)
    found = session.map(Counted(), CASES, config=Config())
    result = session.record(Config(), found=found, nothing=float("nan"))
    assert (result["study"], result["quick"], result["format"]) == ("regularisation", True, 1)
    assert result["config"] == {"factor": 2}
    assert result["environment"]["threads"] == {"count": 2, "source": "n_threads"}
    assert result["nothing"] is None and products(result["found"]) == EXPECTED
    assert set(result["seconds"]) == {"wall", "configurations", "resumed_configurations"}
    assert plain(result) == result
