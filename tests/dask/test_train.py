"""Training on a cluster: the bits of one machine, whatever the rows are and whoever computes."""

from __future__ import annotations

import gc
import pickle
import threading
import time
from itertools import pairwise

import numpy as np
import pytest

import fastmlp
from fastmlp import Checkpoint, DataFormatError, DivergenceError, ResumeError
from fastmlp import data as d
from fastmlp.callbacks.stopping import EarlyStopping

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")

from dask_jobs import (  # noqa: E402
    LABELS,
    SOURCE,
    WEIGHTS,
    InThread,
    N,
    X,
    Y,
    assert_same_bits,
    local_cluster,
    make_trainer,
    on_one_machine,
    result_of,
)

import fastmlp.dask  # noqa: E402
from fastmlp.dask.feed import ClusterFeed  # noqa: E402


def trained(client, *data, make=make_trainer, n_epochs=3, **arguments):
    trainer = make()
    fastmlp.dask.train(client, trainer, *data, n_epochs=n_epochs, **{"verbose": False} | arguments)
    return result_of(trainer)


def arrays(chunk=90):
    return da.from_array(X, chunks=(chunk, 6)), da.from_array(Y, chunks=(chunk, 4))


SETTINGS = {
    "adam, dropout": {"optimizer": "adam", "dropout": 0.3},
    "momentum, ragged, clipped": {"momentum": 0.5, "batch_size": 7, "max_grad_norm": 0.1},
    "float64": {"dtype": "float64", "l2": 0.1, "penalty_scale": "per_sample"},
}


@pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("n_workers", [1, 2, 3])
def test_the_number_of_workers_does_not_change_a_bit(client, use_workers, n_workers, changes):
    def make():
        return make_trainer(**changes)

    use_workers(n_workers)
    expected = on_one_machine(make=make)
    assert_same_bits(trained(client, *arrays(), make=make), expected)
    assert_same_bits(trained(client, SOURCE, make=make), expected)


@pytest.mark.parametrize("n_shards", [1, 2, 5])
def test_other_numbers_of_shards_have_the_bits_of_one_machine_too(client, n_shards):
    found = trained(client, SOURCE, n_shards=n_shards)
    assert_same_bits(found, on_one_machine(n_shards=n_shards))


@pytest.mark.soak
@pytest.mark.parametrize("n_workers", [4, 8])
def test_more_workers_and_repetitions_do_not_change_a_bit_either(n_workers):
    expected = {
        name: on_one_machine(make=lambda changes=changes: make_trainer(**changes))
        for name, changes in SETTINGS.items()
    }
    with local_cluster(n_workers) as cluster, distributed.Client(cluster) as own:
        for _ in range(10):
            for name, changes in SETTINGS.items():
                found = trained(
                    own, *arrays(), make=lambda changes=changes: make_trainer(**changes)
                )
                assert_same_bits(found, expected[name])


# --- Rows


def shaped(kind):
    """The rows as a collection of some kind."""
    delayed = pytest.importorskip("dask").delayed
    pd = pytest.importorskip("pandas")
    if kind == "chunks of columns":
        return da.from_array(X, chunks=(90, 2)), da.from_array(Y, chunks=(90, 3))
    if kind == "other chunks of targets":
        return da.from_array(X, chunks=(90, 6)), da.from_array(Y, chunks=(70, 4))
    if kind == "unknown chunks":
        keep = np.ones(N, bool)
        x, y = arrays()
        mask = da.from_array(keep, chunks=90)
        return x[mask], y[mask]
    if kind == "data frames":
        dd = pytest.importorskip("dask.dataframe")
        x, y = pd.DataFrame(X, columns=list("uvwxyz")), pd.DataFrame(Y)
        return dd.from_pandas(x, npartitions=5), dd.from_pandas(y, npartitions=5)
    cuts = [0, 0, 150, 150, 151, N, N]  # some are empty
    spans = list(pairwise(cuts))
    if kind == "delayed, some empty":
        return [[delayed(a[i:j]) for i, j in spans] for a in (X, Y)]
    if kind == "delayed frames":
        return [[delayed(pd.DataFrame(a[i:j])) for i, j in spans] for a in (X, Y)]
    assert kind == "fewer than workers"
    return da.from_array(X, chunks=(N, 6)), da.from_array(Y, chunks=(N, 4))


