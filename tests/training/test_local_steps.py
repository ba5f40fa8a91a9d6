"""Local steps: shards that train by themselves between averages of weights and states."""

import numpy as np
import pytest

from fastmlp import Network, Trainer
from fastmlp.data import ArraySource
from fastmlp.data.sharded import shard_rows
from fastmlp.exceptions import DivergenceError

N_ROWS, N_SHARDS, BATCH = 331, 4, 40
rng = np.random.default_rng(0)
X = rng.normal(size=(N_ROWS, 6))
Y = np.eye(3)[X[:, :3].argmax(axis=1)]
WEIGHTS = rng.random(N_ROWS) + 0.5


def trainer(activation="tanh", **settings):
    network = Network((6, 9, 3), activation=activation, output="softmax", dtype="float64",
                      random_state=0)  # fmt: skip
    given = {"optimizer": "adam", "learning_rate": 0.01, "reduction": "mean", "batch_size": BATCH,
             "random_state": 1, **settings}  # fmt: skip
    return Trainer(network, **given)


def fitted(n_epochs=2, weights=None, local_steps=3, window_rows=None, **settings):
    run = trainer(**settings)
    source = ArraySource(X, Y, weights)
    run.fit(source, n_epochs=n_epochs, n_shards=N_SHARDS, local_steps=local_steps,
            window_rows=window_rows)  # fmt: skip
    return run


def by_hand(n_steps, weights=None, **settings):
    """One epoch in the order of the rows: each shard by a Trainer of its own, then means."""
    common = trainer(**settings)
    n_batches = -(-N_ROWS // BATCH)
    parts = [np.arange(*shard_rows(N_ROWS, N_SHARDS, shard)) for shard in range(N_SHARDS)]
    done = 0
    for begin in range(0, n_batches, n_steps):
        end = min(begin + n_steps, n_batches)
        results = []
        for shard, rows in enumerate(parts):
            alone = trainer(**settings)
            alone.set_weights(common.network.parameters)
            alone.states, alone.n_steps = common.states, done
            alone.epochs_done = 0
            for batch in range(begin, end):
                positions = range(batch * BATCH, min((batch + 1) * BATCH, N_ROWS))
                chosen = rows[[p // N_SHARDS for p in positions if p % N_SHARDS == shard]]
                alone.batch_size = len(chosen)
                alone.fit(X[chosen], Y[chosen], reset=False, end_of_epoch=False,
                          sample_weight=None if weights is None else weights[chosen])  # fmt: skip
            results.append((alone.network.parameters.copy(), alone.states.copy()))
        done += end - begin
        common.set_weights(np.mean([r[0] for r in results], axis=0))
        common.states = np.mean([r[1] for r in results], axis=0)
    return common


@pytest.mark.parametrize("n_steps", [1, 3, 100])
@pytest.mark.parametrize(
    "settings",
    [{}, {"optimizer": "sgd", "momentum": 0.5, "momentum_rule": "classical"}, {"l2": 0.01}],
    ids=["adam", "momentum", "l2"],
)
def test_weights_and_states_are_the_means_of_trainers_on_single_shards(n_steps, settings):
    ours = fitted(1, local_steps=n_steps, shuffle=False, **settings)
    expected = by_hand(n_steps, shuffle=False, **settings)
    np.testing.assert_allclose(
        ours.network.parameters, expected.network.parameters, rtol=1e-10, atol=1e-13
    )
    np.testing.assert_allclose(ours.states, expected.states, rtol=1e-10, atol=1e-13)


def test_sample_weights_count_within_each_shard():
    ours = fitted(1, WEIGHTS, shuffle=False)
    expected = by_hand(3, WEIGHTS, shuffle=False)
    np.testing.assert_allclose(
        ours.network.parameters, expected.network.parameters, rtol=1e-10, atol=1e-13
    )


def test_the_number_of_threads_changes_no_bit():
    one, three = fitted(n_threads=1, dropout=0.2), fitted(n_threads=3, dropout=0.2)
    assert np.array_equal(one.network.parameters, three.network.parameters)
    assert np.array_equal(one.last_epoch.costs, three.last_epoch.costs)


def test_a_run_learns_and_counts_all_batches():
    run = fitted(40, learning_rate=0.02)
    assert run.n_steps == 40 * -(-N_ROWS // BATCH)
    assert run.evaluate(X, Y).accuracy > 0.95
    assert run.last_epoch.costs.min() > 0


@pytest.mark.parametrize("shuffle", [True, False])
def test_measures_are_weighted_means_of_the_rows(shuffle):
    weights = np.random.default_rng(2).choice([0.1, 1.0, 10.0], len(X))
    settings = {"learning_rate": 0.0, "batch_size": 30, "shuffle": shuffle}
    run, together = fitted(1, weights, local_steps=2, **settings), trainer(**settings)
    together.fit(ArraySource(X, Y, weights), n_epochs=1, n_shards=N_SHARDS)
    for name in ("costs", "errors", "accuracies"):
        ours, expected = (getattr(r.last_epoch, name) for r in (run, together))
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


@pytest.mark.parametrize("n_steps", [1, 4])
def test_measures_are_means_over_the_rows_also_where_a_shard_has_none(n_steps):
    # Batches of 33 leave one row for the last one, of which three shards have none.
    settings = {"learning_rate": 0.0, "batch_size": 33, "l2": 0.1, "shuffle": False}
    run, together = fitted(1, local_steps=n_steps, **settings), trainer(**settings)
    together.fit(ArraySource(X, Y), n_shards=N_SHARDS)
    for name in ("costs", "penalties", "errors", "accuracies"):
        ours, expected = (getattr(r.last_epoch, name) for r in (run, together))
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_rounds_end_with_windows():
    # Windows of 80 rows have two batches, so that rounds of three are cut to two.
    of_windows = fitted(1, local_steps=3, window_rows=80, shuffle=False)
    expected = by_hand(2, shuffle=False)
    np.testing.assert_allclose(
        of_windows.network.parameters, expected.network.parameters, rtol=1e-10, atol=1e-13
    )


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_a_divergence_leaves_the_weights_of_the_last_average():
    run = trainer("relu", optimizer="sgd", learning_rate=1e300)
    before = run.network.parameters.copy()
    with pytest.raises(DivergenceError):
        run.fit(ArraySource(X * 1e10, Y), n_epochs=3, n_shards=N_SHARDS, local_steps=5)
    assert np.isfinite(run.network.parameters).all()
    assert np.array_equal(run.network.parameters, before)


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        ({}, {"local_steps": 2}, "local_steps needs n_shards; got local_steps=2 alone"),
        ({"reduction": "sum"}, {"local_steps": 2, "n_shards": 4},
         "local_steps needs reduction='mean'; got reduction='sum'"),
        ({}, {"local_steps": 0, "n_shards": 4}, "local_steps must be at least 1; got 0"),
    ],
)  # fmt: skip
def test_what_local_steps_need_is_said_before_training(settings, given, message):
    run = trainer(**settings)
    with pytest.raises(ValueError, match=message):
        run.fit(ArraySource(X, Y), **given)
    assert run.n_steps == 0
