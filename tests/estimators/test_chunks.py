"""Chunks given to partial_fit: what a schedule counts, and the warnings about it."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastmlp import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = X[:, 0]
SCHEDULES = ["cosine", "one_cycle", "exponential", "power"]
CHUNKS = r"end_of_epoch=False with all of them but the last, and set max_iter"
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def model(**parameters):
    return MLPRegressor(hidden_layer_sizes=(4,), random_state=0, **{"max_iter": 9} | parameters)


def test_advice_for_chunks_trains_digits_well_and_without_it_a_warning_comes():
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x / 16, y, random_state=0)
    chunks = np.array_split(np.arange(len(x)), 10)
    parameters = {"learning_rate": "cosine", "learning_rate_init": 0.01, "batch_size": 32}
    n_epochs, classes = 10, np.unique(y)
    right, wrong = (
        MLPClassifier((50,), max_iter=n_epochs, random_state=0, **parameters) for _ in range(2)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(n_epochs):
            for i, rows in enumerate(chunks):
                last = i == len(chunks) - 1
                right.partial_fit(x[rows], y[rows], classes=classes, end_of_epoch=last)
    with pytest.warns(UserWarning) as caught:
        for _ in range(n_epochs):
            for rows in chunks:
                wrong.partial_fit(x[rows], y[rows], classes=classes)
    assert right.score(x_test, y_test) > 0.95 > wrong.score(x_test, y_test) + 0.02
    of_chunks, of_end = (str(one.message) for one in caught)  # one of each for 100 calls
    assert "counts every call as an epoch of learning_rate='cosine', planned for max_iter=10" in (
        of_chunks
    )
    assert "ended after max_iter=10 epochs" in of_end and "the learning rate is 0" in of_end
    for text in (of_chunks, of_end):
        assert "end_of_epoch=False" in text and "max_iter" in text


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("parameters", [*({"learning_rate": s} for s in SCHEDULES), {"warmup": 3}])
def test_chunks_that_count_as_epochs_are_named_in_the_second_call(parameters, sparse):
    x = scipy.sparse.csr_array(X) if sparse else X
    one = model(**parameters).partial_fit(x[:20], Y[:20])
    ((name, value),) = parameters.items()
    with pytest.warns(UserWarning, match=rf"epoch of {name}={value!r}.*{CHUNKS}"):
        one.partial_fit(x[20:40], Y[20:40])
    one.partial_fit(x[40:], Y[40:])


@pytest.mark.parametrize("rate", ["constant", "adaptive", "invscaling"])
def test_rates_that_count_no_epochs_bring_no_warning(rate):
    one = model(learning_rate=rate, solver="sgd", max_iter=1)
    for begin in (0, 20, 40):
        one.partial_fit(X[begin : begin + 20], Y[begin : begin + 20])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_rows_in_every_call_are_epochs_also_in_another_order(dtype):
    one = model(learning_rate="cosine")
    x = X.astype(dtype)
    for _ in range(4):
        order = RNG.permutation(60)
        one.partial_fit(x[order], Y[order])
    assert one.history_["learning_rate"][3] < one.history_["learning_rate"][0]


@pytest.mark.parametrize("ends", [(False, True, True), (False, False, True), (True, False, True)])
def test_calls_that_name_the_end_of_an_epoch_bring_no_warning(ends):
    one = model(learning_rate="cosine")
    for begin, end in zip((0, 20, 40), ends, strict=True):
        one.partial_fit(X[begin : begin + 20], Y[begin : begin + 20], end_of_epoch=end)


@pytest.mark.parametrize(("rate", "left"), [("cosine", "0"), ("one_cycle", "nearly 0")])
def test_calls_after_the_end_of_a_schedule_are_named_once(rate, left):
    one = model(learning_rate=rate, max_iter=3)
    for _ in range(3):
        one.partial_fit(X, Y)
    message = rf"learning_rate='{rate}' ended after max_iter=3 .* is {left} from .*{CHUNKS}"
    with pytest.warns(UserWarning, match=message):
        one.partial_fit(X, Y)
    one.partial_fit(X, Y)
    assert max(one.history_["learning_rate"][3:]) < 1e-5
    one.set_params(max_iter=9).partial_fit(X, Y)
    assert one.history_["learning_rate"][-1] > 1e-4


def test_partial_fit_after_a_fit_that_used_the_schedule_up_is_named():
    one = model(learning_rate="cosine", max_iter=3).fit(X, Y)
    with pytest.warns(UserWarning, match=r"epochs of fit and partial_fit"):
        one.partial_fit(X, Y)
    for rate in ("exponential", "power", "constant"):
        model(learning_rate=rate, max_iter=3).fit(X, Y).partial_fit(X, Y)


def test_a_warning_that_is_an_error_leaves_the_estimator_and_a_pickle_warns_again():
    one = model(learning_rate="cosine", max_iter=2).fit(X, Y)
    before = one.coefs_[0].copy()
    loaded = pickle.loads(pickle.dumps(one))
    for each in (one, loaded):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UserWarning, match="ended after"):
                each.partial_fit(X, Y)
        np.testing.assert_array_equal(each.coefs_[0], before)
        assert len(each.loss_curve_) == 2
