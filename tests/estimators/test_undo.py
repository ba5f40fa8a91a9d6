"""A call that fails leaves an estimator as it was; what is kept is consistent."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from estimator_data import blobs, regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from fastmlp import DivergenceError, MLPClassifier, MLPRegressor
from fastmlp.callbacks.base import EpochCallback
from fastmlp.exceptions import UnscaledInputWarning

SMALL = dict(hidden_layer_sizes=(12, 7), random_state=0, max_iter=20)
EXPLODING = dict(solver="sgd", learning_rate_init=1e30)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:y is not scaled"),  # targets that diverge on purpose
]


class StopAt(EpochCallback):
    """Raises an exception before an epoch."""

    def __init__(self, epoch, error=RuntimeError):
        self.epoch, self.error = epoch, error

    def before_epoch(self, trainer):
        if trainer.epochs_done == self.epoch:
            raise self.error("from a callback")


class StopAfter(EpochCallback):
    """Raises an exception after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def after_epoch(self, trainer):
        if trainer.epochs_done > self.epoch:
            raise RuntimeError("after an epoch")


def nothing(y, a):
    """A loss without numbers."""
    return np.full(len(y), np.nan), a - y


def shapeless(y, a):
    """A loss of the wrong shape."""
    return a - y, a - y


FAILURES = {
    "NaN": (lambda m, x, y: m.fit(x * np.nan, y), ValueError, "NaN"),
    "weights": (
        lambda m, x, y: m.fit(x, y, sample_weight=np.zeros(len(y))),
        ValueError,
        "positive weight",
    ),
    "rows": (lambda m, x, y: m.fit(x, y[:5]), ValueError, "inconsistent"),
    "validation": (lambda m, x, y: m.fit(x, y, X_val=x[:, 1:], y_val=y), ValueError, "features"),
    "split": (dict(early_stopping=True, validation_fraction=[]), ValueError, "not yield any split"),
    "fraction": (dict(early_stopping=True, validation_fraction=0.001), ValueError, "test_s|small"),
    "activation": (dict(activation=("relu",)), ValueError, "activation must be one name or 2"),
    "dropout": (dict(dropout=(0.1,)), ValueError, "dropout must be one number or 2"),
    "scoring": (dict(early_stopping=True, scoring="beauty"), ValueError, "beauty"),
    "monitor": (dict(early_stopping=True, monitor="val_beauty"), ValueError, "monitor must be one"),
    "loss": (dict(loss=shapeless), ValueError, "the loss 'shapeless' must return losses of shape"),
    "parameter": (dict(alpha=-1), ValueError, "alpha must be"),
}


def fail(model, failure, data):
    """Have a fit of other data than before fail."""
    call, error, message = FAILURES[failure]
    x, y = data
    with pytest.raises(error, match=message):
        if isinstance(call, dict):
            model.set_params(**call).fit(x, y)
        else:
            call(model, x, y)


def everything(model):
    """All attributes but parameters as bytes, name by name."""
    state = model.__getstate__()
    state |= state.pop("_record", {})
    parameters = model.get_params()
    return {name: pickle.dumps(v) for name, v in state.items() if name not in parameters}


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_fit_that_fails_before_training_changes_nothing(kind, failure):
    other = blobs(60, n_features=4, n_classes=3)
    model = kind(**SMALL)
    fail(model, failure, other)
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    assert set(vars(model)) == set(model.get_params())
    for warm_start in (False, True):
        model = kind(**SMALL, warm_start=warm_start).fit(*blobs())
        before, predictions = everything(model), model.predict(blobs()[0])
        fail(model, failure, blobs() if warm_start else other)
        assert everything(model) == before
        np.testing.assert_array_equal(model.predict(blobs()[0]), predictions)
        assert model._record.weights.are(model.coefs_, model.intercepts_)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_refit_that_fails_in_training_changes_nothing(kind, warm_start, early_stopping):
    x, y = blobs()
    model = kind(**SMALL, warm_start=warm_start, early_stopping=early_stopping).fit(x, y)
    before = everything(model)
    model.set_callbacks(StopAt(3))
    with pytest.raises(RuntimeError, match="from a callback"):
        model.fit(x[:, : 6 if warm_start else 4], y)
    assert everything(model.set_callbacks()) == before


