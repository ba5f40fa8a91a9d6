"""The matrices of one step: against finite differences of the cost, and the step that is made."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp import MyANN, reference

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 4))
LABELS = np.arange(40) % 3
PAIRS = [("sigmoid", "LogLoss"), ("softmax", "CrossEntropy"), ("sigmoid", "MSE")]


def small(**options):
    """4-5-4-3 in double precision on a mini-batch of 16 of 40 rows."""
    return MyANN(
        (X, LABELS, X, LABELS),
        2,
        [0, 5, 4, 0],
        3,
        **dict(
            n_size_mini_batch=16, dtype="float64", lambda2_reg=0.3, lambda1_reg=0.2, mom_rate=0.0,
            b_shuffle=False, random_state=0, b_train_on_init=False,
        )
        | options,
    )  # fmt: skip


def cost(ann, loss, with_penalty):
    """The articles' formulas for the first 16 rows, written out."""
    a, y = ann.X_train[:16].T, ann.Y_train[:16].T
    for number, w in enumerate(ann.weights):
        z = w[:, 1:] @ a + w[:, :1]
        last = number == len(ann.weights) - 1
        if last and ann.my_out_function == "softmax":
            a = np.exp(z) / np.exp(z).sum(axis=0)
        else:
            a = 1 / (1 + np.exp(-z))
    costs = {
        "LogLoss": -y * np.log(a) - (1 - y) * np.log(1 - a),
        "CrossEntropy": -y * np.log(a),
        "MSE": (y - a) ** 2 / 2,
    }[loss].sum()
    inner = np.concatenate([w[:, 1:].ravel() for w in ann.weights])
    penalty = 0.3 / 2 * (inner**2).sum() + 0.2 * np.abs(inner).sum()
    return costs + (penalty if with_penalty else 0.0)


def differences(ann, loss, with_penalty, step=1e-6):
    """Central differences of the cost, one weight after the other."""
    found = []
    for w in ann.weights:
        slope = np.empty_like(w)
        for place in np.ndindex(w.shape):
            before = w[place]
            w[place] = before + step
            higher = cost(ann, loss, with_penalty)
            w[place] = before - step
            slope[place] = (higher - cost(ann, loss, with_penalty)) / (2 * step)
            w[place] = before
        found.append(slope)
    return found


@pytest.mark.parametrize("output, loss", PAIRS)
def test_gradients_with_and_without_penalty_are_the_slopes_of_the_cost(output, loss):
    ann = small(my_out_function=output, my_loss_function=loss)
    step = ann.look_into_mini_batch(0)
    for name, with_penalty in (("grad", False), ("grad_with_penalty", True)):
        slopes = differences(ann, loss, with_penalty)
        for found, slope in zip(step[name], slopes, strict=True):
            np.testing.assert_allclose(found, slope, rtol=1e-6, atol=1e-7)
    for without, with_penalty in zip(step["grad"], step["grad_with_penalty"], strict=True):
        np.testing.assert_array_equal(without[:, 0], with_penalty[:, 0])  # no penalty on biases


@pytest.mark.parametrize("output, loss", PAIRS)
def test_deltas_are_the_slopes_of_the_cost_over_z(output, loss):
    """delta[N] = dC/dZ[N]: a bias reaches Z of its node in every sample, with factor 1."""
    ann = small(my_out_function=output, my_loss_function=loss)
    step, slopes = ann.look_into_mini_batch(0), differences(ann, loss, False)
    assert step["delta"][0] is None
    for delta, z, slope in zip(step["delta"][1:], step["Z"][1:], slopes, strict=True):
        assert delta.shape == z.shape
        np.testing.assert_allclose(delta.sum(axis=1), slope[:, 0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("version", reference.VERSIONS)
@pytest.mark.parametrize("bias", reference.BIAS_TREATMENTS)
def test_every_version_shows_the_derivatives_that_it_uses(version, bias):
    ann = small()
    step = ann.look_into_mini_batch(1, version=version, bias=bias)
    n_bias = 1 if bias == "row_added" else 0
    for n, nodes in ((1, 5), (2, 4)):
        a = step["A"][n][1:]
        assert step["D"][n].shape == (nodes + n_bias, 16)
        np.testing.assert_allclose(step["D"][n][n_bias:], a * (1 - a), rtol=1e-12)
    np.testing.assert_allclose(step["D"][3], step["A"][3] * (1 - step["A"][3]), rtol=1e-12)
    made_for_nothing = version == "V1.0"
    assert (step["D"][0] is not None) == (step["delta"][0] is not None) == made_for_nothing
    if made_for_nothing:
        assert step["delta"][0].shape == (4, 16)
    plain = ann.look_into_mini_batch(1)
    for name in ("grad", "grad_with_penalty"):
        for found, wanted in zip(step[name], plain[name], strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_softmax_has_no_derivative_of_single_nodes():
    step = small(my_out_function="softmax", my_loss_function="CrossEntropy").look_into_mini_batch()
    assert step["D"][3] is None


@pytest.mark.parametrize("engine", ["native", "numpy"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("reg_scale", ["per_batch", "per_sample"])
def test_the_step_that_is_made_subtracts_the_gradient_with_penalty(engine, reduction, reg_scale):
    ann = small(
        n_max_batches=1, learn_rate=0.01, engine=engine, reduction=reduction, reg_scale=reg_scale
    )
    before = [w.copy() for w in ann.weights]
    step = ann.look_into_mini_batch(0)
    ann.fit()
    for w, old, gradient in zip(ann.weights, before, step["grad_with_penalty"], strict=True):
        np.testing.assert_allclose(old - w, 0.01 * gradient, rtol=1e-9, atol=1e-14)
