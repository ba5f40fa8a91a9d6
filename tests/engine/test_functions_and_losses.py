"""Activations, outputs, losses, dropout, clipping and sparse inputs: engine, twin and calculus."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from cases import TOLERANCE
from scipy import special, stats
from scipy.optimize import approx_fprime

from fastmlp import DivergenceError, Network, Trainer, reference
from fastmlp.engine.rows import Rows
from fastmlp.losses import (
    ACTIVATIONS,
    OUTPUTS_OF_LOSS,
    CustomLoss,
    Huber,
    Loss,
    Quantile,
    check_loss,
    check_pair,
)
from fastmlp.reference.engine import ReferenceEngine

SMOOTH_L1 = CustomLoss(
    lambda y, a: (np.sqrt(1 + (a - y) ** 2).sum(axis=1), (a - y) / np.sqrt(1 + (a - y) ** 2))
)
LEVELS = (0.1, 0.5, 0.8, 0.95)
PAIRS = [
    (output, loss)
    for name, outputs in OUTPUTS_OF_LOSS.items()
    for output in outputs
    for loss in {
        "huber": [Huber(0.3)],
        "quantile": [Quantile(LEVELS)],
        "own": [SMOOTH_L1],
    }.get(name, [Loss(name)])
]
PAIR_IDS = [f"{output}-{loss.name}" for output, loss in PAIRS]


def make_data(n_rows, n_features, n_outputs, seed=0):
    """Inputs, and targets in (0, 1), which every loss takes."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, n_features)), rng.uniform(0.05, 0.95, size=(n_rows, n_outputs))


def train(engine, network, x, y, **options):
    """Parameters and history of a copy of the network after two epochs."""
    copy = Network(
        network.sizes,
        activation=network.activations,
        output=network.output,
        dtype=str(network.dtype),
    )
    copy.parameters[...] = network.parameters
    trainer = Trainer(copy, engine=engine, random_state=0, **options)
    return copy.parameters, trainer.fit(x, y, n_epochs=2)


def assert_twins(network, x, y, *, factor=1.0, **options):
    """Engine and twin end with the same weights and records."""
    native, history = train("native", network, x, y, **options)
    twin, expected = train("numpy", network, x, y, **options)
    tolerance = TOLERANCE[str(network.dtype)] * factor
    assert np.abs(native - twin).max() <= tolerance * np.abs(twin).max()
    assert np.abs(native - network.parameters).max() > 1e-4, "nothing was learnt"
    for name in ("costs", "errors", "batch_accuracy"):
        np.testing.assert_allclose(history[name], expected[name], rtol=10 * tolerance, atol=1e-6)


def twin_engine(network, loss):
    return ReferenceEngine(network.sizes, network.functions, loss, network.dtype)


def flat(gradients):
    return np.concatenate([gradient.ravel() for gradient in gradients])


# --- The twin against calculus and SciPy ----------------------------------------------------------


