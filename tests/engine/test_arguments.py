"""The engine's own last look at what its calls are given: errors, never memory that is not its."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from fastmlp import Network, Trainer
from fastmlp.engine import _core
from fastmlp.engine.rows import SparseRows
from fastmlp.losses import check_loss
from fastmlp.optimizers import SGD, Adam

SIZES, N = (5, 4, 3), 20
N_PARAMETERS = 6 * 4 + 5 * 3


def make_engine(dtype="float32"):
    return _core.Engine(SIZES, ("tanh", "sigmoid"), check_loss("squared_error"), dtype, 2)


def training_call(**changed):
    """Arguments of a call that works, some of them changed."""
    rng = np.random.default_rng(0)
    x, y = rng.random((N, 5), dtype=np.float32), rng.random((N, 3), dtype=np.float32)
    parameters = rng.random(N_PARAMETERS, dtype=np.float32)
    states = np.zeros((2, N_PARAMETERS), np.float32)
    records = {name: np.zeros(3) for name in ("costs", "penalties", "errors", "accuracies")}
    keywords = dict(
        order=np.arange(N)[::-1].copy(), sample_weights=np.ones(N, np.float32), batch_size=8,
        first_batch=0, last_batch=3, optimizer=Adam(), learning_rate=0.01, n_steps=0, l1=0.0,
        l2=0.0, l1_cost=0.0, mean_reduction=False, penalty_scale="per_batch", dropout=(0.1,),
        dropout_seed=1, progress=np.zeros(1, np.intp), parameters=parameters, states=states, x=x,
        targets=y, **records,
    )  # fmt: skip
    keywords |= changed
    arrays = [keywords.pop(name) for name in ("parameters", "states", "x", "targets")]
    return arrays, keywords


def test_the_unchanged_call_trains():
    arrays, keywords = training_call()
    before = arrays[0].copy()
    assert make_engine().train(*arrays, **keywords)[:2] == (_core.DONE, 3)
    assert (arrays[0] != before).all()


F4, F8 = np.float32, np.float64
WRONG = {
    "parameters: too few": dict(parameters=np.zeros(N_PARAMETERS - 1, F4)),
    "parameters: float64": dict(parameters=np.zeros(N_PARAMETERS, F8)),
    "parameters: strided": dict(parameters=np.zeros(2 * N_PARAMETERS, F4)[::2]),
    "parameters: no array": dict(parameters=[0.0] * N_PARAMETERS),
    "states: of one only": dict(states=np.zeros((1, N_PARAMETERS), F4)),
    "states: of another network": dict(states=np.zeros((2, N_PARAMETERS + 7), F4)),
    "states: float64": dict(states=np.zeros((2, N_PARAMETERS), F8)),
    "states: of SGD for Adam": dict(states=np.zeros((1, N_PARAMETERS), F4), optimizer=Adam()),
    "parameters must": dict(parameters=None),
    "targets must be an array": dict(targets=None),
    "states must": dict(states=None),
    "errors must": dict(errors=None),
    "x: a column too few": dict(x=np.zeros((N, 4), F4)),
    "x: float64": dict(x=np.zeros((N, 5), F8)),
    "targets: a row too few": dict(targets=np.zeros((N - 1, 3), F4)),
    "targets: a column too few": dict(targets=np.zeros((N, 2), F4)),
    "sample_weights: one too few": dict(sample_weights=np.ones(N - 1, F4)),
    "order must hold: beyond the rows": dict(order=np.full(N, N)),
    "order must hold: negative": dict(order=np.full(N, -1)),
    "order: int32": dict(order=np.zeros(N, np.int32)),
    "batch_size: 0": dict(batch_size=0),
    "batch_size: -1": dict(batch_size=-1),
    "first_batch: negative": dict(first_batch=-1),
    "first_batch: after the last": dict(first_batch=3, last_batch=2),
    "last_batch: beyond the rows": dict(last_batch=4),
    "costs: too few": dict(costs=np.zeros(2)),
    "penalties: too few": dict(penalties=np.zeros(2)),
    "errors: float32": dict(errors=np.zeros(3, F4)),
    "accuracies: read-only": dict(accuracies=np.frombuffer(bytes(24))),
    "progress: empty": dict(progress=np.zeros(0, np.intp)),
    "len(dropout): more than hidden layers": dict(dropout=(0.1, 0.1)),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_array_that_does_not_fit_is_named_before_anything_is_changed(what):
    engine = make_engine()
    arrays, keywords = training_call(**WRONG[what])
    before = np.array(arrays[0], copy=True)
    name = "last_batch" if what == "costs: too few" else what.split(":")[0]
    with pytest.raises(ValueError) as error:
        engine.train(*arrays, **keywords)
    assert name in str(error.value)
    np.testing.assert_array_equal(arrays[0], before)
    arrays, keywords = training_call()  # and the engine is free again
    assert engine.train(*arrays, **keywords)[0] == _core.DONE


@pytest.mark.parametrize("name", ["x", "targets", "parameters", "sample_weights"])
def test_evaluation_and_gradient_look_too(name):
    engine = make_engine()
    arguments = dict(
        parameters=np.zeros(N_PARAMETERS, F4), x=np.zeros((N, 5), F4),
        targets=np.zeros((N, 3), F4), sample_weights=np.ones(N, F4),
    )  # fmt: skip
    arguments[name] = arguments[name][:-1] if name != "x" else np.zeros((N, 4), F4)
    with pytest.raises(ValueError, match=name):
        engine.evaluate(*arguments.values())
    with pytest.raises(ValueError, match=name):
        engine.gradient(*arguments.values(), np.zeros(N_PARAMETERS, F4))


def test_outputs_must_fit():
    engine, x = make_engine(), np.zeros((N, 5), F4)
    parameters = np.zeros(N_PARAMETERS, F4)
    with pytest.raises(ValueError, match="out must hold 60 aligned numbers"):
        engine.predict(parameters, x, np.zeros((N, 2), F4))
    with pytest.raises(ValueError, match="out must hold 39 aligned numbers"):
        engine.gradient(parameters, x, np.zeros((N, 3), F4), None, np.zeros(3, F4))
    with pytest.raises(ValueError, match="parameters must hold 39 numbers"):
        engine.predict_dense(parameters[1:], x[:1])


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")  # of NumPy 2.5
def test_states_whose_shape_was_changed_in_place_are_read_by_the_sizes_of_the_engine():
    arrays, keywords = training_call()
    expected = training_call()[0]
    make_engine().train(*expected, **training_call()[1])
    arrays[1].shape = (1, -1)
    make_engine().train(*arrays, **keywords)
    np.testing.assert_array_equal(arrays[0], expected[0])
    np.testing.assert_array_equal(arrays[1].ravel(), expected[1].ravel())


def test_read_only_parameters_can_be_evaluated():
    parameters = np.zeros(N_PARAMETERS, F4)
    parameters.setflags(write=False)
    x, y = np.zeros((N, 5), F4), np.zeros((N, 3), F4)
    make_engine().evaluate(parameters, x, y)
    make_engine().gradient(parameters, x, y, None, np.zeros(N_PARAMETERS, F4))
    with pytest.raises(ValueError, match="targets must be an array; got None"):
        make_engine().evaluate(parameters, x, None)


def test_a_sparse_matrix_that_changed_after_its_check_is_refused():
    matrix = csr_matrix(np.eye(N, 5, dtype=F4))
    rows = SparseRows.from_matrix(matrix, np.dtype(F4))
    engine, out = make_engine(), np.zeros((N, 3), F4)
    parameters = np.zeros(N_PARAMETERS, F4)
    assert engine.predict(parameters, rows, out)
    for array, wrong in ((rows.columns, 5), (rows.columns, -1), (rows.begin, 99)):
        kept, array[1] = array[1], wrong
        with pytest.raises(ValueError, match="x is no longer the sparse matrix that was checked"):
            engine.predict(parameters, rows, out)
        array[1] = kept
    assert engine.predict(parameters, rows, out)


def test_many_threads_predict_few_rows_with_one_network():
    """Each call has memory of its own, whether or not the interpreter has a lock."""
    network = Network((30, 50, 20, 4), random_state=0)
    rows = np.random.default_rng(0).random((8, 8, 30), dtype=np.float32)
    alone = [network.predict(part) for part in rows]
    wrong = []

    def predict(part, expected):
        for _ in range(300):
            if not np.array_equal(network.predict(part), expected):
                wrong.append(1)

    threads = [
        threading.Thread(target=predict, args=each) for each in zip(rows, alone, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


ASSIGNMENTS = """
import random, warnings
import numpy as np
from fastmlp import MLPClassifier, MyANN, Network, Trainer
from fastmlp.optimizers import SGD, Adam, RMSprop