def test_a_warm_start_that_fails_leaves_no_new_columns_in_the_history():
    x, y = regression()
    model = MLPRegressor(**SMALL, warm_start=True).fit(x, y)
    before = everything(model)
    model.set_callbacks(StopAt(3))
    with pytest.raises(RuntimeError, match="from a callback"):
        model.fit(x, y, X_val=x, y_val=y)
    assert everything(model.set_callbacks()) == before


def test_a_refit_that_diverges_goes_back_and_says_so():
    x, y = regression()
    model = MLPRegressor(**SMALL).fit(x, y)
    before = everything(model)
    with pytest.raises(DivergenceError) as info:
        model.set_params(**EXPLODING).fit(x[:, :3], 1e30 * y)
    assert everything(model) == before
    assert info.value.__notes__[1:] == [
        "The estimator is as it was before this call, with its old weights."
    ]


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_first_fit_that_fails_after_an_epoch_keeps_what_it_learned(solver):
    x, y = regression()
    model = MLPRegressor(**SMALL, solver=solver).set_callbacks(StopAt(4))
    with pytest.raises(RuntimeError, match="from a callback"):
        model.fit(x, y)
    twin = MLPRegressor(**SMALL | dict(max_iter=4), solver=solver).fit(x, y)
    np.testing.assert_allclose(model.predict(x), twin.predict(x))
    assert model.n_iter_ == len(model.loss_curve_) == 4
    assert model.loss_curve_ == pytest.approx(twin.loss_curve_)


