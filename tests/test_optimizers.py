"""The optimizers: engine against twin, both against the papers and PyTorch, and bad arguments."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from cases import make_classes, name_of, relative_difference

from fastmlp import Network, Trainer
from fastmlp.engine import _core
from fastmlp.engine import plan as _plan
from fastmlp.losses import Loss
from fastmlp.optimizers import SGD, Adam, AdamW, RMSprop, check_optimizer

OPTIMIZERS = [
    SGD(),
    SGD(0.9, "one_step"),
    SGD(0.9, "classical"),
    SGD(0.9, "nesterov"),
    Adam(),
    Adam(0.8, 0.95, 0.01, epsilon_hat=True),
    AdamW(weight_decay=0.1),
    RMSprop(),
    RMSprop(rho=0.9, epsilon=0.01, momentum=0.7),
]
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)


# --- Engine against twin --------------------------------------------------------------------------

NETWORKS = {
    "one lane": ((3, 5, 2), 7),
    "two lanes": ((13, 33, 17, 4), 130),
    "blocks": ((150, 330, 270, 3), 90),
}
"""Widths that fill no vectors, and a batch size."""

OPTIONS = [
    dict(reduction="sum", l1=1e-3, l2=1e-2),
    dict(reduction="mean", l2=1e-2, weighted=True, penalty_scale="per_sample"),
    dict(reduction="mean", l1=1e-3, penalty_scale="per_weight", activation="relu"),
    dict(reduction="sum", weighted=True, output="identity"),
]


def fit(
    engine,
    sizes,
    batch_size,
    optimizer,
    *,
    n_epochs,
    weighted=False,
    activation="tanh",
    output="softmax",
    **options,
):
    x, y = make_classes(3 * batch_size - 2, sizes[0], sizes[-1], seed=4)
    weights = np.random.default_rng(0).uniform(0.2, 2, len(x)) if weighted else None
    network = Network(
        sizes,
        activation=activation,
        output=output,
        dtype="float64",
        initializer="glorot",
        random_state=5,
    )
    rate = 0.01 if isinstance(optimizer, SGD) else 0.001
    if options["reduction"] == "sum" and isinstance(optimizer, SGD):
        rate /= batch_size
    trainer = Trainer(
        network,
        engine=engine,
        optimizer=optimizer,
        learning_rate=rate,
        batch_size=batch_size,
        random_state=3,
        n_threads=2,
        **options,
    )
    return trainer, trainer.fit(x, y, n_epochs=n_epochs, sample_weight=weights)


@every_optimizer
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_many_steps_agree_with_the_reference_in_weights_states_and_records(
    name, options, optimizer
):
    """Shuffled, with a last batch that is two rows short."""
    sizes, batch_size = NETWORKS[name]
    plan = _plan.plan_batch(batch_size, sizes, 8)
    assert (plan.blocks, plan.n_lanes) == (name == "blocks", 2 if name == "two lanes" else 1)
    n_epochs = 3 if name == "blocks" else 25
    (native, found), (twin, expected) = (
        fit(engine, sizes, batch_size, optimizer, n_epochs=n_epochs, **options)
        for engine in ("native", "numpy")
    )
    assert relative_difference(native.network.parameters, twin.network.parameters) <= 1e-9
    if optimizer != SGD():  # without momentum it has no use for a memory
        for state, twin_state in zip(native.states, twin.states, strict=True):
            assert relative_difference(state, twin_state) <= 1e-9
    for record in ("costs", "errors", "reg_share", "batch_accuracy"):
        np.testing.assert_allclose(found[record], expected[record], rtol=1e-8, atol=1e-12)


@every_optimizer
def test_training_in_pieces_is_the_training_in_one(optimizer):
    """Adam's bias correction counts the steps before this call; states go in and come out."""
    x, y = make_classes(90, 5, 2)
    results = []
    for pieces in ([0, 9], [0, 1, 2, 6, 9]):
        network = Network((5, 7, 2), dtype="float64", random_state=0)
        loss = Loss("log_loss")
        engine = _core.Engine(network.sizes, network.functions, loss, network.dtype, 1)
        states = np.zeros((optimizer.n_states, network.n_parameters))
        records = np.zeros((4, 9))
        for first, last in pairwise(pieces):
            status, done, _ = engine.train(
                network.parameters, states, x, y, order=None, sample_weights=None, batch_size=10,
                first_batch=first, last_batch=last, optimizer=optimizer, learning_rate=0.01,
                n_steps=first, l1=0.0, l2=0.0, l1_cost=0.0, mean_reduction=True,
                penalty_scale="per_batch", costs=records[0], penalties=records[1],
                errors=records[2], accuracies=records[3],
            )  # fmt: skip
            assert (status, done) == (_core.DONE, last - first)
        results.append(np.concatenate([network.parameters, states.ravel(), records.ravel()]))
    np.testing.assert_array_equal(*results)