@pytest.mark.parametrize("output, loss", PAIRS, ids=PAIR_IDS)
def test_gradient_of_every_pair_is_the_derivative_of_its_loss(output, loss):
    network = Network(
        (5, 6, 4),
        activation="tanh",
        output=output,
        dtype="float64",
        initializer="range",
        random_state=3,
    )
    x, y = make_data(7, 5, 4)
    engine = twin_engine(network, loss)
    numeric = approx_fprime(network.parameters, lambda p: engine.evaluate(p, x, y)[0], 1e-7)
    np.testing.assert_allclose(flat(engine.gradients(network.weights, x, y)[0]), numeric, atol=2e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivative_of_every_activation_is_its_slope(activation):
    z = np.linspace(-6, 6, 200).reshape(4, 50)  # 0 is not among them
    function = reference.FUNCTIONS[activation]
    numeric = (function(z + 1e-6) - function(z - 1e-6)) / 2e-6
    np.testing.assert_allclose(
        reference.DERIVATIVES[activation](z, function(z)), numeric, atol=1e-8
    )


def test_activations_have_their_published_values():
    z = np.array([-2.0, -0.5, 0.7])
    published = {  # PyTorch 2.13: leaky_relu, elu, selu, softplus, gelu, silu of these three
        "leaky_relu": [-0.02, -0.005, 0.7],
        "elu": [-0.8646647167633873, -0.3934693402873666, 0.7],
        "selu": [-1.5201664685956948, -0.6917581878028713, 0.7354906911488363],
        "softplus": [0.12692801104297263, 0.4740769841801067, 1.1031860488854579],
        "gelu": [-0.04550026389635842, -0.15426876936299344, 0.5306254434438489],
        "silu": [-0.2384058440442351, -0.18877033439907274, 0.46773144051771626],
    }
    for name, expected in published.items():
        np.testing.assert_allclose(reference.FUNCTIONS[name](z), expected, rtol=1e-9)


def test_losses_equal_their_textbook_values():
    y, a = np.array([[0.0, 2.0, 3.0]]), np.array([[0.5, 2.0, 1.0]])
    z = np.log(a)
    cases = {
        ("exponential", Loss("poisson")): special.xlogy(y, y / a) - y + a,
        ("identity", Loss("absolute_error")): np.abs(a - y),
        ("identity", Huber(1.0)): special.huber(1.0, a - y),
        ("identity", Quantile((0.9,))): np.where(y >= a, 0.9 * (y - a), 0.1 * (a - y)),
        ("sigmoid", Loss("brier")): (a - y) ** 2,
    }
    for (output, loss), expected in cases.items():
        numbers = loss.parameters(1)
        numbers = 0.0 if numbers is None else np.array(numbers)[:, np.newaxis]
        found = reference.cost(z, a, y, output, loss.name, numbers)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    y = y + 1
    np.testing.assert_allclose(
        reference.cost(z, a, y, "exponential", "gamma"), np.log(a / y) + y / a - 1, rtol=1e-12
    )


# --- The engine against the twin ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output, loss", PAIRS, ids=PAIR_IDS)
def test_every_pair_agrees_with_the_twin(output, loss, dtype):
    network = Network((7, 9, 4), output=output, activation="tanh", dtype=dtype, random_state=1)
    x, y = make_data(157, 7, 4)
    assert_twins(network, x, y, loss=loss, learning_rate=0.05, reduction="mean", batch_size=70)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_agrees_with_the_twin(activation, dtype):
    x, y = make_data(133, 6, 3)
    for width in (1, 15, 17, 70, 129):
        network = Network((6, width, width, 3), activation=activation, dtype=dtype, random_state=1)
        assert_twins(
            network, 2 * x, y, learning_rate=0.05, reduction="mean", batch_size=40, factor=4
        )


def test_every_level_has_every_activation_and_loss(simd_level):
    x, y = make_data(90, 6, 4)
    for dtype in ("float32", "float64"):
        for activation in ACTIVATIONS:
            network = Network((6, 19, 4), activation=activation, dtype=dtype, random_state=1)
            assert_twins(network, x, y, learning_rate=0.05, reduction="mean", batch_size=40)
        for output, loss in PAIRS:
            network = Network((6, 19, 4), output=output, dtype=dtype, random_state=1)
            assert_twins(network, x, y, loss=loss, learning_rate=0.05, reduction="mean")


def test_layers_can_have_functions_of_their_own():
    names = ["gelu", "selu", "silu", "leaky_relu"]
    network = Network((6, 20, 18, 17, 5, 3), activation=names, dtype="float64", random_state=1)
    x, y = make_data(90, 6, 3)
    assert network.functions == (*names, "sigmoid")
    assert_twins(network, x, y, learning_rate=0.05, reduction="mean", batch_size=40)


def test_logistic_is_another_name_of_sigmoid():
    assert Network((2, 3, 1), activation="logistic", output="logistic").functions == (
        "sigmoid",
        "sigmoid",
    )


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "silu", "elu"])
def test_wide_layers_have_them_too(activation, blocks, monkeypatch):
    monkeypatch.setattr("fastmlp.engine.plan.BLOCK_PARAMETER_BYTES", 0 if blocks else 2**40)
    network = Network((33, 150, 140, 4), activation=activation, dtype="float64", random_state=1)
    x, y = make_data(200, 33, 4)
    assert_twins(network, x, y, learning_rate=0.05, reduction="mean", batch_size=120)


