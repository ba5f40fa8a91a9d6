"""Checkpoints: when they are written, which one is read, and what may go on from them."""

from __future__ import annotations

import errno
import fcntl
import linecache
import os
import signal
import stat
import sys

import numpy as np
import pytest
from cases import make_classes, name_of
from damage import BITS_OF_A_BYTE, damaged_in_place, fail_in
from processes import fork_and_stay
from saved_models import forge, taken_apart

from fastmlp import Checkpoint, LivePlot, ModelFormatError, Network, ResumeError, Trainer
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.stopping import EarlyStopping, TimeBudget
from fastmlp.files.atomic import write_atomically
from fastmlp.training.checkpoints import keeper
from fastmlp.training.checkpoints.document import read_checkpoint
from fastmlp.training.checkpoints.folder import checkpoint_numbers, checkpoint_path, read_newest
from fastmlp.training.loop import Loop

X, Y = make_classes(60, 5, 2)


def trainer(seed=0, **options):
    network = Network((5, 4, 2), random_state=seed)
    settings = dict(learning_rate=0.01, batch_size=20, optimizer="adam", random_state=seed)
    return Trainer(network, **settings | options)


def fit(folder=None, *, n_epochs=4, every=1, keep=3, resume=None, callbacks=(), seed=0, x=X, y=Y,
        data=None, **options):  # fmt: skip
    """A trainer that has been trained, with checkpoints in a folder."""
    calls = [*callbacks] if folder is None else [*callbacks, Checkpoint(folder, every, keep)]
    t = trainer(seed, **options)
    t.fit(x, y, n_epochs=n_epochs, callbacks=calls, resume=resume, **(data or {}))
    return t


class Passing(EpochCallback):
    """May come and go in a resumed run."""

    def settings(self):
        return None


def files(folder):
    return sorted(os.listdir(folder))


def same(a, b):
    return np.array_equal(a.network.parameters, b.network.parameters) and np.array_equal(
        a.states, b.states
    )


# --- When they are written


def test_one_is_written_after_every_so_many_epochs_and_at_the_end_and_the_last_are_kept(tmp_path):
    fit(tmp_path / "new" / "folder", n_epochs=7, every=2, keep=2)
    assert files(tmp_path / "new" / "folder") == [
        "checkpoint-00000003.safetensors",
        "checkpoint-00000004.safetensors",
    ]
    saved = [read_checkpoint(checkpoint_path(tmp_path / "new" / "folder", n)) for n in (3, 4)]
    assert [each.epochs_done for each in saved] == [6, 7]


def test_a_training_whose_last_epoch_was_due_is_written_once(tmp_path):
    fit(tmp_path, n_epochs=4, every=2)
    assert checkpoint_numbers(tmp_path) == [1, 2]


