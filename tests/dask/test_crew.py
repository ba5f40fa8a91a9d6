"""Workers that end, are stopped or crash: the bits of an undisturbed run, or a typed error soon."""

from __future__ import annotations

import functools
import importlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import fastmlp
from fastmlp import Checkpoint
from fastmlp import data as d
from fastmlp.engine import environment
from fastmlp.exceptions import ClusterError

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")

from dask_jobs import (  # noqa: E402
    InThread,
    X,
    Y,
    assert_same_bits,
    local_cluster,
    make_trainer,
    on_one_machine,
    result_of,
)

import fastmlp.dask  # noqa: E402
from fastmlp.dask.crew import Workers, WorkersLostError  # noqa: E402

N_EPOCHS, SIZES, BOUND = 6, (6, 150, 70, 4), 120
SOURCE = d.ArraySource(np.tile(X, (10, 1)), np.tile(Y, (10, 1)))


def make():
    return make_trainer(sizes=SIZES, optimizer="adam", dropout=0.2, batch_size=60)


@pytest.fixture(scope="module")
def expected():
    return on_one_machine(SOURCE, N_EPOCHS, make=make)


@pytest.fixture(scope="module")
def mortals():
    """Client of a cluster whose workers are killed, and started again by their nannies."""
    with local_cluster(3) as cluster, distributed.Client(cluster) as client:
        yield client


def ready(client, n_workers=3):
    """Process ids of all workers, which have imported the package: that takes seconds."""
    deadline = time.monotonic() + BOUND
    while True:
        client.wait_for_workers(n_workers, timeout=BOUND)
        with suppress(OSError):  # one that ends right now, of the test before
            client.run(make)
            pids = [pid for _, pid in sorted(client.run(os.getpid).items())]
            if len(pids) >= n_workers:
                return pids
        assert time.monotonic() < deadline
        time.sleep(0.1)