@pytest.mark.parametrize("output", ["softmax", "exponential", "increasing", "sigmoid", "identity"])
@pytest.mark.parametrize("n_rows", [1, 8, 9, 300])
def test_predictions_have_every_output_function(output, n_rows):
    network = Network((6, 20, 4), activation="gelu", output=output, dtype="float64", random_state=1)
    x, _ = make_data(n_rows, 6, 4)
    expected = np.empty((n_rows, 4))
    twin_engine(network, Loss("squared_error")).predict(network.parameters, x, expected)
    np.testing.assert_allclose(network.predict(x), expected, rtol=1e-12)


def test_increasing_outputs_never_cross():
    network = Network((6, 20, 5), output="increasing", initializer="range", random_state=1)
    outputs = network.predict(100 * make_data(500, 6, 4)[0])
    assert (np.diff(outputs, axis=1) >= 0).all()


def test_quantiles_of_a_constant_model_are_those_of_the_sample():
    rng = np.random.default_rng(0)
    y = rng.gamma(2.0, size=(4000, 1))
    network = Network((1, 3), output="increasing", dtype="float64", random_state=0)
    trainer = Trainer(
        network,
        loss=Quantile((0.1, 0.5, 0.9)),
        reduction="mean",
        optimizer="adam",
        learning_rate=0.02,
        batch_size=4000,
    )
    trainer.fit(np.zeros((4000, 1)), np.repeat(y, 3, axis=1), n_epochs=1500)
    found = network.predict(np.zeros((1, 1)))[0]
    np.testing.assert_allclose(found, np.quantile(y, [0.1, 0.5, 0.9]), rtol=0.03)


# --- A loss from outside --------------------------------------------------------------------------


def half_square(y, a):
    return ((a - y) ** 2).sum(axis=1) / 2, a - y


@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_function_as_loss_learns_what_the_same_loss_by_name_learns(n_threads):
    x, y = make_data(500, 6, 3)
    weights = np.random.default_rng(1).uniform(size=500)
    results = []
    for loss in ("squared_error", half_square):
        network = Network((6, 20, 3), output="identity", dtype="float64", random_state=0)
        trainer = Trainer(
            network,
            loss=loss,
            learning_rate=0.1,
            reduction="mean",
            batch_size=200,
            n_threads=n_threads,
            random_state=0,
        )
        history = trainer.fit(x, y, n_epochs=3, sample_weight=weights, validation_data=(x, y))
        results.append(
            (network.parameters, history["costs"], history["errors"], history["val_cost"])
        )
    for named, own in zip(*results, strict=True):
        np.testing.assert_allclose(own, named, rtol=1e-12)


def test_an_exception_in_a_loss_ends_the_training_and_keeps_the_weights():
    def angry(y, a):
        raise LookupError("not today")

    network = Network((6, 20, 3), output="identity", random_state=0)
    before = network.parameters.copy()
    x, y = make_data(300, 6, 3)
    with pytest.raises(LookupError, match="not today"):
        Trainer(network, loss=angry, n_threads=2).fit(x, y)
    np.testing.assert_array_equal(network.parameters, before)


def test_what_a_loss_returns_is_checked():
    network = Network((6, 20, 3), output="identity", random_state=0)
    x, y = make_data(10, 6, 3)
    message = (
        r"the loss '<lambda>' must return losses of shape \(10,\) and gradients of shape "
        r"\(10, 3\); got \(10, 3\) and \(10, 3\)"
    )
    with pytest.raises(ValueError, match=message):
        Trainer(network, loss=lambda y, a: (a - y, a - y)).fit(x, y)


# --- Dropout and clipping -------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "gelu", "identity", "selu"])
def test_dropout_agrees_with_the_twin(activation, blocks, monkeypatch):
    monkeypatch.setattr("fastmlp.engine.plan.BLOCK_PARAMETER_BYTES", 0 if blocks else 2**40)
    x, y = make_data(157, 7, 3)
    for dtype in ("float32", "float64"):
        network = Network((7, 33, 20, 3), activation=activation, dtype=dtype, random_state=1)
        options = dict(learning_rate=0.05, reduction="mean", batch_size=70, dropout=(0.4, 0.25))
        assert_twins(network, x, y, **options)
        with_dropout, _ = train("native", network, x, y, **options)
        without, _ = train("native", network, x, y, **options | {"dropout": 0.0})
        assert np.abs(with_dropout - without).max() > 1e-3


