"""The NumPy reference against finite differences, the articles' variants and hand calculations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cases import make_classes
from scipy.optimize import approx_fprime

from fastmlp import Network, reference
from fastmlp.losses import Loss
from fastmlp.reference.engine import ReferenceEngine


def small_step(activation="sigmoid", output="sigmoid", loss="log_loss", seed=0):
    """Weights, layers and output delta of a 5-7-4-3 network on six samples."""
    network = Network(
        (5, 7, 4, 3),
        activation=activation,
        output=output,
        dtype="float64",
        initializer="range",
        random_state=seed,
    )
    x, y = make_classes(6, 5, 3, seed)
    zs, activations = reference.forward(
        network.weights, reference.input_layer(x, slice(None)), network.functions
    )
    return (
        network,
        x,
        y,
        zs,
        activations,
        reference.output_delta(activations[-1], y.T, output, loss),
    )


def test_input_layer_has_a_row_of_ones_on_top():
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(
        reference.input_layer(x, np.array([1, 0])), [[1, 1], [3, 0], [4, 1], [5, 2]]
    )


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_all_versions_and_bias_treatments_give_identical_gradients(activation):
    network, _, _, zs, activations, delta = small_step(activation)
    results = [
        np.concatenate(
            [
                g.ravel()
                for g in reference.backward(
                    network.weights, zs, activations, delta, network.functions, version, bias
                )
            ]
        )
        for version, bias in itertools.product(reference.VERSIONS, reference.BIAS_TREATMENTS)
    ]
    assert len(results) == 9
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=1e-13, atol=1e-15)


def test_shapes_are_those_that_article_m8_checks():
    network, _, _, zs, activations, delta = small_step()
    gradients = reference.backward(network.weights, zs, activations, delta, network.functions)
    assert [z.shape for z in zs] == [(6, 6), (7, 6), (4, 6), (3, 6)]
    assert [a.shape for a in activations] == [(6, 6), (8, 6), (5, 6), (3, 6)]
    assert [g.shape for g in gradients] == [w.shape for w in network.weights]
    delta_below = reference.layer_delta(network.weights[2], delta, zs[2], activations[2], "sigmoid")
    assert delta_below.shape == zs[2].shape


@pytest.mark.parametrize(
    "output, loss",
    [
        ("sigmoid", "log_loss"),
        ("softmax", "log_loss"),
        ("softmax", "cross_entropy"),
        ("softmax", "squared_error"),
        ("sigmoid", "squared_error"),
        ("identity", "squared_error"),
    ],
)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "identity"])
def test_gradients_equal_finite_differences(activation, output, loss):
    network, x, y, zs, activations, delta = small_step(activation, output, loss, seed=3)
    assert min(np.abs(z).min() for z in zs) > 1e-6  # no kink within reach
    found = reference.backward(network.weights, zs, activations, delta, network.functions)
    engine = ReferenceEngine(network.sizes, network.functions, Loss(loss), network.dtype)
    numeric = approx_fprime(network.parameters, lambda p: engine.evaluate(p, x, y)[0], 1e-7)
    np.testing.assert_allclose(np.concatenate([g.ravel() for g in found]), numeric, atol=2e-5)


def test_cross_entropy_gradient_holds_for_targets_that_do_not_sum_to_one():
    network, x, y, *_ = small_step(output="softmax")
    y = 0.3 * y + 0.1
    loss = Loss("cross_entropy")
    engine = ReferenceEngine(network.sizes, network.functions, loss, "float64")
    gradients, _ = engine.gradients(network.weights, x, y)
    numeric = approx_fprime(network.parameters, lambda p: engine.evaluate(p, x, y)[0], 1e-7)
    np.testing.assert_allclose(np.concatenate([g.ravel() for g in gradients]), numeric, atol=2e-5)


@pytest.mark.parametrize(
    "rule, after_two_steps, memory",
    [
        ("one_step", 10 - 0.2 - (0.3 + 0.5 * 0.2), 0.3),
        ("classical", 10 - 0.2 - (0.3 + 0.5 * 0.2), 0.4),
        ("nesterov", 10 - (0.2 + 0.5 * 0.2) - (0.3 + 0.5 * 0.4), 0.4),
    ],
)
def test_momentum_rules_equal_a_two_step_calculation_by_hand(rule, after_two_steps, memory):
    w, m = np.array([10.0]), np.zeros(1)
    for gradient in (2.0, 3.0):
        reference.update(w, m, np.array([gradient]), 0.1, 0.5, rule)
    assert w[0] == pytest.approx(after_two_steps)
    assert m[0] == pytest.approx(memory)


def test_one_step_and_classical_momentum_part_at_the_third_step():
    results = []
    for rule in ("one_step", "classical"):
        w, m = np.array([10.0]), np.zeros(1)
        for gradient in (2.0, 3.0, 4.0):
            reference.update(w, m, np.array([gradient]), 0.1, 0.5, rule)
        results.append(w[0])
    assert results[0] - results[1] == pytest.approx(0.5**2 * 0.2)


def test_penalty_gradient_is_the_derivative_of_the_penalty():
    w = np.random.default_rng(0).normal(size=(3, 4))
    numeric = approx_fprime(
        w.ravel(), lambda v: reference.penalty([v.reshape(3, 4)], 0.3, 0.7), 1e-7
    )
    np.testing.assert_allclose(reference.penalty_gradient(w, 0.3, 0.7).ravel(), numeric, atol=1e-5)


def test_squared_error_is_half_the_square_of_the_difference():
    a, y = np.array([[0.25, 2.0]]), np.array([[1.0, -1.0]])
    np.testing.assert_array_equal(
        reference.squared_error(a, a, y, "identity"), [[0.75**2 / 2, 9 / 2]]
    )


@pytest.mark.parametrize("output", ["sigmoid", "identity", "exponential"])
def test_output_derivative_is_the_slope_of_the_output_function(output):
    z = np.random.default_rng(0).normal(size=(3, 8))
    function, h = reference.FUNCTIONS[output], 1e-6
    slope = (function(z + h) - function(z - h)) / (2 * h)
    np.testing.assert_allclose(reference.output_derivative(function(z), output), slope, rtol=1e-7)


@pytest.mark.parametrize("output", ["softmax", "increasing"])
def test_outputs_that_couple_nodes_have_no_derivative_of_single_nodes(output):
    assert reference.output_derivative(np.full((2, 3), 0.5), output) is None