@pytest.fixture
def slow(monkeypatch):
    """A trainer whose batches take a second each, by clocks that show nothing else."""
    now = [0.0]
    step = Loop._step

    def step_slowly(self, epoch, last_batch):
        now[0] += last_batch - epoch.n_done
        step(self, epoch, last_batch)

    monkeypatch.setattr(Loop, "_step", step_slowly)
    monkeypatch.setattr(keeper.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(keeper.time, "perf_counter", lambda: now[0])


def test_one_is_written_within_an_epoch_when_its_time_has_come(tmp_path, slow):
    fit(tmp_path, n_epochs=3, every="25s", keep=99, batch_size=1)
    saved = [read_checkpoint(checkpoint_path(tmp_path, n)) for n in checkpoint_numbers(tmp_path)]
    places = [
        60 * each.epochs_done + (each.progress.n_done if each.under_way else 0) for each in saved
    ]
    assert places[-1] == 180 and 7 <= len(places) <= 8
    assert (np.diff(places[:-1]) >= 25).all() and (np.diff(places) <= 27).all()
    assert {each.under_way for each in saved[:-1]} == {True}
    for each in saved:
        assert same(fit(n_epochs=3, batch_size=1, resume=each.path), fit(n_epochs=3, batch_size=1))


def test_an_epoch_is_one_call_of_the_engine_as_long_as_no_time_is_near(tmp_path, monkeypatch):
    calls = []
    t = trainer()
    step = Loop._step
    monkeypatch.setattr(Loop, "_step", lambda *args: (calls.append(args[2]), step(*args))[1])
    t.fit(X, Y, n_epochs=9, callbacks=[Checkpoint(tmp_path, "1h")])
    assert calls[-7:] == [3] * 7  # the first ones find out how fast it is
    assert checkpoint_numbers(tmp_path) == [1]


def test_several_checkpoints_write_into_folders_of_their_own(tmp_path):
    calls = [Checkpoint(tmp_path / "a", every=2), Checkpoint(tmp_path / "b", every=3)]
    fit(n_epochs=4, callbacks=calls)
    last = [call.last_path for call in calls]
    assert [path.name[-13:] for path in last] == ["2.safetensors", "2.safetensors"]
    assert {read_checkpoint(path).epochs_done for path in last} == {4}


@pytest.mark.parametrize("arguments, error, message", [
    (dict(folder=3), TypeError, r"folder must be a path \(str, bytes or PathLike\); got 3"),
    (dict(every=0), ValueError, "every must be at least 1; got 0"),
    (dict(every=2.5), TypeError, "every must be an integer; got 2.5"),
    (dict(every="soon"), TypeError, "every must be a number of epochs, or a time such as '90s'"),
    (dict(every="5 parsecs"), TypeError, "every must be a number of epochs, .* got '5 parsecs'"),
    (dict(every="0min"), ValueError, "every must be finite and more than 0 seconds; got '0min'"),
    (dict(keep=0), ValueError, "keep must be at least 1; got 0"),
], ids=name_of)  # fmt: skip
def test_arguments_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        Checkpoint(**{"folder": "x"} | arguments)


@pytest.mark.parametrize(
    "text, seconds",
    [("90s", 90), ("5min", 300), ("1.5 h", 5400), ("1d", 86400), (".5sec", 0.5), (" 2min ", 120)],
)
def test_times_have_units(text, seconds):
    assert Checkpoint("x", every=text).every_seconds == seconds


# --- Which one is read


def test_a_folder_that_is_empty_or_not_there_begins_and_a_missing_file_is_refused(tmp_path):
    undisturbed = fit()
    assert same(fit(tmp_path / "empty", resume=tmp_path), undisturbed)
    assert same(fit(tmp_path / "new", resume=tmp_path / "new"), undisturbed)
    assert same(fit(resume=os.fsencode(tmp_path / "none")), undisturbed)
    with pytest.raises(FileNotFoundError, match="missing"):
        fit(resume=tmp_path / "missing.safetensors")


@pytest.mark.parametrize("resume", [True, 1, 0, 3.5, ["run"]])
def test_what_is_no_path_is_refused_and_no_open_file_is_closed(resume, tmp_path):
    before = os.fstat(1)
    with pytest.raises(TypeError, match=r"resume must be a path \(str, bytes or PathLike\); got"):
        fit(resume=resume)
    assert os.fstat(1) == before


def test_a_longer_training_goes_on_and_is_the_undisturbed_one(tmp_path):
    fit(tmp_path, n_epochs=3)
    longer = fit(tmp_path, n_epochs=6, resume=tmp_path, seed=9)
    assert same(longer, fit(n_epochs=6))
    assert longer.history.n_epochs == 6 and checkpoint_numbers(tmp_path) == [4, 5, 6]


def test_what_is_complete_is_read_and_not_trained_or_written_again(tmp_path):
    done = fit(tmp_path)
    again = fit(tmp_path, resume=tmp_path, seed=9)
    assert same(done, again) and checkpoint_numbers(tmp_path) == [2, 3, 4]
    assert again.history.n_epochs == 4
    np.testing.assert_array_equal(again.history["costs"], done.history["costs"])


def test_an_older_checkpoint_can_be_named(tmp_path):
    fit(tmp_path)
    resumed = fit(tmp_path, resume=checkpoint_path(tmp_path, 2))
    assert same(resumed, fit()) and checkpoint_numbers(tmp_path) == [4, 5, 6]


def damage(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_damaged_newest_one_is_named_and_the_one_before_it_taken(tmp_path):
    fit(tmp_path)
    damage(checkpoint_path(tmp_path, 4))
    message = r"00000004\.safetensors.*: damaged.*from an older one, .*00000003\.safetensors"
    with pytest.warns(UserWarning, match=message):
        resumed = fit(tmp_path, resume=tmp_path)
    assert same(resumed, fit()) and checkpoint_numbers(tmp_path) == [3, 4, 5]


def test_a_damaged_file_that_is_named_itself_is_refused(tmp_path):
    fit(tmp_path)
    damage(checkpoint_path(tmp_path, 4))
    with pytest.raises(ModelFormatError, match=r"checkpoint-00000004\.safetensors': damaged"):
        fit(resume=checkpoint_path(tmp_path, 4))


def test_a_folder_of_damaged_ones_is_refused(tmp_path):
    fit(tmp_path)
    for number in checkpoint_numbers(tmp_path):
        damage(checkpoint_path(tmp_path, number))
    with pytest.raises(ModelFormatError, match=r"no checkpoint in .* can be read: .*00000004.*da"):
        fit(resume=tmp_path)


def test_a_model_file_is_no_checkpoint_and_a_checkpoint_no_model(tmp_path):
    import fastmlp

    t = fit(tmp_path / "folder")
    with pytest.raises(ModelFormatError, match="a checkpoint holds a run and not a model"):
        fastmlp.load(checkpoint_path(tmp_path / "folder", 4))
    fastmlp.save(t.network, tmp_path / "model")
    with pytest.raises(ModelFormatError, match="kind 'Network' is not known; expected 'Check"):
        fit(resume=tmp_path / "model")


def test_a_folder_with_another_training_is_not_written_into(tmp_path):
    fit(tmp_path)
    before = files(tmp_path)
    for resume in (None, tmp_path / "other"):
        (tmp_path / "other").mkdir(exist_ok=True)
        t = trainer()
        t.fit(X, Y, n_epochs=1)
        weights, states = t.network.parameters.copy(), t.states.copy()
        message = r"already contains checkpoints \(latest: checkpoint-00000004\.safetensors\); pass"
        with pytest.raises(FileExistsError, match=message):
            t.fit(X, Y, callbacks=[Checkpoint(tmp_path)], resume=resume)
        assert np.array_equal(t.network.parameters, weights) and np.array_equal(t.states, states)
        assert t.history.n_epochs == 1
    assert set(files(tmp_path)) == {*before, "other"}


def test_two_trainings_do_not_write_into_one_folder(tmp_path):
    says = r"another run writes its checkpoints there \(this process\); wait for its end, "
    with pytest.raises(BlockingIOError, match=says) as caught:
        fit(n_epochs=1, callbacks=[Checkpoint(tmp_path), Checkpoint(tmp_path)])
    assert caught.value.filename == str(tmp_path)


def test_a_child_of_a_run_does_not_keep_its_folder(tmp_path):
    children = []

    class Fork(Passing):
        def after_epoch(self, trainer):
            if not children:
                children.append(fork_and_stay())

    try:
        fit(tmp_path, callbacks=[Fork()])
        assert same(fit(tmp_path, n_epochs=6, resume=tmp_path), fit(n_epochs=6))
    finally:
        os.kill(children[0], signal.SIGKILL)
        os.waitpid(children[0], 0)


def test_temporary_files_of_killed_processes_are_removed_at_the_next_start(tmp_path):
    stray = tmp_path / ".checkpoint-00000007.safetensors.0123456789abcdef.fastmlp-tmp"
    in_use = tmp_path / ".checkpoint-00000008.safetensors.0123456789abcdef.fastmlp-tmp"
    other = tmp_path / ".model.safetensors.0123456789abcdef.fastmlp-tmp"
    for path in (stray, in_use, other):
        path.write_bytes(b"half a file")
    with open(in_use) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fit(tmp_path)
    assert [name for name in files(tmp_path) if name.startswith(".")] == [in_use.name, other.name]


# --- What goes wrong while one is written


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("step", ["write", "lseek", "fsync", "replace"])
def test_a_fault_is_a_warning_and_leaves_the_files_before_it(step, code, tmp_path, monkeypatch):
    class Fault(Passing):
        def after_epoch(self, trainer):
            if trainer.epochs_done == 3:
                fail_in(patch, step, code)

    with monkeypatch.context() as patch:
        says = rf"and the run continues: \[Errno {code}\] cannot (write|sync|replace).*00003"
        with pytest.warns(UserWarning, match=says) as caught:
            t = fit(tmp_path, n_epochs=5, callbacks=[Fault()])
    assert len(caught) == 1, "every cause is told once"
    assert same(t, fit(n_epochs=5)) and t.history.n_epochs == 5
    kept = checkpoint_numbers(tmp_path)
    assert kept[:2] == [1, 2]
    assert read_newest(tmp_path).epochs_done >= 2
    assert same(fit(tmp_path, n_epochs=5, resume=tmp_path), fit(n_epochs=5))
    assert len(files(tmp_path)) == len(checkpoint_numbers(tmp_path)), "no temporary file is left"


def test_a_fault_at_the_end_of_all_names_step_and_file(tmp_path, monkeypatch):
    real = os.close

    def failing(descriptor):
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        real(descriptor)
        if is_file:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", failing)
        with pytest.raises(OSError, match=r"cannot close the file: Input/output error: .*model"):
            write_atomically(tmp_path / "model", [b"x"])
    assert files(tmp_path) == ["model"]


def test_the_next_file_that_is_due_is_tried_again(tmp_path, monkeypatch):
    class Fault(Passing):
        def after_epoch(self, trainer):
            if trainer.epochs_done == 2:
                fail_in(patch, "fsync", errno.ENOSPC)
            if trainer.epochs_done == 4:
                patch.undo()

    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="No space left"):
        fit(tmp_path, n_epochs=5, keep=9, callbacks=[Fault()])
    epochs = [read_newest(tmp_path / name).epochs_done for name in files(tmp_path)]
    assert epochs == [1, 4, 5]


def test_a_state_that_grows_ends_no_run_and_large_lists_are_arrays(tmp_path):
    class Grow(EpochCallback):
        def __init__(self):
            self.numbers, self.counts, self.pairs = [], [], []

        def state(self):
            return {"numbers": self.numbers, "counts": self.counts, "pairs": self.pairs}

        def restore(self, trainer, state):
            self.numbers, self.counts, self.pairs = (
                state["numbers"],
                state["counts"],
                state["pairs"],
            )

        def after_epoch(self, trainer):
            self.numbers = [0.1] * 400_000
            self.counts = list(range(400_000))
            self.pairs = [[1, 2.5]] * 200_000

    fit(tmp_path, callbacks=[Grow()], n_epochs=1)
    assert (tmp_path / files(tmp_path)[0]).stat().st_size < 10 << 20
    grown = Grow()
    fit(resume=tmp_path, callbacks=[grown], n_epochs=1)
    assert grown.numbers == [0.1] * 400_000 and grown.counts == list(range(400_000))
    assert grown.pairs == [[1, 2.5]] * 200_000


def test_a_state_that_grows_beyond_all_limits_is_a_warning(tmp_path):
    class Grow(EpochCallback):
        size = 1

        def state(self):
            return {"lists": [[]] * self.size}

        def after_epoch(self, trainer):
            self.size = 600_000

    with pytest.warns(UserWarning, match=r"run continues: .* 60\d{4} lists and objects, allo"):
        t = fit(tmp_path, callbacks=[Grow()], n_epochs=2)
    assert t.history.n_epochs == 2
    with pytest.raises(ModelFormatError, match="lists and objects, allowed"):
        grown = Grow()
        grown.after_epoch(None)
        fit(tmp_path / "first", callbacks=[grown])


@pytest.mark.parametrize("step", ["open", "mkdir"])
def test_a_folder_that_cannot_be_written_is_an_error_before_the_training(
    step, tmp_path, monkeypatch
):
    t = trainer()
    before = t.network.parameters.copy()
    fail_in(monkeypatch, step, errno.EROFS, after={"open": 1, "mkdir": 0}[step])
    with pytest.raises(OSError, match="Read-only file system"):
        t.fit(X, Y, callbacks=[Checkpoint(tmp_path / "new", every="1h")])
    np.testing.assert_array_equal(t.network.parameters, before)


def test_a_relative_folder_is_that_of_the_beginning_wherever_the_run_goes(tmp_path, monkeypatch):
    class Go(Passing):
        def after_epoch(self, trainer):
            (tmp_path / "elsewhere").mkdir(exist_ok=True)
            os.chdir(tmp_path / "elsewhere")

    monkeypatch.chdir(tmp_path)
    checkpoint = Checkpoint("run", 1)
    trainer().fit(X, Y, n_epochs=3, callbacks=[Go(), checkpoint])
    assert checkpoint_numbers(tmp_path / "run") == [1, 2, 3]
    assert files(tmp_path / "elsewhere") == [] and checkpoint.last_path.is_file()
    monkeypatch.chdir(tmp_path)
    assert same(fit(resume="run"), fit())


def test_a_folder_that_cannot_be_made_is_an_error_before_the_training(tmp_path):
    (tmp_path / "file").write_text("")
    t = trainer()
    before = t.network.parameters.copy()
    with pytest.raises(OSError, match="file"):
        t.fit(X, Y, callbacks=[Checkpoint(tmp_path / "file" / "folder")])
    np.testing.assert_array_equal(t.network.parameters, before)


# --- Every byte counts


@pytest.fixture(scope="module")
def smallest(tmp_path_factory):
    """A checkpoint of at most 4 KiB."""
    folder = tmp_path_factory.mktemp("smallest")
    t = Trainer(Network((1, 1), random_state=0), random_state=0)
    t.fit([[1.0], [2.0]], [[1.0], [0.0]], callbacks=[Checkpoint(folder, 1)])
    path = checkpoint_path(folder, 1)
    assert path.stat().st_size <= 4096
    return path


def test_every_truncation_is_refused(smallest, tmp_path):
    path = tmp_path / "checkpoint"
    path.write_bytes(smallest.read_bytes())
    for size in reversed(range(path.stat().st_size)):
        os.truncate(path, size)
        with pytest.raises(ModelFormatError):
            read_newest(path)


@pytest.mark.parametrize("n_bits", BITS_OF_A_BYTE)
def test_flipped_bits_of_every_byte_are_refused(n_bits, smallest, tmp_path):
    path = tmp_path / "checkpoint"
    path.write_bytes(smallest.read_bytes())
    read_newest(path)  # as it is, it can be read
    accepted = []
    for place in damaged_in_place(path, n_flips=n_bits):
        try:
            read_newest(path)
        except ModelFormatError:
            pass
        else:
            accepted.append(place)
    assert accepted == []


# --- Forged ones have a right checksum: the other checks stand without it


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """Document and arrays of a checkpoint within an epoch, with a callback that remembers."""
    folder = tmp_path_factory.mktemp("honest")

    class Stop(EpochCallback):
        def settings(self):
            return None

        def after_epoch(self, trainer):
            if trainer.epochs_done == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(folder, every="1h", callbacks=[EarlyStopping("loss"), Stop()])
    return taken_apart(checkpoint_path(folder, 1).read_bytes())


def nested(document, names, value):
    """A copy of a document with another value under these names; without them for `...`."""
    name, *rest = names
    changed = document.copy()
    changed[name] = nested(document[name], rest, value) if rest else value
    if changed[name] is ...:
        del changed[name]
    return changed


@pytest.mark.parametrize(
    "names, value, message",
    [
        (["solver"], "newton", "'solver' must be one of epochs, lbfgs"),
        (["solver"], ..., "'solver' is missing"),
        (["more"], 1, "unknown names: 'more'"),
        (["owner", "name"], 3, "'name' must be a string"),
        (["owner", "state"], {"random_state": {"exec": "x"}}, "'exec' is no type of a value"),
        (["position", "epochs_done"], -1, "'epochs_done' must be from 0"),
        (["position", "learning_rate"], -1.0, "'learning_rate' must be finite and at least 0"),
        (["position", "generator"], None, "'generator' must be a Generator"),
        (["position", "metrics"], {"cost": "high"}, "'cost' must be a number"),
        (["position", "under_way"], False, "'under_way' and 'progress' do not fit"),
        (["progress"], None, "'under_way' and 'progress' do not fit"),
        (["progress", "n_steps_before"], 2**63 - 1, r"'n_steps_before' must be from 0 to 2\^62"),
        (["progress", "batches_done"], 4, "more batches are done than there are"),
        (["progress", "order_seed"], "-1", "'order_seed' must be a number from 0"),
        (["progress", "dropout_seed"], str(2**64), "'dropout_seed' must be a number from 0"),
        (["progress", "dropout_seed"], 7, "'dropout_seed' must be a string"),
        (["callbacks"], {}, "'callbacks' must be a list"),
        (["callbacks"], [[]], "'callbacks' must be a list, each an object"),
        (["data"], [], "'data' must be an object"),
    ],
)
def test_forged_documents_are_refused(names, value, message, honest, tmp_path):
    document, arrays = honest
    path = tmp_path / "forged"
    path.write_bytes(forge(nested(document, names, value), arrays))
    with pytest.raises(ModelFormatError, match=message) as caught:
        read_newest(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "name, array, message",
    [
        ("epoch.measures", np.zeros((4, 7)), "has an epoch of 7 batches"),
        ("epoch.measures", np.zeros((3, 3)), "'epoch.measures' must be float64"),
        ("epoch.measures", np.full((4, 3), np.nan), "'epoch.measures' has values that are NaN"),
        ("optimizer.states", np.zeros((1, 34), np.float32), "'optimizer.states' must have shape"),
        ("optimizer.states", np.zeros((2, 5), np.float32), "'optimizer.states' must be float32"),
        (
            "callbacks.1.best_parameters",
            np.zeros(3, np.float32),
            "the state of EarlyStopping cannot",
        ),
        ("callbacks.0.costs", np.zeros(3), "the state of HistoryRecorder cannot be restored"),
        ("callbacks.0.costs", None, "'callbacks.0.costs' is missing"),
        ("callbacks.7.x", np.zeros(3), "unknown arrays: 'callbacks.7.x'"),
    ],
)
def test_forged_arrays_are_refused(name, array, message, honest, tmp_path):
    document, arrays = honest
    forged = {key: value for key, value in {**arrays, name: array}.items() if value is not None}
    path = tmp_path / "forged"
    path.write_bytes(forge(document, forged))
    t = trainer()
    before = t.network.parameters.copy()
    with pytest.raises(ModelFormatError, match=message):
        t.fit(X, Y, n_epochs=4, callbacks=[EarlyStopping("loss")], resume=path)
    np.testing.assert_array_equal(t.network.parameters, before)


# --- What may go on from it


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(l2=0.5), "l2 was 0.0, is now 0.5"),
        (dict(batch_size=30), "batch_size was 20, is now 30"),
        (dict(optimizer="sgd"), r"optimizer was 'adam', is now 'one_step'; optimizer's n"),
        (dict(learning_rate=0.02), "learning_rate was 0.01, is now 0.02"),
        (dict(x=X + 1), r"X was float32 \(60, 5\) with SHA-256 \w{12}\.\.\., is now float32 "),
        (dict(x=X[:40], y=Y[:40]), r"X was .*\(60, 5\) .*, is now float32 \(40, 5\) .*; Y was f"),
        (dict(y=1 - Y), "00004.safetensors': Y was float32"),
        (dict(data=dict(sample_weight=np.ones(60))), "sample_weight was None, is now float32"),
        (dict(data=dict(validation_data=(X, Y))), "X_val was None, is now .*; Y_val was None"),
        (dict(data=dict(measure_train=True)), "measure_train was False, is now True"),
        (dict(n_epochs=3), "number of epochs was at least 4, is now 3"),
        (dict(callbacks=[EarlyStopping("loss")]), "callbacks was none, is now EarlyStopping"),
        (dict(engine="numpy"), "engine was 'native', is now 'numpy'"),
        (
            dict(random_state=np.random.Generator(np.random.SFC64(0))),
            "random_state was 'PCG64', is now 'SFC64'",
        ),
    ],
    ids=name_of,
)
def test_another_training_is_refused_and_the_difference_named(change, message, tmp_path):
    fit(tmp_path)
    calls, n_epochs = change.pop("callbacks", []), change.pop("n_epochs", 6)
    x, y, data = change.pop("x", X), change.pop("y", Y), change.pop("data", {})
    t = trainer(7, **change)
    t.fit(X, Y)
    before, states = t.network.parameters.copy(), t.states.copy()
    with pytest.raises(ResumeError, match=message) as caught:
        t.fit(x, y, n_epochs=n_epochs, callbacks=calls, resume=tmp_path, **data)
    assert caught.value.path == str(checkpoint_path(tmp_path, 4)) in str(caught.value)
    np.testing.assert_array_equal(t.network.parameters, before)
    np.testing.assert_array_equal(t.states, states)
    assert t.history.n_epochs == t.epochs_done == 1
    assert isinstance(caught.value, ValueError)