def test_dropout_has_the_same_bits_on_every_number_of_threads():
    network = Network((7, 33, 20, 3), random_state=1)
    x, y = make_data(700, 7, 3)
    results = [
        train("native", network, x, y, dropout=0.5, batch_size=300, n_threads=n)[0]
        for n in (1, 2, 5)
    ]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_masks_drop_their_share_in_every_row_and_column_and_layer():
    mask = reference.dropout_mask(123, 5, 2000, 100, 0.3)
    dropped = mask == 0
    assert set(np.unique(mask)) == {0, 1 / 0.7}
    for axis, n in ((0, 2000), (1, 100)):
        z = (dropped.mean(axis=axis) - 0.3) / np.sqrt(0.3 * 0.7 / n)
        assert 0.001 < stats.chi2.cdf((z**2).sum(), len(z)) < 0.999
    neighbors = (dropped[:-1] == dropped[1:]).mean(), (dropped[:, :-1] == dropped[:, 1:]).mean()
    np.testing.assert_allclose(neighbors, 0.3**2 + 0.7**2, atol=0.005)
    other_layer = reference.dropout_mask(123 + reference.LAYER_KEY, 5, 2000, 100, 0.3) == 0
    np.testing.assert_allclose((dropped == other_layer).mean(), 0.58, atol=0.005)
    np.testing.assert_array_equal(reference.dropout_mask(123, 7, 10, 100, 0.3), mask[2:12])