# --- Against the papers, on one weight and one bias -----------------------------------------------

X = np.array([0.5, -1.0, 2.0, 1.5, -0.25])
Y = np.array([1.0, -1.5, 3.0, 2.5, 0.0])
START = np.array([0.3, -0.4])
RATE, MOMENTUM = 0.05, 0.9


def one_step(w, g, s, t):
    """Article M8: the step, and `momentum` times the step before without its own momentum."""
    step, before = RATE * g, s.get("step", 0.0)
    s["step"] = step
    return w - step - MOMENTUM * before


def classical(w, g, s, t):
    """Sutskever et al. (2013), equations 1 and 2."""
    s["v"] = MOMENTUM * s.get("v", 0.0) - RATE * g
    return w + s["v"]


def nesterov(w, g, s, t):
    """Equations 3 and 4: the gradient is taken ahead of theta, at w = theta + momentum v."""
    theta = s.get("theta", w)
    v = MOMENTUM * s.get("v", 0.0) - RATE * g
    s["theta"], s["v"] = theta + v, v
    return theta + v + MOMENTUM * v


def moments(g, s, beta_1, beta_2):
    s["m"] = beta_1 * s.get("m", 0.0) + (1 - beta_1) * g
    s["v"] = beta_2 * s.get("v", 0.0) + (1 - beta_2) * g * g
    return s["m"], s["v"]


def adam(w, g, s, t):
    """Kingma and Ba (2015), algorithm 1."""
    m, v = moments(g, s, 0.8, 0.95)
    return w - RATE * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 0.01)


def adam_with_epsilon_hat(w, g, s, t):
    """The end of section 2: a step size of alpha_t, and epsilon beside the raw root."""
    m, v = moments(g, s, 0.8, 0.95)
    return w - RATE * np.sqrt(1 - 0.95**t) / (1 - 0.8**t) * m / (np.sqrt(v) + 0.01)


def adamw(w, g, s, t):
    """Loshchilov and Hutter (2019), algorithm 2, with PyTorch's eta = alpha in the decay."""
    return adam(w, g, s, t) - RATE * 0.3 * w


def rmsprop(w, g, s, t):
    """Tieleman and Hinton (2012), slide 29, with PyTorch's epsilon and momentum."""
    s["mean square"] = 0.9 * s.get("mean square", 0.0) + 0.1 * g * g
    s["b"] = 0.7 * s.get("b", 0.0) + g / (np.sqrt(s["mean square"]) + 0.01)
    return w - RATE * s["b"]


PAPERS = [
    (SGD(MOMENTUM, "one_step"), one_step),
    (SGD(MOMENTUM, "classical"), classical),
    (SGD(MOMENTUM, "nesterov"), nesterov),
    (SGD(), lambda w, g, s, t: w - RATE * g),
    (Adam(0.8, 0.95, 0.01), adam),
    (Adam(0.8, 0.95, 0.01, epsilon_hat=True), adam_with_epsilon_hat),
    (AdamW(0.8, 0.95, 0.01, weight_decay=0.3), adamw),
    (RMSprop(rho=0.9, epsilon=0.01, momentum=0.7), rmsprop),
]


def fit_line(optimizer, *, engine="native", n_epochs=20, weights=None, **options):
    network = Network((1, 1), output="identity", dtype="float64")
    network.parameters[...] = START
    trainer = Trainer(
        network, engine=engine, optimizer=optimizer, learning_rate=RATE, shuffle=False, **options
    )
    trainer.fit(X[:, None], Y[:, None], n_epochs=n_epochs, sample_weight=weights)
    return network.parameters