def test_ctrl_c_in_lbfgs_keeps_finite_weights_and_their_records():
    x, y = regression()
    model = MLPRegressor(**SMALL, solver="lbfgs").fit(x, y)
    model.set_callbacks(StopAt(4, KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        model.fit(x[:, :4], y)
    twin = MLPRegressor(**SMALL | dict(max_iter=4), solver="lbfgs").fit(x[:, :4], y)
    np.testing.assert_allclose(model.predict(x[:, :4]), twin.predict(x[:, :4]))
    assert all(np.isfinite(c).all() for c in model.coefs_ + model.intercepts_)
    assert {len(column) for column in model.history_.values()} == {4}
    assert model.n_iter_ == len(model.loss_curve_) == 4


def test_ctrl_c_before_the_first_epoch_changes_nothing():
    x, y = regression()
    model = MLPRegressor(**SMALL, solver="lbfgs").fit(x, y)
    before = everything(model)
    model.set_callbacks(StopAt(0, KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        model.fit(x[:, :4], y)
    assert everything(model.set_callbacks()) == before


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_ctrl_c_in_the_first_epoch_of_a_first_fit_keeps_finite_weights(solver):
    x, y = regression()
    model = MLPRegressor(**SMALL, solver=solver).set_callbacks(StopAt(0, KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y)
    assert np.isfinite(model.predict(x)).all()
    assert model.n_iter_ == 0


def test_lbfgs_that_finds_no_finite_loss_is_an_error():
    x, y = regression()
    model = MLPRegressor(**SMALL, solver="lbfgs")
    message = r"lbfgs diverged after 0 iteration.*nan\. Scale X"
    with pytest.warns(UnscaledInputWarning), pytest.raises(ValueError, match=message):
        model.fit(1e100 * x, y)
    with pytest.raises(NotFittedError):
        check_is_fitted(model)


# --- partial_fit


@pytest.mark.parametrize("bad", ["NaN", "rows", "classes", "labels"])
def test_a_first_partial_fit_that_fails_learns_no_classes(bad):
    x, y = blobs()
    model = MLPClassifier(**SMALL)
    with pytest.raises(
        ValueError, match=r"NaN|inconsistent|on the first call|not in `self.classes"
    ):
        model.partial_fit(
            x * np.nan if bad == "NaN" else x,
            y[:9] if bad == "rows" else y,
            classes={"classes": None, "labels": [0, 7]}.get(bad, [0, 1]),
        )
    assert set(vars(model)) == set(model.get_params())
    model.partial_fit(x, y, classes=[0, 1, 2])
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])


def test_partial_fit_goes_on_after_bad_rows_as_if_they_had_not_been():
    x, y = blobs()
    model, twin = (MLPClassifier(**SMALL).partial_fit(x, y, classes=[0, 1]) for _ in range(2))
    for bad in (lambda: model.partial_fit(x * np.nan, y), lambda: model.partial_fit(x, y + 5)):
        with pytest.raises(ValueError, match=r"NaN|not in `self\.classes_`"):
            bad()
    for _ in range(3):
        model.partial_fit(x, y)
        twin.partial_fit(x, y)
    np.testing.assert_array_equal(model.coefs_[0], twin.coefs_[0])
    assert (model.loss_curve_, model.t_) == (twin.loss_curve_, twin.t_)


@pytest.mark.parametrize("fitted", [False, True])
def test_partial_fit_learns_with_a_lower_rate_after_it_diverged(fitted):
    x, y = regression()
    model = MLPRegressor(**SMALL, solver="sgd", learning_rate_init=0.01, batch_size=20)
    if fitted:
        model.partial_fit(x, y)
        before = model.predict(x)
    with pytest.raises(DivergenceError) as info:
        model.set_params(learning_rate_init=1e30).partial_fit(x, 1e30 * y)
    if fitted:
        np.testing.assert_array_equal(model.predict(x), before)
        assert len(model.loss_curve_) == 1
    else:
        assert info.value.__notes__[1:] == [
            "The estimator is as it was before this call, not fitted."
        ]
    model.set_params(learning_rate_init=0.01)
    for _ in range(60):
        model.partial_fit(x, y)
    assert np.isfinite(model.loss_curve_).all()
    assert model.loss_curve_[-1] < 0.5 * model.loss_curve_[0]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            dict(hidden_layer_sizes="7"),
            r"hidden_layer_sizes must be as it was, \(12, 7\); got \(7,",
        ),
        (dict(activation="tanh"), r"activation must be as it was, \('relu', 'relu'\); got"),
        (dict(dtype="float32"), "dtype must be None or 'float64', as it was; got 'float32'"),
        (dict(loss="poisson"), "output function for loss and y .*'identity'; got 'expon"),
        (dict(loss="quantile", quantile=(0.1, 0.9)), "the number of outputs must be .*1; got 2"),
        (dict(alpha=-1), "alpha must be a finite number"),
        (dict(learning_rate_init="fast"), "learning_rate_init must be a number; got 'fast'"),
    ],
)
@pytest.mark.parametrize("pickled", [False, True])
def test_partial_fit_names_a_parameter_that_cannot_change(parameters, message, pickled):
    x, y = regression()
    model = MLPRegressor(**SMALL).partial_fit(x, abs(y))
    if pickled:
        model = pickle.loads(pickle.dumps(model))
    before = everything(model)
    with pytest.raises(ValueError, match=message):
        model.set_params(**parameters).partial_fit(x, abs(y))
    assert everything(model) == before


def test_partial_fit_that_fails_in_training_goes_back_with_a_new_optimizer():
    x, y = regression()
    model = MLPRegressor(**SMALL).partial_fit(x, y)
    before = everything(model)
    model.set_callbacks(StopAfter(1))
    with pytest.raises(RuntimeError, match="after an epoch"):
        model.partial_fit(x, y)
    after = everything(model.set_callbacks())
    assert before.pop("optimizer") != after.pop("optimizer") == pickle.dumps(None)
    assert after == before
    twin = MLPRegressor(**SMALL).partial_fit(x, y)
    twin._record.last = None
    for one in (model, twin):
        one.partial_fit(x, y)
    np.testing.assert_array_equal(model.coefs_[0], twin.coefs_[0])


def test_partial_fit_takes_up_parameters_of_the_training():
    x, y = regression()
    for parameters in (
        dict(solver="sgd"),
        dict(alpha=3.0),
        dict(batch_size=50),
        dict(dropout=0.5),
        dict(l1=0.1),
        dict(beta_1=0.5),
        dict(loss="absolute_error"),
        dict(max_grad_norm=1e-3),
    ):
        model, twin = (MLPRegressor(**SMALL).partial_fit(x, y) for _ in range(2))
        model.set_params(**parameters).partial_fit(x, y)
        assert not np.allclose(model.coefs_[0], twin.partial_fit(x, y).coefs_[0])
    model = MLPRegressor(**SMALL).partial_fit(x, y)
    assert not hasattr(model.set_params(solver="lbfgs"), "partial_fit")


