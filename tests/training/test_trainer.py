"""Trainer: bookkeeping, learning rates, stopping, divergence, Ctrl-C, bad arguments."""

from __future__ import annotations

import copy
import pickle
import signal
import threading
import time

import numpy as np
import pytest
from cases import make_classes
from scipy import sparse

from fastmlp import DivergenceError, Network, Trainer
from fastmlp.callbacks import EpochCallback
from fastmlp.data import ArraySource
from fastmlp.engine.rows import Rows, check_inputs
from fastmlp.losses import check_pair
from fastmlp.schedules import SCHEDULES


def learnable(n_rows=400):
    """Two overlapping Gaussian classes."""
    x, y = make_classes(n_rows, 5, 2)
    return x + 2 * y[:, :1], y


def test_training_learns_and_reports_what_it_did():
    x, y = learnable()
    trainer = Trainer(
        Network((5, 8, 2), random_state=0), learning_rate=0.002, batch_size=50, random_state=0
    )
    history = trainer.fit(x, y, n_epochs=30, validation_data=(x[:100], y[:100]), measure_train=True)
    assert history["costs"].shape == history["errors"].shape == (30, 8)
    assert history["train_accuracy"][-1] > 0.9 > history["batch_accuracy"][0]
    assert history["train_cost"][-1] < history["train_cost"][0]
    assert history["train_accuracy"][-1] == trainer.evaluate(x, y).accuracy
    assert history["val_cost"][-1] == trainer.evaluate(x[:100], y[:100]).cost
    assert (history["epoch_seconds"] > 0).all()
    assert trainer.history is history


def test_what_is_not_measured_is_nan():
    history = Trainer(Network((5, 2))).fit(*learnable())
    for name in ("train_cost", "train_accuracy", "val_cost", "val_accuracy"):
        assert np.isnan(history[name]).all()


def test_batch_accuracy_is_the_mean_over_rows_also_with_a_short_last_batch():
    x, y = learnable(130)
    network = Network((5, 2), random_state=0)
    expected = Trainer(network).evaluate(x, y).accuracy
    history = Trainer(network, learning_rate=0.0, batch_size=50).fit(x, y)
    assert history["batch_accuracy"][0] == pytest.approx(expected)


def test_batch_size_beyond_the_data_means_all_rows():
    x, y = learnable(100)
    results = []
    for batch_size in (100, 101, 2**70):
        network = Network((5, 2), random_state=0)
        history = Trainer(network, batch_size=batch_size, shuffle=False).fit(x, y, n_epochs=2)
        assert history["costs"].shape == (2, 1)
        results.append(network.parameters)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