warnings.simplefilter("ignore")
random.seed({seed})
rng = np.random.default_rng({seed})
X, Y = rng.random((30, 6)), rng.random((30, 3))


def network():
    sizes = (6, *rng.integers(1, 40, size=rng.integers(0, 3)).tolist(), 3)
    return Network(sizes, dtype=random.choice(["float32", "float64"]), random_state=0)


VALUES = [
    network, lambda: SGD(), lambda: SGD(0.9), lambda: Adam(), lambda: RMSprop(momentum=0.5),
    lambda: "adam", lambda: (), lambda: (0.5,), lambda: [0.1, 0.1], lambda: 0, lambda: -1,
    lambda: 2**70, lambda: 7, lambda: 0.3, lambda: None, lambda: "float64", lambda: np.float64,
    lambda: (6, 2, 3), lambda: np.zeros(5), lambda: np.zeros((2, 500), np.float32),
    lambda: np.arange(30)[::-1], lambda: np.full(30, 10**6), lambda: np.zeros((1, 3)),
    lambda: {{}}, lambda: True, lambda: "relu", lambda: ["tanh"] * 5,
]
refused = done = 0
for _ in range({count}):
    trainer = Trainer(network(), optimizer=random.choice(["sgd", "adam"]), batch_size=7,
                      momentum=0, n_threads=2, random_state=0)
    trainer.fit(X, Y)
    for _ in range(3):
        owner = random.choice([trainer, trainer.network, trainer.objective])
        name = random.choice([n for n in dir(owner) if not n.startswith("_")])
        try:
            if callable(getattr(owner, name)):
                continue
            if isinstance(getattr(owner, name), np.ndarray) and random.random() < 0.5:
                getattr(owner, name).shape = (1, -1)
            setattr(owner, name, random.choice(VALUES)())
        except (TypeError, ValueError, AttributeError):
            refused += 1
    for call in (lambda: trainer.fit(X, Y), lambda: trainer.evaluate(X, Y),
                 lambda: trainer.network.predict(X), lambda: trainer.network.predict(X[:2])):
        try:
            call()
            done += 1
        except (TypeError, ValueError, AttributeError, KeyError, IndexError, ArithmeticError):
            pass
print(refused > 0, done > 0)
"""


def assign(count, seed):
    code = ASSIGNMENTS.format(count=count, seed=seed)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=1200
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout == "True True\n"


def test_attributes_assigned_at_random_never_break_the_process():
    assign(200, seed=0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 6))
def test_attributes_assigned_at_random_for_long_never_break_the_process(seed):
    assign(5000, seed)


def test_an_optimizer_of_another_kind_cannot_take_the_place_of_the_first():
    trainer = Trainer(Network(SIZES), optimizer=SGD())
    with pytest.raises(AttributeError, match="optimizer of a Trainer cannot be replaced"):
        trainer.optimizer = Adam()
