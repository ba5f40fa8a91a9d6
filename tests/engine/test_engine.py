"""The compiled engine against its NumPy twin, finite differences, and itself on more threads."""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
import threading
import tracemalloc

import numpy as np
import pytest
from cases import PAIR_IDS, PAIRS, TOLERANCE, make_classes, relative_difference, train
from processes import PATIENCE_SECONDS

from fastmlp import DivergenceError, Network, Trainer
from fastmlp.engine import _core
from fastmlp.engine.plan import plan_batch
from fastmlp.losses import Loss
from fastmlp.optimizers import SGD, Adam, RMSprop
from fastmlp.reference import engine as _reference_engine
from fastmlp.reference.engine import ReferenceEngine
from fastmlp.reference.updates import penalty
from fastmlp.training.loop import NothingKept

ACTIVATIONS = ["sigmoid", "tanh", "relu"]
RULES = ["one_step", "classical", "nesterov"]
WIDTHS = [1, 2, 15, 16, 17, 70, 129]
BATCH_SIZES = {1: 3, 7: 17, 16: 41, 500: 1203}
"""Batch size and number of rows: two full batches and a ragged third, one row more than none."""


ROUNDS = [0, *(pytest.param(n, marks=pytest.mark.soak) for n in range(1, len(BATCH_SIZES)))]
"""With round 0 a case meets every width, each with one batch size; with all, every pair of both."""