class Assigns(EpochCallback):
    """Sets an attribute of the trainer after the first epoch."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def after_epoch(self, training):
        setattr(training, self.name, self.value)


@pytest.mark.parametrize("name, before, after", [("batch_size", 50, 73), ("steps_per_epoch", 2, 3)])
@pytest.mark.parametrize("window_rows", [None, 150])
def test_batches_do_not_change_during_a_fit(name, before, after, window_rows):
    """History and windows are made for them; weights and history of the epochs before are kept."""
    x, y = learnable()
    trainer = Trainer(
        Network((5, 2), random_state=0), random_state=0, **{"batch_size": 50, name: before}
    )
    rows = (x, y) if window_rows is None else (ArraySource(x, y),)
    message = rf"{name} cannot change during a fit, from {before} to {after}; .*reset=False"
    with pytest.raises(ValueError, match=message):
        trainer.fit(*rows, n_epochs=3, callbacks=[Assigns(name, after)], window_rows=window_rows)
    assert trainer.epochs_done == 1
    n_before = trainer.history["costs"].shape[1]
    history = trainer.fit(*rows, n_epochs=2, reset=False, window_rows=window_rows)
    assert history["costs"].shape[1] != n_before
    assert trainer.epochs_done == 3


def test_single_output_counts_both_sides_of_one_half():
    network = Network((1, 1), random_state=0)
    network.weights[0][...] = [[0.0, 1.0]]
    result = Trainer(network).evaluate([[-1.0], [2.0], [3.0]], [[0.0], [1.0], [0.0]])
    assert result.accuracy == pytest.approx(2 / 3)


def test_shuffling_uses_every_row_once_and_is_reproducible():
    x, y = learnable()
    results = []
    for seed in (3, 3, 4):
        network = Network((5, 2), random_state=0)
        trainer = Trainer(network, batch_size=37, random_state=seed)
        trainer.fit(x, y, n_epochs=2)
        assert sorted(trainer.order) == list(range(400))
        results.append(network.parameters)
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


@pytest.mark.parametrize("engine", ["native", "numpy"])
@pytest.mark.parametrize("width", [7, 150])
@pytest.mark.parametrize("penalty_scale", ["per_sample", "per_weight"])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_chosen_rows_are_trained_on_as_if_there_were_no_others(
    engine, width, penalty_scale, container
):
    x, y = make_classes(101, 6, 3)
    chosen = np.random.default_rng(0).permutation(101)[:60]
    weights = np.random.default_rng(1).uniform(size=101)
    for shuffle, batch_size in ((True, 16), (False, 16), (True, 60), (False, 101)):
        options = dict(
            learning_rate=0.05,
            momentum=0.5,
            l2=0.5,
            penalty_scale=penalty_scale,
            reduction="mean",
            shuffle=shuffle,
            batch_size=batch_size,
            engine=engine,
        )
        some, alone = (
            Trainer(
                Network((6, width, 3), dtype="float64", random_state=0), **options, random_state=2
            )
            for _ in range(2)
        )
        rows = Rows(check_inputs("X", container(x), np.dtype(float), n_columns=6), y, weights)
        part = check_inputs("X", container(x[chosen]), np.dtype(float), n_columns=6)
        some.train(rows, row_index=chosen, n_epochs=3)
        alone.train(Rows(part, y[chosen], weights[chosen]), n_epochs=3)
        for a, b in zip(some.network.weights, alone.network.weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        assert some.metrics["cost"] == pytest.approx(alone.metrics["cost"])
        assert some.last_epoch.batch_rows.sum() == 60
        assert some.order is None or set(some.order) == set(chosen)


def test_second_fit_starts_with_the_initial_rate_and_without_memory():
    x, y = learnable()
    trainer = Trainer(
        Network((5, 2)), learning_rate=0.01, schedule="power", decay=1.0, momentum=0.9
    )
    first = trainer.fit(x, y, n_epochs=3)["learning_rates"]
    memory = trainer.memory.copy()
    second = trainer.fit(x, y, n_epochs=3)["learning_rates"]
    np.testing.assert_array_equal(first, second)
    trainer.fit(x, y, n_epochs=0)
    assert memory.any()
    assert not trainer.memory.any()


@pytest.mark.parametrize(
    "rule, eta0, decay, epochs, expected",
    [
        ("cumulative", 0.001, 1e-6, 35, 0.00099940518),
        ("cumulative", 0.001, 1e-5, 800, 4.1274e-5),
        ("cumulative", 1e-4, 1e-6, 1000, 6.0693e-5),
        ("power", 0.001, 1e-6, 35, 0.00099996600),
        ("exponential", 0.5, 0.1, 11, 0.5 * np.exp(-1.0)),
        ("constant", 0.5, 0.1, 11, 0.5),
    ],
)
def test_learning_rates_are_the_published_ones(rule, eta0, decay, epochs, expected):
    assert SCHEDULES[rule](eta0, decay, epochs - 1) == pytest.approx(expected, rel=1e-5)


def test_published_rate_after_35_epochs_to_all_digits():
    assert f"{SCHEDULES['cumulative'](0.001, 1e-6, 34):.11f}" == "0.00099940518"


def test_rate_in_the_history_is_the_rate_that_was_used():
    x, y = learnable(10)
    network = Network((5, 2), dtype="float64", random_state=0)
    before = network.parameters.copy()
    full = Trainer(network, learning_rate=1.0, batch_size=10).fit(x, y)
    step = network.parameters - before
    network.parameters[...] = before
    trainer = Trainer(network, learning_rate=1.0, schedule="power", decay=3.0, batch_size=10)
    trainer.fit(x, y, n_epochs=1)
    np.testing.assert_allclose(network.parameters - before, step)
    after_one = network.parameters.copy()
    history = trainer.fit(x, y, n_epochs=0)
    network.parameters[...] = before
    history = trainer.fit(x, y, n_epochs=2)
    assert history["learning_rates"].tolist() == [1.0, 0.25]
    second_step = np.abs(network.parameters - after_one).max()
    assert second_step < 0.5 * np.abs(step).max()
    assert full.n_epochs == 1


@pytest.mark.parametrize("kind", [bool, np.bool_])
@pytest.mark.parametrize("as_hook", [False, True])
def test_callback_that_returns_true_ends_the_training(kind, as_hook):
    seen = []

    def stop_after_two(trainer):
        seen.append(trainer.history.n_epochs)
        return kind(trainer.history.n_epochs == 2)

    class Hook(EpochCallback):
        def after_epoch(self, training):
            return stop_after_two(training)

    history = Trainer(Network((5, 2))).fit(
        *learnable(), n_epochs=9, callbacks=[Hook() if as_hook else stop_after_two]
    )
    assert seen == [1, 2]
    assert history.n_epochs == 2


@pytest.mark.parametrize("engine", ["native", "numpy"])
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid:RuntimeWarning")
def test_divergence_names_place_and_rate_and_keeps_finite_weights(engine):
    x, y = learnable()
    network = Network((5, 4, 2), output="identity", random_state=0)
    trainer = Trainer(network, learning_rate=10.0, batch_size=100, engine=engine)
    with pytest.raises(DivergenceError, match=r"epoch \d+, batch \d+ .* at learning rate 10") as e:
        trainer.fit(x, y, n_epochs=500)
    assert np.isfinite(network.parameters).all()
    assert trainer.history.n_epochs == e.value.epoch
    assert 0 <= e.value.batch < 4
    assert e.value.learning_rate == 10.0


def test_step_into_overflow_is_undone():
    """The gradient is finite, but the rate carries the weights out of float32."""
    x, y = learnable()
    network = Network((5, 4, 2), random_state=0)
    before = network.parameters.copy()
    with pytest.raises(DivergenceError, match="epoch 0, batch 0"):
        Trainer(network, learning_rate=1e38, batch_size=100, n_threads=2).fit(x, y)
    np.testing.assert_array_equal(network.parameters, before)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("batch", [0, 1, 2])
def test_after_an_overflow_the_same_trainer_learns_as_a_new_one(batch, optimizer):
    """Deltas overflow in one batch while the loss is finite: 1e19 * 1e25 is beyond float32."""
    x, y = make_classes(50, 5, 3)
    network = Network((5, 7, 3), activation="identity", output="identity", random_state=0)
    good = network.parameters.copy()
    options = dict(batch_size=10, shuffle=False, optimizer=optimizer)
    trainer = Trainer(network, learning_rate=0.0, **options)
    network.weights[0][...] = 0
    network.weights[1][:, 0], network.weights[1][:, 1:] = 0, 1e25
    targets = np.zeros_like(y)
    targets[10 * batch : 10 * batch + 10] = 1e19
    with pytest.raises(DivergenceError, match=f"epoch 0, batch {batch} "):
        trainer.fit(x, targets)

    results = []
    for again in (Trainer(network, learning_rate=0.001, **options), trainer):
        network.parameters[...] = good
        again.learning_rate = 0.001
        again.fit(x, y)
        results.append(network.parameters.copy())
    np.testing.assert_array_equal(*results)


def test_ctrl_c_is_noticed_within_an_epoch_and_leaves_finite_weights():
    x, y = make_classes(200_000, 20, 3)
    network = Network((20, 1000, 1000, 3), random_state=0)
    before = network.parameters.copy()
    trainer = Trainer(network, batch_size=200, learning_rate=1e-6)

    def press():
        """After half a second of work, not of time: other programs may be in the way."""
        begin = time.process_time()
        while time.process_time() - begin < 0.5:
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        threading.Thread(target=press).start()
        trainer.fit(x, y, n_epochs=1000)
    assert trainer.history.n_epochs == 0, "an epoch is seconds of work; it was not waited for"
    assert np.isfinite(network.parameters).all()
    assert not np.array_equal(network.parameters, before)
    trainer.fit(x[:1000], y[:1000], n_epochs=1)


@pytest.mark.parametrize("schedule", ["constant", "power", "cosine"])
@pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copied_trainer_goes_on_like_the_original(copy_of, schedule):
    x, y = learnable()
    options = dict(batch_size=50, random_state=0, schedule=schedule, decay=0.1, warmup=1)
    trainer = Trainer(Network((5, 8, 2), random_state=0), **options)
    trainer.fit(x, y, n_epochs=2)
    other = copy_of(trainer)
    trainer.fit(x, y, n_epochs=2)
    other.fit(x, y, n_epochs=2)
    assert other.network is not trainer.network
    np.testing.assert_array_equal(other.network.parameters, trainer.network.parameters)


def trainer_with(**options):
    return Trainer(Network((5, 2)), **options)


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(loss="hinge"), ValueError, "loss must be one of 'log_loss', 'cross_entropy'"),
        (
            dict(learning_rate=-1),
            ValueError,
            "learning_rate must be a finite number, at least 0; got",
        ),
        (dict(learning_rate=np.nan), ValueError, "learning_rate must be a finite number"),
        (dict(learning_rate="fast"), TypeError, "learning_rate must be a number; got 'fast'"),
        (dict(schedule="step"), ValueError, "schedule must be one of 'cumulative', 'power'"),
        (dict(decay=-0.1), ValueError, "decay must be a finite number, at least 0; got -0.1"),
        (dict(momentum=1.5), ValueError, "momentum must be a finite number, 0 to 1; got 1.5"),
        (dict(momentum_rule="heavy"), ValueError, "momentum_rule must be one of 'one_step'"),
        (dict(l1=-1), ValueError, "l1 must be a finite number, at least 0"),
        (dict(l2=np.inf), ValueError, "l2 must be a finite number, at least 0"),
        (dict(legacy_l1_cost=1), TypeError, "legacy_l1_cost must be True or False; got 1"),
        (
            dict(penalty_scale="x"),
            ValueError,
            "penalty_scale must be one of 'per_batch', 'per_sample', 'per_weight'; got 'x'",
        ),
        (dict(reduction="x"), ValueError, "reduction must be one of 'sum', 'mean'; got 'x'"),
        (dict(batch_size=0), ValueError, "batch_size must be at least 1; got 0"),
        (dict(batch_size=True), TypeError, "batch_size must be an integer; got True"),
        (dict(steps_per_epoch=0), ValueError, "steps_per_epoch must be at least 1; got 0"),
        (dict(shuffle="yes"), TypeError, "shuffle must be True or False; got 'yes'"),
        (dict(n_threads=0), ValueError, "n_threads must be from 1 to 256; got 0"),
        (dict(engine="cuda"), ValueError, "engine must be one of 'native', 'numpy'; got 'cuda'"),
    ],
    ids=str,
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        trainer_with(**options)


@pytest.mark.parametrize("output, loss, reason", [
    ("identity", "log_loss", "use 'sigmoid' or 'softmax', whose outputs lie between 0 and 1"),
    ("identity", "cross_entropy", "use 'softmax', whose outputs sum to 1"),
    ("sigmoid", "cross_entropy", "'sigmoid' goes with 'log_loss'"),
    ("identity", "poisson", "use 'exponential', whose outputs are positive"),
    ("softmax", "huber", "use 'identity'"),
    ("increasing", "squared_error", "use 'sigmoid' or 'softmax' or 'identity' or 'exponential'"),
])  # fmt: skip
def test_invalid_pairs_are_refused_by_name(output, loss, reason):
    with pytest.raises(
        ValueError, match=f"output '{output}' cannot be used with loss '{loss}': .*{reason}"
    ):
        check_pair(output, loss)


def bad_data(**change):
    x, y = learnable(10)
    return dict(X=x, Y=y, n_epochs=1) | change


@pytest.mark.parametrize("change, message", [
    (dict(Y=np.ones((9, 2))), "X and Y must have the same number of rows; got 10 and 9"),
    (dict(Y=np.ones((10, 3))), r"Y must have 2 columns; got shape \(10, 3\)"),
    (dict(Y=np.full((10, 2), 1.5)), r"Y must lie in \[0, 1\] for loss 'log_loss'; got values from"),
    (dict(n_epochs=-1), "n_epochs must be at least 0; got -1"),
    (dict(sample_weight=np.ones(9)), r"sample_weight must have shape \(10,\), one per row"),
    (dict(sample_weight=-np.ones(10)), "sample_weight must not be negative; got -1.0 at row 0"),
    (dict(sample_weight=np.zeros(10)), "must have a positive weight; all 10 are zero"),
    (dict(sample_weight=[np.nan] * 10), "sample_weight must hold finite float32 numbers; found NaN "
                                        "at row 0"),
    (dict(validation_data=(np.ones((3, 5)), np.ones((2, 2)))),
     r"validation_data\[0\] and validation_data\[1\] must have the same"),
], ids=lambda v: v if isinstance(v, str) else "")  # fmt: skip
def test_bad_data_is_named_before_any_training(change, message):
    trainer = trainer_with()
    before = trainer.network.parameters.copy()
    with pytest.raises(ValueError, match=message):
        trainer.fit(**bad_data(**change))
    np.testing.assert_array_equal(trainer.network.parameters, before)


@pytest.mark.parametrize(
    "value, got",
    [
        (np.ones((3, 5)), "ndarray"),
        ((), "tuple of length 0"),
        (True, "bool"),
    ],
)
def test_validation_data_must_be_a_pair(value, got):
    with pytest.raises(TypeError) as error:
        trainer_with().fit(**bad_data(validation_data=value))
    assert str(error.value) == f"validation_data must be a pair (X, y); got {got}"


def test_batches_without_weight_change_nothing_with_means():
    x, y = learnable(100)
    weights = np.r_[np.zeros(50), np.ones(50)]
    network = Network((5, 2), dtype="float64", random_state=0)
    before = network.parameters.copy()
    trainer = Trainer(network, reduction="mean", batch_size=50, shuffle=False, steps_per_epoch=1)
    history = trainer.fit(x, y, sample_weight=weights)
    np.testing.assert_array_equal(network.parameters, before)
    assert history["costs"][0, 0] == 0