def test_other_widths_are_named(tmp_path):
    fit(tmp_path)
    t = Trainer(Network((5, 6, 2)), learning_rate=0.01, batch_size=20, optimizer="adam")
    with pytest.raises(ResumeError, match=r"sizes was \(5, 4, 2\), is now \(5, 6, 2\)"):
        t.fit(X, Y, n_epochs=4, resume=tmp_path)


def test_a_schedule_that_was_laid_out_for_so_many_epochs_cannot_become_longer(tmp_path):
    fit(tmp_path, schedule="cosine")
    assert same(fit(resume=tmp_path, schedule="cosine"), fit(schedule="cosine"))
    with pytest.raises(ResumeError, match=r"epochs of the schedule 'cosine' was 4, is now 5"):
        fit(resume=tmp_path, schedule="cosine", n_epochs=5)


def test_settings_of_callbacks_are_compared(tmp_path):
    fit(tmp_path, callbacks=[EarlyStopping("loss", patience=3)])
    with pytest.raises(ResumeError, match=r"EarlyStopping\.patience was 3, is now 4"):
        fit(resume=tmp_path, callbacks=[EarlyStopping("loss", patience=4)])


def test_a_training_that_a_callback_has_ended_stays_ended(tmp_path):
    def stop(trainer):
        return trainer.epochs_done == 2

    ended = fit(tmp_path, callbacks=[stop])
    again = fit(resume=tmp_path, callbacks=[stop], seed=3)
    assert same(ended, again) and again.history.n_epochs == 2