def test_predictions_and_evaluations_know_no_dropout():
    network = Network((7, 33, 3), dtype="float64", random_state=1)
    x, y = make_data(300, 7, 3)
    trainer = Trainer(network, dropout=0.5, learning_rate=0.0)
    trainer.fit(x, y)
    plain = Trainer(network)
    assert trainer.evaluate(x, y) == plain.evaluate(x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping_agrees_with_the_twin(dtype):
    x, y = make_data(157, 7, 3)
    for sizes in ((7, 33, 20, 3), (31, 300, 200, 3)):
        x, y = make_data(157, sizes[0], 3)
        network = Network(sizes, dtype=dtype, random_state=1)
        options = dict(learning_rate=1.0, reduction="mean", batch_size=70, l1=1e-3, l2=1e-2)
        assert_twins(network, x, y, max_grad_norm=0.05, **options)


def test_a_clipped_step_has_the_given_length_and_a_short_one_is_left_alone():
    x, y = make_data(300, 7, 3)
    network = Network((7, 33, 3), dtype="float64", random_state=1)
    start = network.parameters.copy()

    def step(**options):
        network.parameters[...] = start
        Trainer(network, learning_rate=1.0, batch_size=300, n_threads=3, **options).fit(x, y)
        return network.parameters - start

    full = step()
    clipped = step(max_grad_norm=0.01)
    assert np.linalg.norm(full) > 1
    assert np.linalg.norm(clipped) == pytest.approx(0.01, rel=1e-12)
    np.testing.assert_allclose(clipped, full * 0.01 / np.linalg.norm(full), rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(step(max_grad_norm=1e9), full)


# --- Sparse inputs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.coo_array],
    ids=lambda m: m.__name__,
)
@pytest.mark.parametrize("sizes", [(40, 9, 3), (600, 450, 3), (1, 1)], ids=str)
def test_sparse_inputs_train_and_predict_like_dense_ones(sizes, make):
    rng = np.random.default_rng(0)
    x, y = make_data(333, sizes[0], sizes[-1])
    x *= rng.uniform(size=x.shape) < 0.1
    x[5] = 0
    results = []
    for data in (x, make(x)):
        network = Network(sizes, dtype="float64", random_state=0)
        trainer = Trainer(network, learning_rate=0.01, batch_size=100, random_state=0, n_threads=2)
        trainer.fit(data, y, n_epochs=2, validation_data=(data, y))
        results.append((network.parameters, network.predict(data), trainer.history["val_cost"]))
    for dense, sparse in zip(*results, strict=True):
        np.testing.assert_allclose(sparse, dense, rtol=1e-10, atol=1e-13)


def test_the_twin_takes_sparse_inputs_too():
    x, y = make_data(100, 20, 3)
    x *= np.abs(x) > 1
    network = Network((20, 9, 3), dtype="float64", random_state=0)
    assert_twins(network, scipy.sparse.csr_array(x), y, batch_size=30, learning_rate=0.05)


def test_values_of_the_same_place_add_up():
    x = scipy.sparse.csr_array(([1.0, 2.0, 4.0], [1, 1, 0], [0, 2, 3]), shape=(2, 3))
    network = Network((3, 4, 2), dtype="float64", random_state=0)
    dense = np.array([[0, 3.0, 0], [4, 0, 0]])
    np.testing.assert_allclose(network.predict(x), network.predict(dense), rtol=1e-12)


@pytest.mark.parametrize(
    "x, error, message",
    [
        (
            scipy.sparse.csr_array((3, 5)),
            ValueError,
            r"X must have rows and 4 columns; got shape \(3, 5\)",
        ),
        (
            scipy.sparse.csr_array((0, 4)),
            ValueError,
            r"X must have rows and 4 columns; got shape \(0, 4\)",
        ),
        (
            scipy.sparse.csr_array((3, 4), dtype=complex),
            TypeError,
            "X must be real numbers; got a matrix of dtype complex128",
        ),
        (
            scipy.sparse.csr_array([[1, np.nan, 0, 0.0]]),
            ValueError,
            "X.data must hold finite float32 numbers; found NaN at row 1",
        ),
    ],
)
def test_bad_sparse_inputs_are_named(x, error, message):
    with pytest.raises(error, match=message):
        Network((4, 2)).predict(x)


# --- Bad arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: Huber(0), ValueError, "delta must be a finite number, at least"),
        (
            lambda: Quantile((0.5, 1.0)),
            ValueError,
            r"levels\[1\] must be a number between 0 and 1; got 1.0",
        ),
        (
            lambda: Quantile((0.5, 0.6)).parameters(3),
            ValueError,
            "levels must be one number or 3, one per output; got 2",
        ),
        (lambda: CustomLoss(3), TypeError, "own must be callable; got 3"),
        (lambda: check_loss("x"), ValueError, "loss must be one of 'log_loss', .*; got 'x'"),
        (lambda: check_loss(Loss("x")), ValueError, "loss must be one of 'log_loss', .*; got 'x'"),
        (
            lambda: check_pair("increasing", "own"),
            ValueError,
            "output 'increasing' cannot be used with",
        ),
        (
            lambda: Trainer(Network((2, 3, 1)), dropout=1.0),
            ValueError,
            "dropout must be a finite number, at least 0 and below 1; got 1.0",
        ),
        (
            lambda: Trainer(Network((2, 3, 1)), dropout=(0.1, -1)),
            ValueError,
            "dropout must be one number or 1, one per hidden layer",
        ),
        (
            lambda: Trainer(Network((2, 3, 1)), dropout=(-1,)),
            ValueError,
            r"dropout\[0\] must be a finite number, at least 0 and below 1; got -1",
        ),
        (
            lambda: Trainer(Network((2, 3, 1)), dropout="x"),
            TypeError,
            "dropout must be a number or a sequence of numbers; got 'x'",
        ),
        (
            lambda: Trainer(Network((2, 3, 1)), max_grad_norm=0),
            ValueError,
            "max_grad_norm must be a finite number, at least",
        ),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "output, loss, y, message",
    [
        (
            "exponential",
            "poisson",
            -1.0,
            "Y must be at least 0 for loss 'poisson'; got values from -1",
        ),
        ("exponential", "gamma", 0.0, "Y must be positive for loss 'gamma'; got values from 0"),
        ("sigmoid", "brier", 2.0, r"Y must lie in \[0, 1\] for loss 'brier'; got values from 2"),
    ],
)
def test_targets_outside_the_range_of_a_loss_are_refused(output, loss, y, message):
    trainer = Trainer(Network((2, 3, 1), output=output), loss=loss)
    with pytest.raises(ValueError, match=message):
        trainer.fit(np.zeros((4, 2)), np.full((4, 1), y))


