"""Matrix products by BLAS, or by the package's own kernels."""

from __future__ import annotations

import pickle
import subprocess
import sys
from copy import deepcopy

import numpy as np
import pytest
from cases import TOLERANCE, make_classes, relative_difference

from fastmlp import Checkpoint, MLPClassifier, MyANN, Network, Trainer, cli, load, save
from fastmlp.engine import plan
from fastmlp.engine.products import PRODUCTS, resolve_products
from fastmlp.exceptions import EnvironmentVariableError, ResumeError

WIDE_AND_NARROW = (40, 300, 20, 3)
"""The first layer has panels of its weights, the others the kernels of narrow layers."""


def train(products="auto", *, sizes=WIDE_AND_NARROW, dtype="float64", engine="native", n_threads=1):
    x, y = make_classes(90, sizes[0], sizes[-1], seed=1)
    network = Network(sizes, activation="tanh", dtype=dtype, initializer="glorot", random_state=0)
    trainer = Trainer(
        network,
        optimizer="adam",
        l2=1e-3,
        batch_size=40,
        engine=engine,
        products=products,
        n_threads=n_threads,
        random_state=1,
    )
    trainer.fit(x, y, n_epochs=3)
    return trainer


def weights(*args, **options):
    return train(*args, **options).network.parameters


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("products", ["blas", "own"])
def test_each_alone_agrees_with_the_reference(products, dtype):
    expected = weights(engine="numpy", dtype=dtype)
    found = weights(products, dtype=dtype)
    assert relative_difference(found, expected) <= TOLERANCE[dtype]


def test_products_of_several_chunks_are_added_up_by_blas():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5000, 20)), rng.normal(size=(5000, 2))  # 625 rows a lane, 256 a chunk
    found = {}
    for engine, products in (("native", "blas"), ("numpy", "auto")):
        network = Network((20, 140, 2), random_state=0, dtype="float64", output="identity")
        trainer = Trainer(
            network, batch_size=5000, engine=engine, products=products, reduction="mean"
        )
        trainer.learning_rate = 0.1
        trainer.fit(x, y, n_epochs=2)
        found[engine] = network.parameters
    assert relative_difference(found["native"], found["numpy"]) <= TOLERANCE["float64"]


@pytest.mark.parametrize("products", ["blas", "own"])
def test_bits_of_each_alone_do_not_depend_on_threads(products):
    alone = weights(products)
    assert all(np.array_equal(alone, weights(products, n_threads=n)) for n in (2, 3))


def test_each_is_what_the_engine_uses_in_every_layer(monkeypatch):
    monkeypatch.delenv("FASTMLP_PRODUCTS", raising=False)
    used = {each: train(each).objective.engine.network_plan.narrow for each in ("blas", "own")}
    assert used == {"blas": (False,) * 3, "own": (False, True, True)}
    uses = {each: train(each).objective.engine.uses_blas for each in PRODUCTS}
    assert uses == {"auto": False, "blas": True, "own": False}


def test_own_products_are_what_is_chosen_today(monkeypatch):
    monkeypatch.delenv("FASTMLP_PRODUCTS", raising=False)
    np.testing.assert_array_equal(weights("own"), weights("auto"))
    assert not np.array_equal(weights("blas"), weights("auto"))