def test_a_training_whose_time_was_over_goes_on_with_more_of_it_or_without_a_limit(tmp_path):
    short = fit(tmp_path, callbacks=[TimeBudget(1e-9)])
    assert short.history.n_epochs == 1
    for callbacks in ([TimeBudget("1h")], []):
        assert same(fit(resume=tmp_path, callbacks=callbacks), fit())


def test_a_rate_that_a_callback_has_changed_is_no_difference_in_the_same_process(tmp_path):
    class Halve(EpochCallback):
        def before_epoch(self, trainer):
            trainer.learning_rate /= 2

    expected = fit(callbacks=[Halve()])
    t = trainer()
    t.fit(X, Y, n_epochs=2, callbacks=[Halve(), Checkpoint(tmp_path)])
    t.fit(X, Y, n_epochs=4, callbacks=[Halve(), Checkpoint(tmp_path)], resume=tmp_path)
    assert same(t, expected) and t.learning_rate == 0.01 / 16


def test_other_arithmetic_is_told_but_not_refused(tmp_path, monkeypatch):
    fit(tmp_path, n_epochs=2)
    monkeypatch.setattr("fastmlp.engine.environment.processor_name", lambda: "Z80")
    message = r"different environment; .* last bits: arithmetic\.processor was .*, is now 'Z80'"
    with pytest.warns(UserWarning, match=message):
        fit(resume=tmp_path)