def end(pid):
    """End a stopped worker, unless its nanny has done so."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Victim:
    """A worker of a cluster to which something happens while an epoch is trained on."""

    def __init__(self, client, rank, number, seconds=0.02, epoch=2):
        self.pid = ready(client)[rank]
        self.number, self.epoch = number, epoch
        self.timer = threading.Timer(seconds, os.kill, [self.pid, number])

    def __call__(self, trainer):
        """As a callback: soon, once."""
        if trainer.epochs_done == self.epoch:
            self.timer.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.timer.ident is not None:
            self.timer.join()
        if self.number == signal.SIGSTOP:
            end(self.pid)


def trained(client, *, callbacks=(), n_epochs=N_EPOCHS, source=SOURCE, **arguments):
    trainer = make()
    fastmlp.dask.train(
        client, trainer, source, n_epochs=n_epochs, verbose=False, callbacks=callbacks, **arguments
    )
    return result_of(trainer)


HARM = [
    pytest.param(0, signal.SIGKILL, id="the first is killed"),
    pytest.param(2, signal.SIGSTOP, id="the last is stopped"),
    pytest.param(1, signal.SIGSEGV, id="the second crashes", marks=pytest.mark.soak),
    pytest.param(0, signal.SIGSTOP, id="the first is stopped", marks=pytest.mark.soak),
]


@pytest.mark.parametrize("rank, number", HARM)
def test_a_run_that_loses_a_worker_has_the_bits_of_an_undisturbed_one(
    mortals, expected, rank, number
):
    with Victim(mortals, rank, number) as victim:
        patience = 8 if number == signal.SIGSTOP else 30
        run = InThread(lambda: trained(mortals, callbacks=[victim], patience=patience))
        assert_same_bits(run.result(BOUND), expected)


@pytest.mark.soak
def test_a_worker_that_is_stopped_before_the_run_is_left_out(mortals, expected):
    """It gives no sign of life, takes no orders, and has the first number."""
    with Victim(mortals, 0, signal.SIGSTOP) as victim:
        os.kill(victim.pid, signal.SIGSTOP)
        run = InThread(lambda: trained(mortals, patience=8))
        assert_same_bits(run.result(BOUND), expected)


@pytest.mark.soak
def test_partitions_of_a_lost_worker_are_computed_again(mortals, expected):
    da = pytest.importorskip("dask.array")
    x, y = (np.tile(a, (10, 1)) for a in (X, Y))
    rows = da.from_array(x, chunks=(900, 6)), da.from_array(y, chunks=(900, 4))
    with Victim(mortals, 1, signal.SIGKILL) as victim:

        def call():
            trainer = make()
            fastmlp.dask.train(mortals, trainer, *rows, n_epochs=N_EPOCHS, callbacks=[victim],
                               verbose=False)  # fmt: skip
            return result_of(trainer)

        assert_same_bits(InThread(call).result(BOUND), expected)


@pytest.mark.soak
def test_workers_join_and_leave_between_fits(expected):
    with local_cluster(1) as cluster, distributed.Client(cluster) as client:
        assert_same_bits(trained(client), expected)
        cluster.scale(3)
        ready(client)
        assert_same_bits(trained(client), expected)
        cluster.scale(2)
        assert_same_bits(trained(client), expected)

        pid = sorted(client.run(os.getpid).values())[0]
        os.kill(pid, signal.SIGKILL)  # its nanny starts another
        assert_same_bits(trained(client), expected)

        cluster.scale(0)
        while client.scheduler_info(n_workers=-1)["workers"]:
            time.sleep(0.05)
        trainer = make()
        start = time.monotonic()
        with pytest.raises(ClusterError, match=r"there has been no worker for 1 s\. 0 epoch\(s\)"):
            fastmlp.dask.train(client, trainer, SOURCE, patience=1)
        assert time.monotonic() - start < BOUND


def started(*command):
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@contextmanager
def without_nannies():
    """Client of a scheduler and a worker of which nobody starts another, and their processes."""
    folder = tempfile.TemporaryDirectory()
    address = Path(folder.name) / "scheduler.json"  # a port that is free now may not be so soon
    processes = [
        started("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0, "--no-show",
                "--dashboard-address", "127.0.0.1:0", "--scheduler-file", address),
        started("distributed.cli.dask_worker", "--scheduler-file", address, "--no-nanny",
                "--no-dashboard", "--nthreads", 1, "--host", "127.0.0.1", "--death-timeout", 20),
    ]  # fmt: skip
    try:
        with (
            folder,
            dask.config.set({"distributed.comm.timeouts.connect": "5s"}),
            distributed.Client(scheduler_file=str(address), timeout=BOUND) as client,
        ):
            client.wait_for_workers(1, timeout=BOUND)
            # It gives no sign of life while it imports, for some seconds on a busy machine.
            client.run(importlib.import_module, "fastmlp.dask")
            yield client, *processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def error_of(client, victim, number, folder):
    """The error of a run to which something happens after two epochs; seconds until then."""
    harm = threading.Timer(0.02, os.kill, [victim.pid, number])
    calls = [lambda t: harm.start() if t.epochs_done == 2 else None, Checkpoint(folder)]
    start = time.monotonic()
    run = InThread(lambda: trained(client, callbacks=calls, n_epochs=10**6, patience=8))
    with pytest.raises(ClusterError) as caught:
        run.result(BOUND)
    assert time.monotonic() - start < 60
    assert str(caught.value).endswith(f"step(s) are done; continue with resume='{folder}'")
    return str(caught.value)


def test_a_scheduler_that_is_killed_gives_an_error_that_names_the_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(fastmlp.dask.crew, "ANSWER_SECONDS", 8)
    with without_nannies() as (client, scheduler, _):
        message = error_of(client, scheduler, signal.SIGKILL, tmp_path)
    assert message.startswith("the scheduler ")
    n_done = int(message.split(" epoch(s)")[0].split()[-1])
    continued = make()
    continued.fit(SOURCE, n_epochs=n_done + 1, n_shards=8, resume=tmp_path)
    assert_same_bits(result_of(continued), on_one_machine(SOURCE, n_done + 1, make=make))


@pytest.mark.soak
@pytest.mark.parametrize("seconds", [0, 0.5])
@pytest.mark.parametrize("n_questions", range(7))
def test_a_scheduler_that_is_killed_before_any_question_of_the_client_gives_that_error(
    tmp_path, monkeypatch, n_questions, seconds
):
    monkeypatch.setattr(fastmlp.dask.crew, "ANSWER_SECONDS", 8)
    with without_nannies() as (client, scheduler, _):
        asked = []

        def counted(ask):
            def call(*arguments, **keywords):
                if asked and threading.current_thread().name == asked[0]:
                    asked.append(ask)
                    if len(asked) == n_questions + 2:
                        scheduler.kill()
                        time.sleep(seconds)
                return ask(*arguments, **keywords)

            return call

        monkeypatch.setattr(client, "sync", counted(client.sync))
        monkeypatch.setattr(client, "submit", counted(client.submit))

        def call(trainer):
            if trainer.epochs_done == 2:
                asked.append(threading.current_thread().name)

        calls = [call, Checkpoint(tmp_path)]
        run = InThread(lambda: trained(client, callbacks=calls, n_epochs=10**6, patience=8))
        with pytest.raises(ClusterError, match="the scheduler "):
            run.result(60)


@pytest.mark.soak
def test_the_only_worker_that_is_stopped_ends_the_run_with_an_error(tmp_path):
    with without_nannies() as (client, _, worker):
        message = error_of(client, worker, signal.SIGSTOP, tmp_path)
    assert message.startswith("there has been no worker for 8 s. ")


def test_ctrl_c_ends_a_run_with_the_weights_of_the_last_piece(client):
    weights = {}

    def call(trainer):
        weights[trainer.epochs_done] = trainer.network.parameters.copy()
        if trainer.epochs_done == 2:
            threading.Timer(0.03, os.kill, [os.getpid(), signal.SIGINT]).start()

    trainer = make()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fastmlp.dask.train(client, trainer, SOURCE, n_epochs=10**6, callbacks=[call], verbose=False)
    assert time.monotonic() - start < BOUND
    alone = on_one_machine(SOURCE, trainer.epochs_done, make=make)
    np.testing.assert_array_equal(weights[trainer.epochs_done], alone["weights"])
    if trainer.n_steps == alone["n_steps"]:
        np.testing.assert_array_equal(trainer.network.parameters, alone["weights"])
    assert_same_bits(trained(client, n_epochs=2), on_one_machine(SOURCE, 2, make=make))


# --- Without a cluster


class Scheduler:
    """What a client says of its workers, and when they were last seen."""

    def __init__(self, **last_seen):
        self.last_seen, self.status, self.error, self.ended = last_seen, "running", None, []
        self.scheduler = self

    identity = None

    def sync(self, function, *, n_workers, callback_timeout):
        assert n_workers == -1 and callback_timeout >= 30
        if self.error is not None:
            raise self.error
        return {"workers": {a: {"last_seen": seen} for a, seen in self.last_seen.items()}}

    def run_on_scheduler(self, function, address, callback_timeout):
        assert 10 < callback_timeout <= 20
        self.ended.append(address)


def test_workers_whose_heartbeats_stop_are_left_out_after_patience():
    scheduler = Scheduler(a=1, b=1)
    workers = Workers(scheduler, patience=0.15)
    assert workers.alive() == ["a", "b"]
    time.sleep(0.2)
    scheduler.last_seen["b"] = 2
    assert workers.alive() == ["b"]
    scheduler.last_seen = {"c": 1, "b": 2}
    assert workers.alive() == ["b", "c"]


def test_workers_that_are_forgotten_never_come_back_and_the_scheduler_ends_those_it_knows():
    scheduler = Scheduler(a=1, b=1)
    workers = Workers(scheduler, patience=9)
    workers.alive()
    workers.forget({"a", "gone"})
    assert workers.alive() == ["b"] and scheduler.ended == ["a"]


def test_a_scheduler_that_is_lost_meanwhile_is_that_error_whatever_is_raised(client, monkeypatch):
    from fastmlp.dask import feed

    def closed(self, *arguments):
        monkeypatch.setattr(Workers, "_heartbeats", gone)
        raise OSError("Comm closed")

    def gone(self):
        raise ClusterError("the scheduler cannot be reached: 7")

    monkeypatch.setattr(feed.Crew, "train", closed)
    with pytest.raises(ClusterError, match="the scheduler cannot be reached: 7"):
        trained(client)


def test_an_error_when_workers_are_ended_is_none_if_the_scheduler_is_there():
    scheduler = Scheduler(a=1, b=1)
    workers = Workers(scheduler, patience=9)
    workers.alive()

    def broken(function, address, callback_timeout):
        raise OSError("Comm closed")

    scheduler.run_on_scheduler = broken
    workers.forget({"a"})
    assert workers.alive() == ["b"]
    scheduler.error = OSError("gone")
    with pytest.raises(ClusterError, match="the scheduler cannot be reached"):
        workers.forget({"b"})


def test_nothing_is_asked_of_a_scheduler_that_the_client_has_lost():
    scheduler = Scheduler(a=1, b=1)
    workers = Workers(scheduler, patience=9)
    workers.alive()
    scheduler.status, scheduler.sync = "connecting", None
    for ask in (lambda: workers.forget({"a"}), workers.alive):
        with pytest.raises(ClusterError, match="the scheduler is lost: the client is 'connecting'"):
            ask()
    assert scheduler.ended == []


def test_as_many_workers_are_taken_as_there_are_shards():
    assert Workers(Scheduler(c=1, a=1, b=1), 9).wait_for_one(2) == ["a", "b"]


def test_silent_workers_are_those_without_a_new_heartbeat(monkeypatch):
    scheduler = Scheduler(a=1, b=1, c=1)

    def sleep(seconds):
        scheduler.last_seen = {"a": 1, "b": 2}

    monkeypatch.setattr("fastmlp.dask.crew.time.sleep", sleep)
    workers = Workers(scheduler, patience=9)
    assert workers.are_silent({"a", "b", "c"}) == {"a", "c"}
    assert workers.are_silent(set()) == set()


def test_a_scheduler_that_does_not_answer_is_an_error():
    scheduler = Scheduler(a=1)
    scheduler.error = TimeoutError("30 s")
    with pytest.raises(ClusterError, match=r"the scheduler cannot be reached: TimeoutError\('30"):
        Workers(scheduler, 9).alive()
    scheduler.error, scheduler.status = None, "closed"
    with pytest.raises(ClusterError, match="the scheduler is lost: the client is 'closed'"):
        Workers(scheduler, 9).alive()


def test_workers_that_differ_are_refused(client, monkeypatch):
    from fastmlp.dask import crew, member

    def facts_of(part):
        return member.Facts(part.address, f"processor {part.rank}", 1)

    monkeypatch.setattr(crew, "facts_of", facts_of)
    with pytest.raises(ClusterError, match=r"the workers must compute the same bits: .* got \["):
        trained(client)


@pytest.mark.parametrize(
    "products, fact, is_refused",
    [
        ("own", ["processor"], False),
        ("own", ["blas", "version"], False),
        ("blas", ["blas", "version"], True),
        ("own", ["simd"], True),
        ("own", ["system"], True),
        ("own", ["versions", "NumPy"], True),
        ("own", ["versions", "fastmlp"], True),
    ],
)
def test_workers_may_differ_in_what_their_bits_do_not_depend_on(
    client, monkeypatch, products, fact, is_refused
):
    from fastmlp.dask import crew, member

    def facts_of(part):
        found = environment.arithmetic()
        *path, last = fact
        functools.reduce(dict.__getitem__, path, found)[last] = f"other {part.rank}"
        with mock.patch.object(member, "arithmetic", lambda: found):
            return member.facts_of(part)

    monkeypatch.setattr(crew, "facts_of", facts_of)
    monkeypatch.setenv("FASTMLP_PRODUCTS", products)
    if is_refused:
        with pytest.raises(ClusterError, match=r"the workers must compute the same bits.*other 2"):
            trained(client, n_epochs=1)
    else:
        trained(client, n_epochs=1)


def test_different_weights_of_workers_are_an_error(client, monkeypatch):
    from fastmlp.dask.crew import Crew

    train = Crew.train

    def changed(self, piece, weights):
        reports = train(self, piece, weights)
        reports[1].digest = "other"
        return reports

    monkeypatch.setattr(Crew, "train", changed)
    with pytest.raises(ClusterError, match="the workers have computed different bits"):
        trained(client)


def test_workers_that_are_lost_again_and_again_end_the_run(client, monkeypatch):
    from fastmlp.dask import feed

    def lost(self, *arguments):
        raise WorkersLostError(set(), "the seventh time")

    monkeypatch.setattr(feed, "MOST_LOSSES", 3)
    monkeypatch.setattr(feed.Crew, "train", lost)
    with pytest.raises(ClusterError, match=r"workers were lost 3 times in a row; .*: the seventh"):
        trained(client)


# --- For hours


@pytest.mark.soak
def test_fifty_runs_that_lose_a_worker_at_any_time_have_the_same_bits(expected):
    chance = random.Random(0)
    for run_number in range(50):
        number = chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
        rank, seconds = chance.randrange(3), chance.uniform(0, 0.5)
        epoch = chance.randrange(1, N_EPOCHS)
        print(f"run {run_number}: {number.name} to worker {rank}, {seconds:.2f} s after {epoch}")
        # A nanny whose worker is killed while it starts does not start another.
        with (
            local_cluster(3) as cluster,
            distributed.Client(cluster) as client,
            Victim(client, rank, number, seconds, epoch) as victim,
        ):
            assert_same_bits(run_with(client, victim), expected)


def run_with(client, victim):
    return InThread(lambda: trained(client, callbacks=[victim], patience=6)).result(BOUND)