def test_partial_fit_goes_on_with_the_optimizers_state_after_a_change():
    x, y = regression()
    model, twin = (MLPRegressor(**SMALL, shuffle=False, n_threads=1) for _ in range(2))
    for n_threads in (1, 2, 2, 1):
        model.set_params(n_threads=n_threads).partial_fit(x, y)
        twin.partial_fit(x, y)
    np.testing.assert_array_equal(model.coefs_[0], twin.coefs_[0])


def test_copies_do_not_hear_of_what_the_others_learn():
    x, y = regression()
    model = MLPRegressor(**SMALL).partial_fit(x, y)
    shallow, deep = copy.copy(model), copy.deepcopy(model)
    before = everything(model)
    shallow.partial_fit(x, y)
    assert everything(model) == before
    assert len(shallow.loss_curve_) == len(shallow.history_["loss"]) == 2
    later, memory = copy.copy(model), pickle.dumps(copy.copy(model))
    model.partial_fit(x, y)
    assert pickle.dumps(later) == pickle.dumps(deep) == memory
    for other in (shallow, later.partial_fit(x, y), deep.partial_fit(x, y)):
        np.testing.assert_array_equal(other.coefs_[0], model.coefs_[0])


# --- Losses from outside


@pytest.mark.parametrize("rules", [{}, dict(solver="lbfgs"), dict(early_stopping=True)])
def test_a_loss_that_is_not_finite_is_blamed_and_not_the_rate(rules):
    x, y = regression()
    model = MLPRegressor(nothing, **SMALL, **rules)
    message = r"the loss 'nothing' must be finite, .* got values of nan for outputs from -"
    with pytest.raises(ValueError, match=message) as info:
        model.fit(x, y)
    assert "rate or" not in str(info.value)
    assert "lower" not in str(info.value)


def test_a_loss_that_breaks_later_is_blamed_too_and_the_weights_before_are_kept():
    x, y = regression()

    def breaks(y, a):
        gradient = a - y
        return (gradient**2).sum(axis=1) / 2, gradient if abs(a).max() < 2 else gradient / 0.0

    model = MLPRegressor(breaks, **SMALL | dict(max_iter=200))
    with (
        np.errstate(divide="ignore"),
        pytest.raises(DivergenceError, match="loss 'breaks'") as info,
    ):
        model.fit(x, 9 * y)
    assert "got gradients of" in info.value.cause
    assert model.n_iter_ == info.value.epoch == len(model.loss_curve_) > 0
    assert np.isfinite(model.predict(x)).all()


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_loss_is_asked_about_the_rows_of_the_batch_that_failed(shuffle):
    x, y = regression()
    y[123] = 9.0

    def fails_at_nine(y, a):
        return np.where(y[:, 0] == 9, np.nan, ((a - y) ** 2).sum(axis=1) / 2), a - y

    model = MLPRegressor(fails_at_nine, **SMALL, batch_size=20, shuffle=shuffle)
    with pytest.raises(DivergenceError, match=r"'fails_at_nine' .* and targets from \S+ to 9\."):
        model.fit(x, y)


def test_real_divergence_with_a_loss_from_outside_blames_the_rate():
    x, y = regression()

    def squared(y, a):
        return ((a - y) ** 2).sum(axis=1) / 2, a - y

    model = MLPRegressor(
        squared,
        **SMALL | dict(max_iter=200),
        activation="identity",
        solver="sgd",
        learning_rate_init=1.0,
    )
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(DivergenceError, match=r"lower the learning rate|the loss 'squared'"):
            model.fit(x, 1e30 * y)


def test_early_stopping_has_nothing_to_go_back_to_in_the_first_epoch():
    x, y = regression()
    model = MLPRegressor(**SMALL | EXPLODING, early_stopping=True, batch_size=20)
    with pytest.raises(DivergenceError, match="epoch 0"):
        model.fit(x, 1e30 * y)
    assert model.best_epoch_ is None


def test_convergence_warning_is_no_failure():
    x, y = regression()
    model = MLPRegressor(**SMALL | dict(max_iter=2)).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning):
            model.fit(x, y)
    assert model.n_iter_ == 2