# --- Other callbacks


def test_figures_and_logs_may_come_and_go_and_a_resumed_figure_has_the_earlier_epochs(tmp_path):
    first, second = LivePlot(), LivePlot()
    fit(tmp_path, n_epochs=3, callbacks=[first])
    assert same(fit(resume=tmp_path, n_epochs=5, callbacks=[second]), fit(n_epochs=5))
    assert same(fit(resume=tmp_path, n_epochs=5), fit(n_epochs=5))
    assert second.progress.n_epochs == 5
    np.testing.assert_array_equal(second.progress.train_cost[:3], first.progress.train_cost)
    fresh = tmp_path / "fresh"
    fit(fresh, n_epochs=3)
    assert same(fit(resume=fresh, n_epochs=5, callbacks=[LivePlot()]), fit(n_epochs=5))


def test_a_training_of_something_else_is_refused():
    class Unsaved:
        can_be_saved = False

    with pytest.raises(TypeError, match="a MyANN or an estimator; got one of a Unsaved"):
        Checkpoint("x").before_training(Unsaved())


# --- Callbacks of one's own


class Memory(EpochCallback):
    """Remembers every cost, as a list that grows, and an array that is replaced."""

    def __init__(self, stop_at=None):
        self.stop_at = stop_at

    def before_training(self, trainer):
        self.costs, self.total = [], np.zeros(2)

    def after_epoch(self, trainer):
        self.costs.append(trainer.metrics["cost"])
        self.total = self.total + len(self.costs)
        if trainer.epochs_done == self.stop_at:
            raise SystemExit

    def state(self):
        n = len(self.costs)
        return {"costs": lambda: self.costs[:n], "total": self.total, "pair": (n, {"n": None})}

    def restore(self, trainer, state):
        assert state["pair"] == (len(state["costs"]), {"n": None})
        self.costs, self.total = state["costs"], state["total"]