@pytest.mark.parametrize("engine", ["native", "numpy"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("optimizer, formula", PAPERS, ids=lambda value: name_of(value)[:60])
def test_line_fit_follows_the_formula_of_the_paper(optimizer, formula, reduction, engine):
    """Batches of 2, 2 and 1 weighted rows; the gradient of the weight alone has a penalty."""
    l1, l2 = 0.02, 0.03
    sample_weights = np.array([1.0, 0.5, 2.0, 0.25, 1.5])
    w, states, t = START.copy(), ({}, {}), 0
    for _ in range(20):
        for rows in (slice(0, 2), slice(2, 4), slice(4, 5)):
            t += 1
            x, r = X[rows], sample_weights[rows]
            difference = r * (w[0] + w[1] * x - Y[rows])
            gradient = np.array([difference.sum(), (difference * x).sum()])
            gradient /= r.sum() if reduction == "mean" else 1
            gradient[1] += l2 * w[1] + l1 * np.sign(w[1])
            w = np.array([formula(*each, t) for each in zip(w, gradient, states, strict=True)])
    found = fit_line(
        optimizer,
        engine=engine,
        weights=sample_weights,
        batch_size=2,
        l1=l1,
        l2=l2,
        reduction=reduction,
    )
    np.testing.assert_allclose(found, w, rtol=1e-11)


@pytest.mark.parametrize(
    "optimizer, expected",
    [
        (SGD(0.9, "classical"), [-0.4301196461007174, 1.2483360396796161]),
        (SGD(0.9, "nesterov"), [-0.15891921230756031, 1.4647866085426493]),
        (Adam(), [1.0086327934011152, 0.5334611907605499]),
        (Adam(0.8, 0.9, 0.1), [0.9017556110096073, 0.5015005668045203]),
        (AdamW(), [1.0034926582299435, 0.532947661378089]),
        (AdamW(weight_decay=0.5), [0.7900763761544208, 0.4984425371738294]),
        (RMSprop(), [0.23065720111510996, 1.422495257974835]),
        (RMSprop(rho=0.9, epsilon=0.1, momentum=0.7), [0.14578023603632115, 1.5058227470810315]),
    ],
    ids=str,
)
def test_line_fit_ends_where_pytorch_ends(optimizer, expected):
    """20 steps of torch.optim 2.13.0 in float64 on ((p[0] + p[1] * x - y) ** 2 / 2).mean().

    With lr=0.05, the same names of the classes, betas=(beta_1, beta_2), eps=epsilon, alpha=rho, and
    PyTorch's defaults where the optimizer here has its own.
    """
    np.testing.assert_allclose(fit_line(optimizer, reduction="mean"), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "name, optimizer",
    [
        ("sgd", SGD()),
        ("adam", Adam()),
        ("adamw", AdamW()),
        ("rmsprop", RMSprop()),
    ],
)
def test_name_of_an_optimizer_stands_for_its_defaults(name, optimizer):
    np.testing.assert_array_equal(fit_line(name), fit_line(optimizer))
    assert check_optimizer(optimizer) is optimizer


def test_momentum_of_the_trainer_is_that_of_sgd():
    expected = fit_line(SGD(0.5, "nesterov"))
    np.testing.assert_array_equal(fit_line("sgd", momentum=0.5, momentum_rule="nesterov"), expected)


# --- Threads --------------------------------------------------------------------------------------


@every_optimizer
@pytest.mark.parametrize("blocks", [False, True])
def test_bits_are_the_same_for_one_to_eight_threads(optimizer, blocks, monkeypatch):
    monkeypatch.setattr(_plan, "MIN_WORKER_FLOP", 1)
    monkeypatch.setattr(_plan, "BLOCK_PARAMETER_BYTES", 0 if blocks else 2**60)
    monkeypatch.setattr(_plan, "BLOCK_ROWS", 32)  # eight blocks, one per thread
    sizes, batch_size = (40, 150, 33, 5), 490
    x, y = make_classes(1100, sizes[0], sizes[-1])
    weights = np.random.default_rng(0).uniform(size=1100)
    hashes = set()
    for n_threads in range(1, 9):
        plan = _plan.plan_batch(batch_size, sizes, 4, n_threads)
        assert (plan.blocks, plan.n_workers) == (blocks, n_threads), "the team would not be tested"
        network = Network(sizes, activation="relu", output="softmax", random_state=0)
        trainer = Trainer(
            network,
            optimizer=optimizer,
            batch_size=batch_size,
            reduction="mean",
            l1=1e-3,
            l2=1e-2,
            n_threads=n_threads,
            random_state=1,
        )
        history = trainer.fit(x, y, n_epochs=2, sample_weight=weights)
        everything = (network.parameters, trainer.states, history["costs"], history["errors"])
        hashes.add(hashlib.sha256(b"".join(a.tobytes() for a in everything)).hexdigest())
    assert len(hashes) == 1


def test_a_block_where_the_share_of_a_thread_begins_is_updated_once(monkeypatch):
    """The second matrix of 16-16-16 begins in the middle of the engine's vector, at 288 of 576."""
    monkeypatch.setattr(_plan, "MIN_WORKER_FLOP", 1)
    x, y = make_classes(480, 16, 16)
    for sizes in [(16, 16, 16), (16, 32, 16), (16, 48, 32, 16), (16, 16, 16, 16, 16)]:
        results = []
        for n_threads in (1, 2, 3, 4, 8):
            assert _plan.plan_batch(480, sizes, 8, n_threads).n_workers == n_threads
            network = Network(sizes, dtype="float64", random_state=0)
            trainer = Trainer(network, optimizer="adam", n_threads=n_threads, batch_size=480)
            trainer.fit(x, y, n_epochs=3)
            results.append(network.parameters)
        assert all(np.array_equal(result, results[0]) for result in results), sizes


# --- Bad arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize("make, error, message", [
    (lambda: SGD(1.5), ValueError, "momentum must be a finite number, 0 to 1; got 1.5"),
    (lambda: SGD("a"), TypeError, "momentum must be a number; got 'a'"),
    (lambda: SGD(0.5, "polyak"), ValueError,
     "momentum_rule must be one of 'one_step', 'classical', 'nesterov'; got 'polyak'"),
    (lambda: Adam(beta_1=1.0), ValueError,
     "beta_1 must be a finite number, at least 0 and below 1; got 1.0"),
    (lambda: Adam(beta_1=-0.1), ValueError,
     "beta_1 must be a finite number, at least 0 and below 1; got -0.1"),
    (lambda: Adam(beta_2=1), ValueError,
     "beta_2 must be a finite number, at least 0 and below 1; got 1$"),
    (lambda: Adam(beta_2=True), TypeError, "beta_2 must be a number; got True"),
    (lambda: Adam(epsilon=-1e-8), ValueError,
     "epsilon must be a finite number, at least 0; got -1e-08"),
    (lambda: Adam(epsilon_hat=1), TypeError, "epsilon_hat must be True or False; got 1"),
    (lambda: AdamW(weight_decay=-1), ValueError,
     "weight_decay must be a finite number, at least 0; got -1"),
    (lambda: AdamW(beta_1=2), ValueError, "beta_1 must be a finite number, .* below 1; got 2"),
    (lambda: AdamW(beta_2=np.nan), ValueError, "beta_2 must be a finite number, .*; got nan"),
    (lambda: RMSprop(rho=1.0), ValueError,
     "rho must be a finite number, at least 0 and below 1; got 1.0"),
    (lambda: RMSprop(epsilon=np.nan), ValueError,
     "epsilon must be a finite number, at least 0; got nan"),
    (lambda: RMSprop(momentum=2), ValueError, "momentum must be a finite number, 0 to 1; got 2"),
    (lambda: check_optimizer("lbfgs"), ValueError,
     "optimizer must be one of 'sgd', 'adam', 'adamw', 'rmsprop'; got 'lbfgs'"),
    (lambda: check_optimizer(Adam), TypeError, "optimizer must be one of .*; got <class"),
    (lambda: check_optimizer("adam", 0.5), ValueError,
     "momentum_rule apply to optimizer 'sgd' only; got 0.5 and 'one_step' with 'adam'"),
    (lambda: check_optimizer(RMSprop(), 0.0, "nesterov"), ValueError,
     r"apply to optimizer 'sgd' only; got 0.0 and 'nesterov' with RMSprop\(rho=0.99"),
    (lambda: check_optimizer("sgd", -1), ValueError, "momentum must be a finite number"),
])  # fmt: skip
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_every_decay_below_one_is_taken():
    largest = np.nextafter(1.0, 0.0)
    assert Adam(beta_1=largest, beta_2=largest).beta_1 == RMSprop(rho=largest).rho == largest
    assert Adam(beta_1=0, beta_2=0) != Adam(beta_1=0.0, beta_2=largest)