KINDS = ["chunks of columns", "other chunks of targets", "unknown chunks", "data frames",
         "delayed, some empty", "delayed frames", "fewer than workers"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_collection_has_the_bits_of_its_rows(client, kind):
    found = trained(client, *shaped(kind), n_epochs=1)
    assert_same_bits(found, on_one_machine(n_epochs=1))


def test_futures_and_persisted_rows_are_collections_too(client):
    futures = [[client.submit(np.array, a[i : i + 200]) for i in range(0, N, 200)] for a in (X, Y)]
    expected = on_one_machine(n_epochs=1)
    assert_same_bits(trained(client, *futures, n_epochs=1), expected)
    persisted = [client.persist(a) for a in arrays()]
    assert_same_bits(trained(client, *persisted, n_epochs=1), expected)


def test_windows_of_a_collection_have_the_bits_of_windows_of_an_array(client):
    found = trained(client, *arrays(), n_epochs=2, window_rows=80)
    assert_same_bits(found, on_one_machine(n_epochs=2, window_rows=80))


def test_every_worker_reads_a_file_itself(client, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    pa = pytest.importorskip("pyarrow")
    columns = {f"x{i}": X[:, i] for i in range(6)} | {f"y{i}": Y[:, i] for i in range(4)}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet", row_group_size=50)
    source = d.ParquetSource(tmp_path / "rows.parquet", target=[f"y{i}" for i in range(4)])
    for window_rows in (None, 100):
        expected = on_one_machine(source, window_rows=window_rows)
        assert_same_bits(trained(client, source, window_rows=window_rows), expected)
    part, _ = d.split(source, 0.2)
    expected = on_one_machine(part, window_rows=100)
    assert_same_bits(trained(client, part, window_rows=100), expected)


def test_sample_weights_come_with_their_rows(client):
    weighted = d.ArraySource(X, Y, WEIGHTS)
    expected = on_one_machine(weighted)
    weights = da.from_array(WEIGHTS, chunks=90)
    assert_same_bits(trained(client, *arrays(), sample_weight=weights), expected)
    assert_same_bits(trained(client, weighted), expected)
    assert not np.array_equal(expected["weights"], on_one_machine()["weights"])


def test_threads_of_a_worker_do_not_change_a_bit(client):
    assert_same_bits(trained(client, SOURCE, n_threads=3), on_one_machine())


# --- The client


def test_validation_early_stopping_and_callbacks_are_on_the_client(client):
    seen = []

    def call(trainer):
        seen.append((threading.current_thread() is threading.main_thread(), trainer.epochs_done))
        return len(seen) == 4

    def fit(train):
        trainer = make_trainer()
        history = train(trainer, n_epochs=20, validation_data=(X[:90], Y[:90]), callbacks=[
            EarlyStopping("cost", patience=30), call])  # fmt: skip
        return result_of(trainer) | {"val": history["val_cost"]}

    found = fit(lambda t, **k: fastmlp.dask.train(client, t, *arrays(), verbose=False, **k))
    assert seen == [(True, n) for n in (1, 2, 3, 4)]
    seen.clear()
    assert_same_bits(found, fit(lambda t, **k: t.fit(SOURCE, n_shards=8, **k)))
    assert len(found["val"]) == 4


def test_weights_that_a_callback_changes_are_sent_to_the_workers(client):
    def call(trainer):
        trainer.network.parameters[...] *= 0.5
        trainer.states[...] = 0

    def fit(train):
        trainer = make_trainer(optimizer="adam")
        train(trainer, n_epochs=3, callbacks=[call])
        return result_of(trainer)

    found = fit(lambda t, **k: fastmlp.dask.train(client, t, SOURCE, verbose=False, **k))
    assert_same_bits(found, fit(lambda t, **k: t.fit(SOURCE, n_shards=8, **k)))


def test_a_rate_that_a_schedule_changes_is_that_of_each_epoch(client):
    def make():
        return make_trainer(schedule="cosine", warmup=1)

    assert_same_bits(trained(client, SOURCE, make=make), on_one_machine(make=make))


def test_pieces_of_an_epoch_have_the_bits_of_the_whole(client, monkeypatch):
    monkeypatch.setattr(fastmlp.dask.feed, "FIRST_PIECE_BATCHES", 3)
    monkeypatch.setattr(fastmlp.dask.feed, "PIECE_SECONDS", 1e-9)
    ends = []
    told = ClusterFeed._told

    def note(self, epoch, end):
        ends.append(end)
        return told(self, epoch, end)

    monkeypatch.setattr(ClusterFeed, "_told", note)
    feed_defaults = ClusterFeed.__init__.__kwdefaults__
    monkeypatch.setitem(feed_defaults, "piece_seconds", 1e-9)
    assert_same_bits(trained(client, SOURCE, n_epochs=1), on_one_machine(n_epochs=1))
    assert ends == [3, *range(4, 22)]


# --- Checkpoints


def test_a_run_continues_here_and_there(client, tmp_path):
    def make():
        return make_trainer(optimizer="adam", dropout=0.3)

    expected = on_one_machine(make=make, n_epochs=4)
    trained(client, *arrays(), make=make, n_epochs=1, callbacks=[Checkpoint(tmp_path / "a")],
            window_rows=N)  # fmt: skip
    trainer = make()
    with pytest.raises(ResumeError, match="X was Dask collection"):  # other rows, for all it knows
        trainer.fit(SOURCE, n_epochs=2, n_shards=8, resume=tmp_path / "a")
    found = trained(client, *arrays(), make=make, n_epochs=4, resume=tmp_path / "a")
    assert_same_bits(found, expected)

    trained(client, SOURCE, make=make, n_epochs=1, callbacks=[Checkpoint(tmp_path / "b")])
    there = make()
    there.fit(SOURCE, n_epochs=2, n_shards=8, resume=tmp_path / "b",
              callbacks=[Checkpoint(tmp_path / "b")])  # fmt: skip
    found = trained(client, SOURCE, make=make, n_epochs=4, resume=tmp_path / "b")
    assert_same_bits(found, expected)
    with pytest.raises(ResumeError, match="n_shards was 8, is now 4"):
        trained(client, SOURCE, make=make, n_epochs=5, n_shards=4, resume=tmp_path / "b")


def test_other_rows_in_a_collection_are_another_run(client, tmp_path):
    trained(client, *arrays(), n_epochs=1, callbacks=[Checkpoint(tmp_path)])
    x, y = arrays()
    with pytest.raises(ResumeError, match=r"X was Dask collection \(403, 6, 4\) with SHA-256"):
        trained(client, x + 1, y, n_epochs=2, resume=tmp_path)


# --- Errors


def explode(y, a):
    raise ZeroDivisionError("the user's own")


def not_finite(y, a):
    return np.full(len(y), np.nan), 2 * (a - y)


def squares(y, a):
    return ((y - a) ** 2).sum(axis=1), 2 * (a - y)


def test_a_custom_loss_runs_on_the_workers(client):
    def make():
        return make_trainer(loss=squares)

    assert_same_bits(trained(client, SOURCE, make=make), on_one_machine(make=make))


def test_an_error_of_a_custom_loss_is_that_of_one_machine(client):
    start = time.monotonic()
    with pytest.raises(ZeroDivisionError, match="the user's own"):
        trained(client, SOURCE, make=lambda: make_trainer(loss=explode))
    assert time.monotonic() - start < 60
    assert_same_bits(trained(client, SOURCE, n_epochs=1), on_one_machine(n_epochs=1))


def test_divergence_on_the_cluster_has_the_batch_and_keeps_the_weights(client):
    trainer = make_trainer(loss=not_finite)
    before = trainer.network.parameters.copy()
    with pytest.raises(DivergenceError) as caught:
        fastmlp.dask.train(client, trainer, SOURCE)
    assert (caught.value.epoch, caught.value.batch) == (0, 0)
    np.testing.assert_array_equal(trainer.network.parameters, before)


def test_a_damaged_row_is_named_by_its_partition(client):
    x = X.copy()
    x[200, 3] = np.nan
    with pytest.raises(DataFormatError, match=r"X, partition 2, row 20, column 3: .* found NaN"):
        trained(client, da.from_array(x, chunks=(90, 6)), arrays()[1])


X_, Y_ = arrays()
WRONG = {
    "an array": ((X, Y_), {}, TypeError,
                 "X must be a Dask array, a Dask data frame, a list of delayed partitions or a"),
    "an array of targets": ((X_, Y), {}, TypeError, "Y must be a Dask array.* because X is one"),
    "no targets": ((X_,), {}, TypeError, "Y must be a Dask array.*; got None"),
    "an array of weights": ((X_, Y_), {"sample_weight": WEIGHTS}, TypeError,
                            "sample_weight must be a Dask array"),
    "a source with targets": ((SOURCE, Y_), {}, ValueError,
                              "Y and sample_weight must be None, because X is a source"),
    "other partitions": ((X_, Y_[:200]), {}, ValueError,
                         r"X, Y and sample_weight must have the same partitions; got .*'X': 5"),
    "too few columns": ((X_[:, 1:], Y_), {}, ValueError, "X must have 6 features.* got 5"),
    "labels": ((X_, da.from_array(LABELS, chunks=90)), {}, ValueError, r"X must have 4 target"),
    "no patience": ((SOURCE,), {"patience": 0.05}, ValueError, "patience must be .*0.1; got 0.05"),
    "patience": ((SOURCE,), {"patience": "3"}, TypeError, "patience must be"),
    "verbose": ((SOURCE,), {"verbose": 2}, TypeError, "verbose must be"),
    "no threads": ((SOURCE,), {"n_threads": 0}, ValueError, "n_threads must be .*1; got 0"),
    "shards": ((SOURCE,), {"n_shards": N + 1}, ValueError, "n_shards must be at most"),
    "window": ((SOURCE,), {"window_rows": 0}, ValueError, "window_rows must be at least 1; got 0"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments_are_named_before_any_work(client, what):
    data, arguments, error, message = WRONG[what]
    trainer = make_trainer()
    before = trainer.network.parameters.copy()
    with pytest.raises(error, match=message):
        fastmlp.dask.train(client, trainer, *data, **arguments)
    np.testing.assert_array_equal(trainer.network.parameters, before)


@pytest.mark.parametrize("given, message", [
    ("tcp://127.0.0.1:8786", "client must be a distributed.Client; got 'tcp"),
    (None, "client must be a distributed.Client; got None"),
])  # fmt: skip
def test_a_client_must_be_one(given, message):
    with pytest.raises(TypeError, match=message):
        fastmlp.dask.train(given, make_trainer(), SOURCE)


def test_an_asynchronous_client_is_refused(client):
    class Asynchronous:
        asynchronous = True
        scheduler_info = submit = None

    with pytest.raises(TypeError, match="client must not be asynchronous"):
        fastmlp.dask.train(Asynchronous(), make_trainer(), SOURCE)


def test_a_trainer_must_be_one(client):
    with pytest.raises(TypeError, match=r"trainer must be a fastmlp.Trainer; got .*Network"):
        fastmlp.dask.train(client, make_trainer().network, SOURCE)


# --- Safety


def test_a_cluster_with_tls_encrypts_what_workers_send_each_other(monkeypatch):
    pytest.importorskip("cryptography")
    security = distributed.security.Security.temporary()
    with (
        local_cluster(2, security=security) as cluster,
        distributed.Client(cluster, security=security) as own,
    ):
        assert all(address.startswith("tls://") for address in own.scheduler_info()["workers"])
        seen = []
        submit = fastmlp.dask.crew.Crew._submit

        def noted(self, rank, function, *arguments):
            if function.__name__ == "meet":
                seen.extend(arguments[1])
            return submit(self, rank, function, *arguments)

        monkeypatch.setattr(fastmlp.dask.crew.Crew, "_submit", noted)
        assert_same_bits(trained(own, SOURCE), on_one_machine())
        assert seen and all(address.startswith("tls://127.0.0.1:") for address in seen)


# --- What is left


def members_and_peers():
    """How many of a worker's parts of runs, and of their connections, are alive."""
    from fastmlp.dask.member import Member
    from fastmlp.dask.peers import Peers

    gc.collect()
    kinds = [type(value) for value in gc.get_objects()]
    return kinds.count(Member), kinds.count(Peers)


@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
def test_workers_keep_nothing_of_a_run(client, fails):
    if fails:
        with pytest.raises(ZeroDivisionError):
            trained(client, SOURCE, make=lambda: make_trainer(loss=explode))
    else:
        trained(client, SOURCE, n_epochs=1)
    deadline = time.monotonic() + 30
    while True:
        left = client.run(members_and_peers)
        if set(left.values()) == {(0, 0)}:
            break
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_two_runs_at_once_both_end(client):
    """Each worker has one thread, and the workers of a run wait for each other."""

    def call():
        return trained(client, SOURCE, n_epochs=4)

    runs = [InThread(call) for _ in range(3)]
    expected = on_one_machine(n_epochs=4)
    for run in runs:
        assert_same_bits(run.result(60), expected)


def test_what_a_worker_is_told_does_not_grow_with_the_batches_of_an_epoch():
    # An epoch of millions of batches has hundreds of MB of measures.
    from fastmlp.dask.feed import ClusterFeed
    from fastmlp.training.epoch import N_MEASURES, Epoch

    epoch = Epoch(0.1, 1, 2, 0, np.ones((N_MEASURES, 100_000)))
    feed = object.__new__(ClusterFeed)
    feed.version = 3
    piece = feed._told(epoch, 7)
    assert len(pickle.dumps(piece)) < 2_000
    assert (piece.n_batches, piece.end, piece.version) == (100_000, 7, 3)
    assert epoch.measures.shape == (N_MEASURES, 100_000)