def test_what_own_callbacks_remember_is_saved_and_an_interrupted_one_is_told_again(tmp_path):
    with pytest.raises(SystemExit):
        fit(tmp_path, every="1h", callbacks=[Memory(), Memory(stop_at=2)])
    saved = read_newest(tmp_path)
    assert (saved.epochs_done, saved.under_way, saved.progress.n_done) == (1, True, 3)
    first, second, alone = Memory(), Memory(), Memory()
    resumed = fit(resume=tmp_path, callbacks=[first, second])
    assert same(resumed, fit(callbacks=[alone]))
    assert first.costs == second.costs == alone.costs and len(alone.costs) == 4
    np.testing.assert_array_equal(first.total, alone.total)


def test_a_state_that_cannot_be_saved_is_refused_before_the_training(tmp_path):
    class Open(EpochCallback):
        def state(self):
            return {"file": sys.stdout}

    t = trainer()
    before = t.network.parameters.copy()
    with pytest.raises(TypeError, match=r"Open\.state\(\)\['file'\]: a \w+ cannot be saved in a "):
        t.fit(X, Y, callbacks=[Open(), Checkpoint(tmp_path)])
    np.testing.assert_array_equal(t.network.parameters, before)
    assert files(tmp_path) == []


def test_a_generator_of_an_unknown_kind_is_refused_before_the_training(tmp_path):
    class Own(np.random.PCG64):
        @property
        def state(self):
            return super().state | {"bit_generator": "Own"}

    with pytest.raises(TypeError, match="a Own generator cannot be saved"):
        fit(tmp_path, random_state=np.random.Generator(Own(0)))