@pytest.mark.parametrize("number", ROUNDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("output, loss", PAIRS, ids=PAIR_IDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_weights_after_three_epochs_agree_with_the_reference(
    activation, output, loss, rule, dtype, number
):
    # Neighboring cases begin with another batch size, so that each setting meets all of them.
    first = ACTIVATIONS.index(activation) + RULES.index(rule) + PAIRS.index((output, loss))
    batch_sizes = list(BATCH_SIZES.items())
    for place, width in enumerate(WIDTHS):
        batch_size, n_rows = batch_sizes[(first + place + number) % len(batch_sizes)]
        x, y = make_classes(n_rows, 13, 4, seed=width)
        options = dict(
            activation=activation,
            output=output,
            loss=loss,
            dtype=dtype,
            learning_rate=0.2 / batch_size,
            momentum=0.5,
            momentum_rule=rule,
            l1=1e-3,
            l2=1e-2,
            batch_size=batch_size,
            n_threads=2,
        )
        sizes = (13, width, 5, 4)
        native, before, record = train("native", sizes, x, y, **options)
        twin, _, expected = train("numpy", sizes, x, y, **options)
        case = f"width {width}, batch size {batch_size}"
        assert relative_difference(native, twin) <= TOLERANCE[dtype], case
        assert relative_difference(native, before) > 1e-3, f"{case}: nothing was learnt"
        for name in ("costs", "errors", "reg_share", "batch_accuracy"):
            np.testing.assert_allclose(record[name], expected[name], rtol=TOLERANCE[dtype] * 10)


@pytest.mark.parametrize("sizes", [(5, 3), (1, 1), (7, 2, 2, 2, 2, 3)], ids=str)
@pytest.mark.parametrize("n_rows", [1, 2, 700])
def test_networks_of_any_depth_agree_with_the_reference(sizes, n_rows):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(n_rows, sizes[0])), rng.uniform(size=(n_rows, sizes[-1]))
    options = dict(learning_rate=0.1 / n_rows, l2=0.1, batch_size=300, activation="tanh")
    native, *_ = train("native", sizes, x, y, **options)
    twin, *_ = train("numpy", sizes, x, y, **options)
    assert relative_difference(native, twin) <= 1e-12


def test_every_simd_level_agrees_with_the_reference(simd_level):
    x, y = make_classes(333, 31, 10)
    for dtype in ("float32", "float64"):
        for output, loss in PAIRS:
            options = dict(
                output=output,
                loss=loss,
                dtype=dtype,
                learning_rate=1e-3,
                momentum=0.9,
                l1=1e-3,
                batch_size=100,
                activation="tanh",
            )
            native, *_ = train("native", (31, 33, 10), x, y, **options)
            twin, *_ = train("numpy", (31, 33, 10), x, y, **options)
            assert relative_difference(native, twin) <= TOLERANCE[dtype]


@pytest.mark.parametrize(
    "option",
    [
        {"penalty_scale": "per_sample"},
        {"penalty_scale": "per_weight"},
        {"reduction": "mean"},
        {"steps_per_epoch": 2},
        {"legacy_l1_cost": True},
        {"momentum": 0.0},
    ],
    ids=str,
)
def test_options_of_the_trainer_agree_with_the_reference(option):
    x, y = make_classes(250, 6, 3)
    options = dict(learning_rate=0.01, momentum=0.3, l1=0.02, l2=0.05, batch_size=100) | option
    native, _, record = train("native", (6, 9, 3), x, y, **options)
    twin, _, expected = train("numpy", (6, 9, 3), x, y, **options)
    assert relative_difference(native, twin) <= 1e-12
    np.testing.assert_allclose(record["costs"], expected["costs"], rtol=1e-12)
    plain, *_ = train(
        "native",
        (6, 9, 3),
        x,
        y,
        learning_rate=0.01,
        momentum=0.3,
        l1=0.02,
        l2=0.05,
        batch_size=100,
    )
    changes_weights = option != {"legacy_l1_cost": True}
    assert (relative_difference(native, plain) > 1e-6) == changes_weights


@pytest.mark.parametrize("epsilon_hat", [False, True])
def test_both_places_of_adams_epsilon_agree_with_the_reference(epsilon_hat):
    x, y = make_classes(250, 6, 3)
    options = dict(
        optimizer=Adam(epsilon=0.01, epsilon_hat=epsilon_hat),
        batch_size=100,
        learning_rate=0.01,
        reduction="mean",
    )
    native, *_ = train("native", (6, 9, 3), x, y, **options)
    twin, *_ = train("numpy", (6, 9, 3), x, y, **options)
    assert relative_difference(native, twin) <= 1e-12
    other, *_ = train(
        "native",
        (6, 9, 3),
        x,
        y,
        **options | {"optimizer": Adam(epsilon=0.01, epsilon_hat=not epsilon_hat)},
    )
    assert relative_difference(native, other) > 1e-3


@pytest.mark.parametrize("engine", ["native", "numpy"])
@pytest.mark.parametrize("optimizer", [Adam(epsilon=0.0), RMSprop(epsilon=0.0)], ids=str)
def test_without_epsilon_a_weight_without_gradient_stays(engine, optimizer):
    x, y = make_classes(50, 6, 3)
    x[:, 2] = 0
    native, before, _ = train(engine, (6, 9, 3), x, y, optimizer=optimizer, batch_size=20)
    rows = slice(0, 9 * 7)
    after, start = native[rows].reshape(9, 7), before[rows].reshape(9, 7)
    np.testing.assert_array_equal(after[:, 3], start[:, 3])
    assert (after[:, 1] != start[:, 1]).all()


@pytest.mark.parametrize("sizes", [(6, 9, 3), (31, 300, 200, 3), (1, 1)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_of_all_rows_agrees_with_the_reference(sizes, weighted):
    x, y = make_classes(700, sizes[0], sizes[-1])
    weights = np.random.default_rng(0).uniform(size=700) if weighted else None
    network = Network(sizes, activation="tanh", dtype="float64", random_state=0)
    found = {}
    for name, engine in (("native", _core.Engine), ("numpy", ReferenceEngine)):
        out = np.full_like(network.parameters, np.nan)
        run = engine(network.sizes, network.functions, Loss("log_loss"), network.dtype, 2)
        totals = run.gradient(network.parameters, x, y, weights, out)
        found[name] = np.append(out, totals)
    np.testing.assert_allclose(found["native"], found["numpy"], rtol=1e-9, atol=1e-11)


# --- Gradients ------------------------------------------------------------------------------------


def gradient_by_training(network, x, y, loss, sample_weights=None, **penalties):
    """One step at rate 1 without momentum: the weights lose exactly the gradient."""
    copy = network.parameters.copy()
    trainer = Trainer(network, loss=loss, learning_rate=1.0, batch_size=len(x), **penalties)
    trainer.fit(x, y, sample_weight=sample_weights)
    gradient = copy - network.parameters
    network.parameters[...] = copy
    return gradient


@pytest.mark.parametrize("output, loss", PAIRS, ids=PAIR_IDS)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_gradient_equals_central_differences(activation, output, loss):
    network = Network(
        (4, 6, 5, 3),
        activation=activation,
        output=output,
        dtype="float64",
        initializer="range",
        random_state=2,
    )
    x, y = make_classes(9, 4, 3, seed=8)
    trainer = Trainer(network, loss=loss, l1=0.3, l2=0.7)
    gradient = gradient_by_training(network, x, y, loss, l1=0.3, l2=0.7)
    numeric = np.empty_like(gradient)
    for i, value in enumerate(network.parameters.copy()):
        step = 1e-6
        costs = []
        for shifted in (value + step, value - step):
            network.parameters[i] = shifted
            costs.append(trainer.evaluate(x, y).cost)
        network.parameters[i] = value
        numeric[i] = (costs[0] - costs[1]) / (2 * step)
    assert np.linalg.norm(gradient - numeric) / np.linalg.norm(numeric) <= 1e-6


def test_bias_column_is_never_regularised():
    network = Network((4, 6, 3), dtype="float64", random_state=2)
    x, y = make_classes(9, 4, 3)
    plain = gradient_by_training(network, x, y, "log_loss")
    regularized = gradient_by_training(network, x, y, "log_loss", l1=0.3, l2=0.7)
    differences = network.views(regularized - plain)
    for difference, w in zip(differences, network.weights, strict=True):
        np.testing.assert_allclose(difference[:, 0], 0, atol=1e-12)
        expected = 0.7 * w[:, 1:] + 0.3 * np.sign(w[:, 1:])
        np.testing.assert_allclose(difference[:, 1:], expected, rtol=1e-9, atol=1e-12)


def test_penalty_in_the_cost_excludes_the_bias_column():
    network = Network((4, 6, 3), dtype="float64", random_state=2)
    by_hand = sum(
        0.35 * (w[:, 1:] ** 2).sum() + 0.3 * np.abs(w[:, 1:]).sum() for w in network.weights
    )
    assert penalty(network.weights, 0.3, 0.7) == pytest.approx(by_hand)
    x, y = make_classes(9, 4, 3)
    trainer = Trainer(network, l1=0.3, l2=0.7, learning_rate=0.0, shuffle=False)
    history = trainer.fit(x, y)
    assert history["reg_share"][0, 0] * history["costs"][0, 0] == pytest.approx(by_hand)


@pytest.mark.parametrize("output, loss", PAIRS, ids=PAIR_IDS)
def test_row_weights_equal_repeated_rows(output, loss):
    network = Network((4, 6, 3), output=output, dtype="float64", random_state=2)
    x, y = make_classes(40, 4, 3)
    times = np.random.default_rng(0).integers(0, 4, 40)
    weighted = gradient_by_training(network, x, y, loss, sample_weights=times)
    repeated = gradient_by_training(network, x.repeat(times, 0), y.repeat(times, 0), loss)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("output, loss", PAIRS, ids=PAIR_IDS)
def test_row_weights_follow_the_shuffled_rows_in_weights_and_records(output, loss):
    x, y = make_classes(200, 4, 3)
    weights = np.random.default_rng(0).uniform(size=200)
    results, records = [], []
    for engine in ("native", "numpy"):
        network = Network((4, 6, 3), output=output, dtype="float64", random_state=2)
        trainer = Trainer(network, loss=loss, engine=engine, batch_size=33, random_state=7)
        records.append(trainer.fit(x, y, n_epochs=3, sample_weight=weights))
        results.append(network.parameters)
    assert relative_difference(*results) <= 1e-12
    for name in ("costs", "errors", "batch_accuracy"):
        np.testing.assert_allclose(records[0][name], records[1][name], rtol=1e-10)


@pytest.mark.parametrize("output, loss", PAIRS, ids=PAIR_IDS)
def test_soft_targets_that_do_not_sum_to_one_agree_with_the_reference(output, loss):
    x, _ = make_classes(90, 4, 3)
    y = np.random.default_rng(1).uniform(size=(90, 3))
    options = dict(output=output, loss=loss, batch_size=40, learning_rate=0.01)
    native, _, record = train("native", (4, 6, 3), x, y, **options)
    twin, _, expected = train("numpy", (4, 6, 3), x, y, **options)
    assert relative_difference(native, twin) <= 1e-12
    np.testing.assert_allclose(record["costs"], expected["costs"], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output, loss", [PAIRS[0], PAIRS[2]], ids=[PAIR_IDS[0], PAIR_IDS[2]])
def test_cost_of_cancelling_pairs_is_finite_for_every_finite_z(output, loss, dtype):
    network = Network((1, 3), output=output, dtype=dtype)
    huge = np.finfo(dtype).max
    for z in ([huge, -huge, 0], [-huge, -huge, huge], [1e30, 5, -1e30], [0, 0, 0]):
        network.weights[0][:, 0], network.weights[0][:, 1] = z, 0
        result = Trainer(network, loss=loss).evaluate([[1.0]] * 3, np.eye(3))
        assert np.isfinite(result.loss)
        assert 0 <= result.error <= 1


# --- Threads --------------------------------------------------------------------------------------


def weights_hash(n_threads, *, sizes=(300, 70, 30, 10), n_rows=3307, batch_size=500):
    network = Network(sizes, random_state=0)
    x, y = make_classes(n_rows, sizes[0], sizes[-1])
    trainer = Trainer(
        network, batch_size=batch_size, momentum=0.5, l2=0.1, n_threads=n_threads, random_state=1
    )
    trainer.fit(x, y, n_epochs=3)
    plan = plan_batch(batch_size, sizes, 4, n_threads)
    most = plan_batch(plan.n_rows, network.sizes, 4, 8).n_workers
    assert plan.n_workers == min(n_threads, most) and most > 1, "the team would not be tested"
    return hashlib.sha256(network.parameters.tobytes()).hexdigest()


@pytest.mark.parametrize("batch_size", [33, 500, 2000])
def test_weights_are_bit_identical_for_every_thread_count(batch_size):
    hashes = {weights_hash(n, batch_size=batch_size) for n in (1, 2, 3, 4, 8)}
    assert len(hashes) == 1


def test_weights_are_bit_identical_in_twenty_repetitions():
    assert len({weights_hash(4) for _ in range(20)}) == 1


def test_wide_layers_get_fewer_lanes_and_the_same_bits(monkeypatch):
    monkeypatch.setattr("fastmlp.engine.plan.WIDE_BLOCK_ROWS_MAX", 0)
    sizes = (3000, 3000, 10)
    assert 1 < plan_batch(600, sizes, 4).n_lanes < 8
    hashes = {weights_hash(n, sizes=sizes, n_rows=600, batch_size=600) for n in (1, 3)}
    assert len(hashes) == 1


def test_blocks_of_wide_layers_give_the_same_bits_for_every_thread_count():
    sizes, batch_size = (700, 500, 20, 10), 250
    assert plan_batch(batch_size, sizes, 4).blocks
    hashes = {weights_hash(n, sizes=sizes, n_rows=1100, batch_size=batch_size) for n in (1, 2, 5)}
    assert len(hashes) == 1


def test_evaluation_and_prediction_are_bit_identical_for_every_thread_count():
    network = Network((20, 64, 10), random_state=0)
    x, y = make_classes(5000, 20, 10)
    results = [Trainer(network, n_threads=n).evaluate(x, y) for n in (1, 2, 8)]
    assert results[0] == results[1] == results[2]
    outputs = [network.predict(x, n_threads=n) for n in (1, 2, 8)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])


def test_fits_and_predictions_in_several_threads_equal_the_serial_ones():
    expected = weights_hash(2)
    network = Network((20, 64, 10), random_state=0)
    x, _ = make_classes(3000, 20, 10)
    outputs = network.predict(x)
    found = []

    def work():
        found.append(weights_hash(2) == expected)
        found.append(np.array_equal(network.predict(x, n_threads=2), outputs))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 12


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_trains_with_a_team_of_its_own():
    expected = weights_hash(2)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert (
            pool.map_async(weights_hash, [2, 3, 1, 2]).get(timeout=PATIENCE_SECONDS)
            == [expected] * 4
        )
    assert weights_hash(2) == expected


def test_an_engine_in_use_refuses_a_second_caller_and_works_again_afterwards():
    """A signal handler runs in the middle of an epoch, on the thread that trains."""
    x, y = make_classes(60_000, 100, 3)
    trainer = Trainer(Network((100, 300, 300, 3), random_state=0), learning_rate=1e-6)
    refused = []

    def handler(*_):
        try:
            trainer.evaluate(x[:10], y[:10])
        except RuntimeError as error:
            refused.append(str(error))

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        trainer.fit(x, y, n_epochs=1000, callbacks=[lambda _: bool(refused)])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert refused[0] == "this engine is already running, in another thread or a callback"
    assert trainer.evaluate(x, y).loss > 0


def test_evaluating_between_epochs_changes_no_bit_of_the_training():
    x, y = make_classes(1000, 40, 3)
    results = []
    for rows in ((), (1,), (5000, 1)):
        network = Network((40, 30, 3), random_state=0)
        trainer = Trainer(network, batch_size=100, random_state=0)
        others = [make_classes(n, 40, 3, seed=n) for n in rows]
        trainer.fit(
            x,
            y,
            n_epochs=3,
            callbacks=[lambda t, others=others: [t.evaluate(*other) for other in others] and None],
        )
        trainer.fit(x[:7], y[:7], n_epochs=2)
        results.append(network.parameters)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("l2, diverges", [(0.0, False), (0.1, True)])
def test_huge_weights_give_a_finite_cost_or_an_error_but_never_nan(l2, diverges):
    network = Network((2, 3, 2), random_state=0)
    network.weights[0][:, 1:] = 1e30  # its square is beyond float32
    x, y = make_classes(4, 2, 2)
    trainer = Trainer(network, l2=l2, learning_rate=1e-30)
    if diverges:
        with pytest.raises(DivergenceError):
            trainer.fit(x, y)
    else:
        assert np.isfinite(trainer.fit(x, y)["costs"]).all()


def test_infinite_outputs_are_not_reported_as_a_finite_loss():
    network = Network((2, 2), output="identity")
    network.weights[0][...] = 3e38
    result = Trainer(network).evaluate([[9.0, 9.0]], [[0.0, 1.0]])
    assert not np.isfinite(result.loss)
    softmax = Network((2, 2), output="softmax")
    softmax.weights[0][...] = [[0, 3e38, 3e38], [0, -3e38, 3e38]]
    result = Trainer(softmax, loss="log_loss").evaluate([[9.0, 9.0]], [[0.0, 1.0]])
    assert not np.isfinite(result.loss)


# --- Memory and layout ----------------------------------------------------------------------------


def test_training_leaves_its_inputs_unchanged():
    x, y = make_classes(300, 6, 3)
    x, y = x.astype(np.float32), y.astype(np.float32)
    weights = np.ones(300, np.float32)
    copies = x.copy(), y.copy(), weights.copy()
    for array in (x, y, weights):
        array.flags.writeable = False
    network = Network((6, 9, 3), random_state=0)
    Trainer(network, batch_size=100).fit(x, y, n_epochs=2, sample_weight=weights)
    for array, copy in zip((x, y, weights), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("layout", ["fortran", "reversed", "every second", "misaligned"])
def test_any_memory_layout_gives_the_same_weights(layout):
    x, y = make_classes(300, 6, 3)
    x, y = x.astype(np.float32), y.astype(np.float32)
    if layout == "fortran":
        other = np.asfortranarray(x)
    elif layout == "reversed":
        other = x[::-1].copy()[::-1]
    elif layout == "every second":
        other = np.repeat(x, 2, axis=1)[:, ::2]
    else:
        raw = np.empty(x.nbytes + 1, np.uint8)
        other = raw[1:].view(np.float32).reshape(x.shape)
        other[...] = x
    expected, *_ = train("native", (6, 9, 3), x, y, dtype="float32", batch_size=64)
    found, *_ = train("native", (6, 9, 3), other, y, dtype="float32", batch_size=64)
    np.testing.assert_array_equal(found, expected)


def test_an_epoch_allocates_little_and_independently_of_its_batches():
    """No temporary per batch: the peak of an epoch does not grow with the number of batches."""
    peaks = []
    for batch_size in (1000, 10):
        x, y = make_classes(20_000, 6, 3)
        x, y = x.astype(np.float32), y.astype(np.float32)
        network = Network((6, 9, 3), random_state=0)
        trainer = Trainer(network, batch_size=batch_size, shuffle=False, n_threads=1)
        trainer.fit(x, y)
        tracemalloc.start()
        trainer.fit(x, y)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    per_batch_results = 8 * 8 * (2000 - 20)
    assert peaks[1] - peaks[0] <= 4 * per_batch_results


# --- Own products of narrow layers ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_in", [1, 7, 15, 16, 17, 64, 65, 127, 784])
def test_own_products_agree_with_blas(simd_level, n_in, dtype):
    for width in (1, 6, 7, 16, 17, 70, 127, 128):
        for n_rows in (1, 4, 5, 6, 64, 131):
            x, y = make_classes(n_rows, n_in, 3, seed=n_rows)
            options = dict(learning_rate=0.1 / n_rows, batch_size=100, random_state=1)
            results = []
            for products in ("own", "blas"):
                network = Network(
                    (n_in, width, 19, 3), activation="tanh", dtype=dtype, random_state=0
                )
                Trainer(network, products=products, **options).fit(x, y, n_epochs=2)
                results.append(network.parameters)
            assert relative_difference(*results) <= TOLERANCE[dtype], (width, n_rows)


def test_a_long_epoch_whose_first_batches_run_on_one_thread_has_the_same_bits():
    x, y = make_classes(6400, 300, 10)
    results = []
    for n_threads in (1, 2):
        network = Network((300, 70, 10), random_state=0)
        trainer = Trainer(
            network,
            optimizer="adam",
            reduction="mean",
            batch_size=64,
            n_threads=n_threads,
            random_state=0,
        )
        assert plan_batch(64, network.sizes, 4, n_threads).n_workers == n_threads
        trainer.fit(x, y, n_epochs=2)
        assert trainer.n_steps == 200
        results.append((network.parameters, trainer.states, trainer.history["costs"]))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(two, one)


def test_a_long_epoch_ends_at_the_batch_that_diverges_also_among_the_first_ones():
    x, y = make_classes(6400, 300, 10)
    for batch in (3, 15, 16, 40):
        bad = x.copy()
        bad[64 * batch] = 1e38
        network = Network((300, 70, 10), activation="identity", output="identity", random_state=0)
        trainer = Trainer(network, batch_size=64, shuffle=False, learning_rate=1e-6, n_threads=2)
        with pytest.raises(DivergenceError, match=f"epoch 0, batch {batch} "):
            trainer.fit(bad, y)
        expected = Network((300, 70, 10), activation="identity", output="identity", random_state=0)
        if batch:
            Trainer(
                expected, batch_size=64, shuffle=False, learning_rate=1e-6, steps_per_epoch=batch
            ).fit(x, y)
        np.testing.assert_array_equal(network.parameters, expected.parameters)


@pytest.mark.parametrize("engine", ["native", "numpy"])
@pytest.mark.parametrize("sizes, batch_size", [((13, 20, 4), 30), ((13, 300, 900, 4), 90)], ids=str)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_an_epoch_in_pieces_has_the_bits_of_one_call(
    optimizer, sizes, batch_size, engine, monkeypatch
):
    """Small networks sum in lanes, the wide one of a megabyte goes block by block."""
    x, y = make_classes(300, 13, 4)
    options = dict(
        optimizer=optimizer,
        reduction="mean",
        batch_size=batch_size,
        dropout=0.2,
        learning_rate=1e-3,
        engine=engine,
    )
    results = []
    for n_batches in (99, 1, 3):
        monkeypatch.setattr(
            NothingKept,
            "batches_to_go",
            lambda self, epoch, most=n_batches: min(most, epoch.n_batches - epoch.n_done),
        )
        trainer = Trainer(Network(sizes, random_state=0), random_state=1, **options)
        history = trainer.fit(x, y, n_epochs=2)
        results.append((trainer.network.parameters, trainer.states, history["costs"]))
    for others in results[1:]:
        for array, expected in zip(others, results[0], strict=True):
            np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("engine", [_core.Engine, ReferenceEngine])
def test_progress_counts_the_batches_that_the_weights_have_seen(engine):
    """Also where the last one diverges, or Ctrl-C comes in between."""
    x, y = make_classes(100, 5, 3)
    network = Network((5, 4, 3), dtype="float64", random_state=0)
    loss = Trainer(network).loss_function
    net = engine(network.sizes, network.functions, loss, network.dtype, 1)

    def batches(parameters, x, progress, last):
        costs = np.zeros((4, 10))
        return net.train(
            parameters, np.zeros((1, len(parameters))), x, y, order=None, sample_weights=None,
            batch_size=10, first_batch=0, last_batch=last, optimizer=SGD(0.5, "classical"),
            learning_rate=0.01, n_steps=0, l1=0.0, l2=0.0, l1_cost=0.0, mean_reduction=False,
            penalty_scale="per_batch", costs=costs[0], penalties=costs[1], errors=costs[2],
            accuracies=costs[3], progress=progress,
        )  # fmt: skip

    progress, three = np.array([5], np.intp), network.parameters.copy()
    batches(three, x, progress, 3)
    assert progress[0] == 8
    broken = x.copy()
    broken[35] = np.inf
    progress, parameters = np.zeros(1, np.intp), network.parameters.copy()
    with np.errstate(invalid="ignore"):
        status, n_done, _ = batches(parameters, broken, progress, 10)
    assert (status, n_done, progress[0]) == (_core.DIVERGED, 3, 3)
    np.testing.assert_array_equal(parameters, three)


def test_the_reference_undoes_a_batch_that_is_interrupted(monkeypatch):
    x, y = make_classes(60, 5, 3)
    network = Network((5, 4, 3), random_state=0)
    trainer = Trainer(
        network, engine="numpy", optimizer="adam", batch_size=20, shuffle=False, random_state=0
    )
    trainer.fit(x[:40], y[:40])
    parameters, states = network.parameters.copy(), trainer.states.copy()
    calls = []

    def interrupted(*args):
        calls.append(1)
        reference_update(*args)
        if len(calls) == 6:  # two layers a batch: the last one of the third batch
            raise KeyboardInterrupt

    reference_update = _reference_engine.apply_optimizer
    monkeypatch.setattr(_reference_engine, "apply_optimizer", interrupted)
    network.initialize(0)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(x, y)
    np.testing.assert_array_equal(network.parameters, parameters)
    np.testing.assert_array_equal(trainer.states, states)
    assert trainer.n_steps == 2