@pytest.mark.parametrize("products", ["own", "blas"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("n_features", [144, 101])
def test_narrow_layers_train_alike_in_batches_of_few_rows(n_features, shuffle, dtype, products):
    """Up to 16 rows the weights of the first go into panels; those of the second are too few."""
    x, y = make_classes(90, n_features, 3, seed=1)
    for batch_size in (1, 7, plan.PANEL_BATCH_ROWS, plan.PANEL_BATCH_ROWS + 1):
        found = {}
        for engine in ("native", "numpy"):
            network = Network((n_features, 100, 20, 3), dtype=dtype, random_state=0)
            options = {"products": products} if engine == "native" else {}
            Trainer(
                network, optimizer="adam", batch_size=batch_size, engine=engine, shuffle=shuffle,
                random_state=1, **options,
            ).fit(x, y, n_epochs=2)  # fmt: skip
            found[engine] = network.parameters
        assert relative_difference(found["native"], found["numpy"]) <= TOLERANCE[dtype]


def test_layers_with_many_weights_have_panels_in_batches_of_few_rows():
    network = plan.plan_network((784, 100, 20, 3), 4)
    assert network.narrow == plan.trains_narrowly(network, 17) == (True,) * 3
    assert plan.trains_narrowly(network, 16) == (False, True, True)
    blas = plan.plan_network((784, 100, 20, 3), 4, "blas")
    assert plan.trains_narrowly(blas, 500) == (False,) * 3


def test_a_wide_fit_needs_little_of_a_threads_stack():
    code = """
import threading
import numpy as np
from fastmlp import Network, Trainer
x, y = np.ones((200, 30), np.float32), np.ones((200, 300), np.float32)
trainer = Trainer(Network((30, 300, 300), random_state=0), batch_size=200, n_threads=1)
threading.stack_size(1 << 16)
thread = threading.Thread(target=trainer.fit, args=(x, y), kwargs={"n_epochs": 2})
thread.start()
thread.join()
assert trainer.n_steps == 2
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_engine_changes_between_few_and_many_rows():
    """Each fit as if it was the engine's first."""
    x, y = make_classes(90, 144, 3, seed=1)

    def fit(trainer, batch_size):
        trainer.network.initialize(random_state=0)
        trainer.batch_size = batch_size
        trainer.fit(x, y, n_epochs=1)
        return trainer.network.parameters.copy()

    def make():
        return Trainer(Network((144, 100, 3), random_state=0), shuffle=False)

    one = make()
    for batch_size in (40, 8, 40, 3):
        np.testing.assert_array_equal(fit(one, batch_size), fit(make(), batch_size))


def test_the_variable_decides_for_training_and_prediction_unless_the_argument_does(monkeypatch):
    monkeypatch.setenv("FASTMLP_PRODUCTS", "blas")
    trainer = train()
    assert trainer.products == "blas"
    assert not any(trainer.network.plan.narrow)
    assert trainer.network.plan.few_rows == 1
    assert train("own").products == "own"
    x = np.random.default_rng(0).normal(size=(50, 40))
    one_by_one = np.vstack([trainer.network.predict(row[None]) for row in x])
    np.testing.assert_allclose(trainer.network.predict(x), one_by_one, rtol=1e-12)


@pytest.mark.parametrize(
    ("argument", "variable", "message"),
    [
        ("mkl", "", r"products must be one of 'auto', 'blas', 'own'; got 'mkl'"),
        (None, "", r"products must be one of 'auto', 'blas', 'own'; got None"),
        ("auto", "BLAS", r"FASTMLP_PRODUCTS must be one of 'auto', 'blas', 'own'; got 'BLAS'"),
    ],
)
def test_other_names_are_refused(argument, variable, message):
    kind = ValueError if argument != "auto" else EnvironmentVariableError
    with pytest.raises(kind, match=message):
        resolve_products(argument, {"FASTMLP_PRODUCTS": variable})


def test_a_wrong_variable_is_blamed_on_no_argument_and_no_file(monkeypatch, tmp_path, capsys):
    path = tmp_path / "network.npz"
    save(Network((2, 1)), path)
    monkeypatch.setenv("FASTMLP_PRODUCTS", "mkl")
    for use in (lambda: load(path), lambda: MLPClassifier("3").fit([[0.0], [1.0]], [0, 1])):
        with pytest.raises(EnvironmentVariableError, match=r"^FASTMLP_PRODUCTS must be one of"):
            use()
    assert cli.main(["info", "--shape", "2,1"]) == 2
    assert "fastmlp: error: FASTMLP_PRODUCTS must be one of" in capsys.readouterr().err
    with pytest.raises(
        EnvironmentVariableError, match="FASTMLP_PRODUCTS must be one of 'auto', 'blas', 'own'"
    ):
        Network((2, 1))


def test_the_numpy_engine_has_products_of_its_own(monkeypatch):
    with pytest.raises(ValueError, match="products must be 'auto' for engine='numpy', whose"):
        Trainer(Network((2, 1)), engine="numpy", products="blas")
    with pytest.raises(
        ValueError, match="products must be one of 'auto', 'blas', 'own'; got 'mkl'"
    ):
        Trainer(Network((2, 1)), engine="numpy", products="mkl")
    monkeypatch.setenv("FASTMLP_PRODUCTS", "blas")
    assert Trainer(Network((2, 1)), engine="numpy").products == "auto"


def test_a_run_is_resumed_with_the_same_products_alone(tmp_path):
    x, y = make_classes(60, 4, 2, seed=1)

    def fit(n_epochs, **options):
        trainer = Trainer(Network((4, 3, 2), random_state=0), random_state=1, **options)
        checkpoint = Checkpoint(tmp_path)
        trainer.fit(x, y, n_epochs=n_epochs, callbacks=[checkpoint], resume=tmp_path)

    fit(2, products="blas")
    for other in ("own", "auto"):
        with pytest.raises(ResumeError, match="products"):
            fit(4, products=other)
    fit(4, products="blas")


@pytest.mark.parametrize("copied", [deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_keep_who_computes_the_products(copied, monkeypatch):
    monkeypatch.setenv("FASTMLP_PRODUCTS", "blas")
    network = Network(WIDE_AND_NARROW, random_state=0)
    trainer = Trainer(network, products="own")
    monkeypatch.delenv("FASTMLP_PRODUCTS")
    assert copied(network).plan == network.plan
    assert copied(trainer).objective.engine.network_plan.narrow == (False, True, True)
    assert copied(Network(WIDE_AND_NARROW)).plan.products == "auto"


def test_my_ann_hands_the_choice_to_its_trainer():
    options = {"ay_nodes_layers": [0, 5, 0], "n_epochs": 1, "random_state": 0}
    assert MyANN("digits", products="blas", **options).trainer.products == "blas"
    with pytest.raises(
        ValueError, match="products must be one of 'auto', 'blas', 'own'; got 'gemm'"
    ):
        MyANN("digits", products="gemm", **options)