def test_an_interrupted_training_that_cannot_be_saved_says_so_and_is_still_interrupted(
    tmp_path, monkeypatch
):
    class Press(EpochCallback):
        def after_epoch(self, trainer):
            raise KeyboardInterrupt

    fail_in(monkeypatch, "fsync", errno.ENOSPC)
    with (
        pytest.warns(UserWarning, match="could not be saved: .*No space left.*; there is none"),
        pytest.raises(KeyboardInterrupt),
    ):
        fit(tmp_path, callbacks=[Press()])


def test_a_state_that_can_no_longer_be_saved_keeps_no_interruption_from_its_end(tmp_path):
    class Collect(EpochCallback):
        def before_training(self, trainer):
            self.seen = []

        def after_epoch(self, trainer):
            self.seen = [trainer]
            if trainer.epochs_done == 2:
                raise KeyboardInterrupt

        def state(self):
            return {"seen": self.seen}

    message = r"could not be saved: Collect\.state\(\)\['seen'\]: a Trainer cannot be saved"
    with pytest.warns(UserWarning, match=message), pytest.raises(KeyboardInterrupt):
        fit(tmp_path, every="1h", callbacks=[Collect()])


def test_a_callback_that_cannot_use_its_state_is_named(tmp_path):
    class Sum(Memory):
        def restore(self, trainer, state):
            self.costs = state["total"].no_such_attribute

    fit(tmp_path, callbacks=[Sum()])
    with pytest.raises(ModelFormatError, match=r"the state of Sum cannot be restored: Attribute"):
        fit(resume=tmp_path, n_epochs=6, callbacks=[Sum()])