# --- Losses as objects ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["huber", "quantile"])
def test_a_loss_by_its_name_has_its_defaults_in_every_form(name):
    assert check_loss(Loss(name)) == check_loss(name) in (Huber(1.0), Quantile((0.5,)))


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: Trainer(Network((2, 3), output="increasing"), loss=Quantile((0.9, 0.5, 0.1))),
            r"levels must increase for 'increasing' outputs; got \(0.9, 0.5, 0.1\)",
        ),
        (lambda: check_loss(Loss("own")), "loss must be one of 'log_loss'"),
    ],
)
def test_contradictory_losses_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_loss_that_fails_in_a_later_batch_leaves_the_weights_after_the_last_finished_one(
    n_threads,
):
    x, y = make_data(400, 6, 3)
    finished = Network((6, 20, 3), output="identity", dtype="float64", random_state=0)
    Trainer(finished, loss=half_square, batch_size=100, shuffle=False, steps_per_epoch=2).fit(x, y)

    def fails_at_the_third_batch(y_chunk, a):
        if (y_chunk[:, 0] == y[250, 0]).any():
            raise LookupError("not today")
        return half_square(y_chunk, a)

    network = Network((6, 20, 3), output="identity", dtype="float64", random_state=0)
    trainer = Trainer(
        network, loss=fails_at_the_third_batch, batch_size=100, shuffle=False, n_threads=n_threads
    )
    with pytest.raises(LookupError, match="not today"):
        trainer.fit(x, y)
    np.testing.assert_array_equal(network.parameters, finished.parameters)
    with pytest.raises(LookupError, match="not today"):
        trainer.evaluate(x, y)


def test_a_loss_that_is_not_finite_is_a_divergence():
    network = Network((6, 20, 3), output="identity", random_state=0)
    before = network.parameters.copy()
    trainer = Trainer(network, loss=lambda y, a: (np.full(len(y), np.nan), a - y))
    with pytest.raises(DivergenceError, match="epoch 0, batch 0"):
        trainer.fit(*make_data(10, 6, 3))
    np.testing.assert_array_equal(network.parameters, before)


def test_the_twin_calls_a_loss_once_and_gives_it_copies():
    calls = []

    def vandal(y, a):
        calls.append(len(y))
        result = half_square(y, a)[0], (a - y).copy()
        y[...] = a[...] = np.nan
        return result

    network = Network((6, 20, 3), output="identity", dtype="float64", random_state=0)
    x, y = make_data(50, 6, 3)
    Trainer(network, loss=vandal, engine="numpy", batch_size=20).fit(x, y)
    assert sorted(calls) == [10, 20, 20]
    assert np.isfinite(y).all() and np.isfinite(network.parameters).all()


def test_the_cost_of_an_evaluation_is_the_objective_for_every_scale_of_the_penalty():
    x, y = make_data(60, 6, 3)
    for scale in ("per_batch", "per_weight"):
        network = Network((6, 20, 3), dtype="float64", random_state=0)
        trainer = Trainer(network, l1=0.1, l2=0.3, penalty_scale=scale, reduction="mean")
        cost = trainer.objective.gradient(Rows(x, y), np.empty(network.n_parameters))
        assert trainer.evaluate(x, y).cost == pytest.approx(cost, rel=1e-12)


def test_optimizer_states_are_finite_after_a_divergence():
    network = Network((6, 20, 3), output="identity", random_state=0)
    x, y = make_data(200, 6, 3)
    trainer = Trainer(network, learning_rate=1e30, momentum=0.9, batch_size=20)
    with pytest.raises(DivergenceError):
        trainer.fit(x, y, n_epochs=50)
    assert not trainer.states.any() and trainer.n_steps == 0


# --- Sparse matrices that lie ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "part, value, message",
    [
        ("indices", [0, 9, 1], r"column indices from 0 to 3; got 0 to 9"),
        ("indices", [0, -1, 1], r"column indices from 0 to 3; got -1 to 1"),
        ("indptr", [0, 3, 2, 3], "row pointers that start at 0 and increase"),
        ("indptr", [0, 1, 2, 30], "as many values as its row pointers need"),
    ],
)
def test_indices_beyond_the_matrix_are_refused(part, value, message):
    x = scipy.sparse.csr_array(np.eye(3, 4))
    setattr(x, part, np.array(value, dtype=np.int32))
    with pytest.raises(ValueError, match=message):
        Network((4, 2)).predict(x)


# --- Arrays that overlap --------------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [2, 100])
def test_outputs_are_not_written_over_the_inputs(n_rows):
    network = Network((4, 4), random_state=0)
    x = np.ones((n_rows, 4), np.float32)
    with pytest.raises(ValueError, match="out must not share memory with X"):
        network.predict(x, out=x)