# --- At every line


class PressedAt:
    """Ctrl-C at line number n of the package, counted while it is the trace function.

    The end of a with block and of a finally that closes a file are left out: Python sees no signal
    before they are done, and a trace function that raises there would keep a lock locked.
    """

    def __init__(self, n):
        self.left = n
        self.inside = set()

    def __call__(self, frame, event, _):
        if "/fastmlp/" not in frame.f_code.co_filename:
            return None
        if frame.f_lineno == frame.f_code.co_firstlineno:  # a new one, and no generator going on
            self.inside = {place for place in self.inside if place[0] != id(frame)}
        return self.line

    def line(self, frame, event, _):
        if event == "line" and not self.is_leaving(frame):
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self.line

    def is_leaving(self, frame):
        if "__del__" in (frame.f_code.co_name, frame.f_back.f_code.co_name):
            return True  # where Python prints exceptions and goes on
        text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip()
        if not text.startswith("with "):
            return text.startswith("os.close(")
        self.inside ^= {(id(frame), frame.f_lineno)}
        return (id(frame), frame.f_lineno) not in self.inside


def interrupted_at_line(n, folder):
    """Train, interrupted at line n; whether it came to that."""
    traced, before = PressedAt(n), sys.gettrace()
    sys.settrace(traced)
    try:
        fit(folder, n_epochs=3, every="1h", callbacks=[EarlyStopping("loss"), Memory()])
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def lines_of_a_training(folder):
    traced, before = PressedAt(-1), sys.gettrace()
    sys.settrace(traced)
    fit(folder, n_epochs=3, every="1h", callbacks=[EarlyStopping("loss"), Memory()])
    sys.settrace(before)
    return -1 - traced.left


def check_lines(lines, tmp_path):
    memory = Memory()
    expected = fit(n_epochs=3, callbacks=[EarlyStopping("loss"), memory])
    n_saved = n_over = 0
    for n in lines:
        folder, again = tmp_path / str(n), Memory()
        folder.mkdir()
        n_over += not interrupted_at_line(int(n), folder)
        n_saved += len(checkpoint_numbers(folder))
        resumed = fit(folder, n_epochs=3, resume=folder, callbacks=[EarlyStopping("loss"), again])
        assert same(resumed, expected) and again.costs == memory.costs, f"line {n}"
        assert resumed.history.n_epochs == 3
    assert n_over <= len(lines) / 20  # how many lines there are depends a little on the speed
    return n_saved


def test_ctrl_c_at_any_line_leaves_what_the_undisturbed_training_comes_out_of(tmp_path):
    n_lines = lines_of_a_training(tmp_path / "all")
    lines = np.random.default_rng(0).choice(np.arange(1, n_lines + 1), 40, replace=False)
    assert check_lines(lines, tmp_path) > 20


def test_ctrl_c_where_a_training_leaves_its_folder_does_not_keep_it_locked(tmp_path):
    n_lines = lines_of_a_training(tmp_path / "all")
    check_lines(range(n_lines - 60, n_lines - 3), tmp_path)


@pytest.mark.soak
def test_ctrl_c_at_every_line(tmp_path):
    n_lines = lines_of_a_training(tmp_path / "all")
    assert check_lines(range(1, n_lines + 1), tmp_path) > n_lines / 2
