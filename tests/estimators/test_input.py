"""Bad input of the estimators is named; training that diverges says where and what to try."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from cases import BrokenRepr
from estimator_data import blobs, multilabel, regression
from scipy import sparse
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.model_selection import KFold

from fastmlp import DivergenceError, MLPClassifier, MLPRegressor
from fastmlp.exceptions import ParameterError, UnscaledInputWarning
from fastmlp.losses import Huber

SMALL = dict(hidden_layer_sizes=(12, 7), random_state=0, max_iter=20)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("hidden_layer_sizes", 0, r"hidden_layer_sizes must be > 0, got hidden_layer_sizes = 0"),
        ("hidden_layer_sizes", (5, -1), r"must be > 0, got hidden_layer_sizes\[1\] = -1"),
        ("hidden_layer_sizes", (5, 1.5), r"hidden_layer_sizes\[1\] must be an integer; got 1.5"),
        ("hidden_layer_sizes", "128,64", "integers joined by x, such as '128x64'; got '128,64'"),
        ("activation", "swoosh", "activation must be one of .*'relu'.*; got 'swoosh'"),
        ("activation", ("relu",), "activation must be one name or 2, one per hidden layer"),
        ("activation", ("relu", "x"), r"activation\[1\] must be one of"),
        ("activation", None, "activation must be one of"),
        ("solver", "newton", "solver must be one of 'lbfgs', 'sgd', .*; got 'newton'"),
        ("alpha", -1, "alpha must be a finite number, at least 0; got -1"),
        ("alpha", "much", "alpha must be a number; got 'much'"),
        ("batch_size", 0, "batch_size must be at least 1; got 0"),
        ("batch_size", "big", "batch_size must be one of 'auto'; got 'big'"),
        ("learning_rate", "fast", "learning_rate must be one of 'constant', 'invscaling'"),
        ("learning_rate_init", 0.0, "learning_rate_init must be greater than 0; got 0.0"),
        ("learning_rate_init", np.inf, "learning_rate_init must be a finite number"),
        ("power_t", -0.5, "power_t must be a finite number, at least 0"),
        ("max_iter", 0, "max_iter must be at least 1; got 0"),
        ("max_iter", 2.5, "max_iter must be an integer; got 2.5"),
        ("shuffle", 1, "shuffle must be True or False; got 1"),
        ("random_state", "seed", "'seed' cannot be used to seed"),
        (
            "random_state",
            BrokenRepr(),
            "a BrokenRepr cannot be used to seed .*; random_state must be",
        ),
        ("tol", -1e-3, "tol must be a finite number, at least 0"),
        ("verbose", -1, "verbose must be at least 0; got -1"),
        ("hidden_layer_sizes", b"64", "hidden_layer_sizes must be an integer; got b'64'"),
        ("validation_fraction", b"64", "a fraction, a splitter such as GroupShuffleSplit, or"),
        ("validation_fraction", KFold, "a fraction, a splitter such as GroupShuffleSplit, or"),
        ("warm_start", None, "warm_start must be True or False"),
        ("momentum", 1.5, "momentum must be a finite number, 0 to 1; got 1.5"),
        ("nesterovs_momentum", "yes", "nesterovs_momentum must be True or False"),
        ("early_stopping", "yes", "early_stopping must be True or False"),
        ("validation_fraction", 1.0, "validation_fraction must be less than 1; got 1.0"),
        ("validation_fraction", "half", "a fraction, a splitter such as GroupShuffleSplit, or"),
        ("beta_1", 1.0, "beta_1 must be less than 1"),
        ("beta_2", -0.1, "beta_2 must be a finite number, 0 to 1"),
        ("epsilon", 0, "epsilon must be greater than 0"),
        ("n_iter_no_change", 0, "n_iter_no_change must be at least 1"),
        ("n_iter_no_change", 1.5, "n_iter_no_change must be an integer"),
        ("max_fun", 0, "max_fun must be at least 1"),
        ("l1", -1.0, "l1 must be a finite number, at least 0"),
        ("weight_decay", np.nan, "weight_decay must be a finite number"),
        ("rho", 1, "rho must be less than 1"),
        ("learning_rate_decay", -1, "learning_rate_decay must be a finite number"),
        ("warmup", 0.5, "warmup must be an integer; got 0.5"),
        ("scoring", 3, "scoring must be None, a scorer's name, a callable or a list of names"),
        ("scoring", [], "scoring must be None"),
        ("monitor", 1, "monitor must be None or a name in history_; got 1"),
        ("initializer", "zeros", "initializer must be one of 'auto', 'legacy'"),
        ("dtype", "float16", "dtype must be one of 'float32', 'float64'; got 'float16'"),
        ("n_threads", 0, "n_threads must be from 1 to 256; got 0"),
        ("class_weight", "equal", "class_weight must be one of 'balanced'; got 'equal'"),
        ("label_smoothing", 1.0, "label_smoothing must be less than 1"),
        ("loss", "hinge", "loss must be one of 'log_loss', 'brier'; got 'hinge'"),
        ("loss", Huber(), "loss must be one of 'log_loss', 'brier', 'own'; got 'huber'"),
        ("dropout", 1.0, "dropout must be a finite number, at least 0 and below 1; got 1.0"),
        ("max_grad_norm", 0, "max_grad_norm must be a finite number, at least 1.17549e-38; got 0"),
    ],
)
def test_parameters_are_checked_at_fit_and_named(parameter, value, message):
    model = MLPClassifier(**SMALL).set_params(**{parameter: value})
    with pytest.raises(ValueError, match=message):
        model.fit(*blobs())
    if parameter != "activation":
        with pytest.raises(TypeError, match=message):
            model.fit(*blobs())


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("loss", "log_loss", "loss must be one of 'squared_error', 'absolute_error', .*'log_loss'"),
        ("quantile", 1.0, "quantile must be increasing numbers between 0 and 1; got 1.0"),
        ("quantile", (0.9, 0.1), "quantile must be increasing numbers between 0 and 1; got"),
        ("quantile", (), "quantile must be increasing numbers"),
        ("quantile", ("median",), "quantile must be a number; got 'median'"),
        ("huber_delta", 0.0, "huber_delta must be greater than 0"),
    ],
)
def test_parameters_of_the_regressor_are_checked_too(parameter, value, message):
    with pytest.raises(ParameterError, match=message):
        MLPRegressor(**SMALL).set_params(**{parameter: value}).fit(*regression())


def test_targets_are_what_the_loss_is_defined_for():
    x, y = regression()
    with pytest.raises(ValueError, match="y must be at least 0 for loss 'poisson'; got values fr"):
        MLPRegressor("poisson").fit(x, y)
    with pytest.raises(ValueError, match="y must be positive for loss 'gamma'"):
        MLPRegressor("gamma").fit(x, np.maximum(y, 0))
    with pytest.raises(ValueError, match="y_val must be at least 0 for loss 'poisson'"):
        MLPRegressor("poisson").fit(x, abs(y), X_val=x, y_val=y)
    with pytest.raises(ValueError, match=r"quantiles need one target; got y of shape \(200, 2\)"):
        MLPRegressor("quantile", quantile=(0.1, 0.9)).fit(x, np.stack([y, y], axis=1))
    with pytest.raises(ValueError, match="y must be a dense array of numbers; got a sparse matrix"):
        MLPRegressor().fit(x, sparse.csr_array(np.stack([y, y], axis=1)))
    with pytest.raises(ValueError, match="dropout must be one number or 2, one per hidden layer"):
        MLPRegressor(**SMALL, dropout=(0.1, 0.2, 0.3)).fit(x, y)


def test_numbers_of_numpy_are_numbers():
    numbers = dict(
        alpha=np.float32(0.1),
        max_iter=np.int32(3),
        validation_fraction=np.float32(0.2),
        early_stopping=np.True_,
        verbose=np.False_,
        hidden_layer_sizes=np.array([5, 4]),
        batch_size=np.int64(50),
    )
    model = MLPClassifier(random_state=np.random.RandomState(0), **numbers).fit(*blobs())
    assert (model.n_layers_, model.n_iter_) == (4, 3)


def test_a_parameter_error_is_what_scikit_learn_raises():
    assert issubclass(ParameterError, ValueError)
    assert issubclass(ParameterError, TypeError)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(sample_weight=np.ones(3)), r"sample_weight must have shape .*; got \(3,\)"),
        (dict(sample_weight=np.ones((200, 1))), r"must have shape \(200,\), .*; got \(200, 1\)"),
        (dict(sample_weight=-np.ones(200)), "sample_weight must not be negative; got -1"),
        (dict(sample_weight=np.zeros(200)), "must have a positive weight; all 200 are zero"),
        (
            dict(sample_weight=np.full(200, np.nan)),
            "sample_weight must hold finite float64 numbers; found NaN at row 0",
        ),
        (dict(sample_weight=np.full(200, 1e308)), "sample_weight must have a finite sum"),
        (dict(sample_weight=0), "must have a positive weight; all 200 are zero"),
        (
            dict(X_val=np.zeros((5, 6)), y_val=np.zeros(5), sample_weight_val=np.zeros(5)),
            "sample_weight_val must have a positive weight",
        ),
        (dict(X_val=np.zeros((5, 6))), "y_val is missing"),
        (dict(y_val=np.zeros(5)), "X_val is missing"),
        (dict(sample_weight_val=np.ones(5)), "X_val is missing"),
        (dict(X_val=np.zeros((5, 4)), y_val=np.zeros(5)), "X has 4 features, but .* expecting 6"),
        (dict(X_val=np.zeros((5, 6)), y_val=np.zeros(4)), "inconsistent numbers of samples"),
        (
            dict(X_val=np.zeros((5, 6)), y_val=np.zeros(5), sample_weight_val=[1]),
            r"sample_weight_val must have shape .*; got \(1,\)",
        ),
        (dict(X_val=np.full((5, 6), np.inf), y_val=np.zeros(5)), "contains infinity"),
    ],
)
def test_bad_data_is_named(kind, bad, message):
    x, y = blobs()
    with pytest.raises(ValueError, match=message):
        kind(**SMALL).fit(x, y, **bad)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("name", ["fit", "partial_fit"])
def test_a_target_that_cannot_be_printed_is_named(kind, name):
    x, _ = blobs()
    with pytest.raises(TypeError, match=r"^y: Singleton array a BrokenRepr cannot"):
        getattr(kind(**SMALL), name)(x, BrokenRepr())


def test_rows_to_validate_with_must_be_enough():
    x, y = blobs(10)
    model = MLPRegressor(**SMALL, early_stopping=True)
    with pytest.raises(
        ValueError,
        match=r"validation set is too small.*early_stopping leaves 9 rows .* 1 for valid",
    ):
        model.fit(x, y)
    model.set_params(validation_fraction=0.0)
    with pytest.raises(ValueError, match="validation_fraction must be greater than 0 with early_s"):
        model.fit(x, y)
    model.set_params(validation_fraction=[])
    with pytest.raises(ValueError, match="validation_fraction did not yield any split"):
        model.fit(x, y)
    with pytest.raises(ValueError, match="least populated class"):
        MLPClassifier(**SMALL, early_stopping=True).fit(x, np.arange(10) == 0)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (1, "must yield pairs .train, validation. of row indices; got 1"),
        ((range(9), range(9), range(9)), "must yield pairs"),
        ((np.arange(200), np.arange(2) + 199), "must yield row indices from 0 to 199, or masks"),
        ((np.arange(-1, 9), np.arange(9)), "must yield row indices from 0 to 199"),
        ((np.arange(9.0), np.arange(9)), "must yield row indices from 0 to 199"),
        ((np.arange(9)[:, np.newaxis], np.arange(9)), "must yield row indices from 0 to 199"),
        (
            (np.ones(9, bool), np.arange(9)),
            r"row indices from 0 to 199, or masks of shape \(200,\)",
        ),
        ((np.arange(9), ["a"]), "must yield row indices from 0 to 199"),
    ],
)
def test_rows_that_a_splitter_gives_are_checked(split, message):
    model = MLPRegressor(**SMALL, early_stopping=True, validation_fraction=[split])
    with pytest.raises(ValueError, match=message):
        model.fit(*regression())


def test_masks_choose_rows_too():
    x, y = regression()
    mask = np.arange(200) < 150
    rules = SMALL | dict(early_stopping=True)
    a, b = (
        MLPRegressor(**rules, validation_fraction=[split]).fit(x, y)
        for split in ((mask, ~mask), (np.arange(150), list(range(150, 200))))
    )
    assert a.loss_curve_ == b.loss_curve_
    assert a.validation_scores_ == b.validation_scores_


def test_weights_of_the_rows_held_back_must_not_all_be_zero():
    x, y = regression()
    weights = (np.arange(200) < 100).astype(float)
    model = MLPRegressor(
        **SMALL, early_stopping=True, validation_fraction=[(np.arange(100), np.arange(100, 200))]
    )
    with pytest.raises(ValueError, match="validation set must contain a non-zero sample weight"):
        model.fit(x, y, sample_weight=weights)
    with pytest.raises(ValueError, match=r"training rows must contain a non-zero weight; .* 100"):
        model.fit(x, y, sample_weight=1 - weights)


def test_labels_are_checked():
    x, y = blobs()
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        MLPClassifier().fit(x, y + 0.5)
    with pytest.raises(ValueError, match="several classes per row are not supported"):
        MLPClassifier().fit(x, np.stack([y, y + 3], axis=1))
    with pytest.raises(ValueError, match=r"has classes not in `self.classes_`.*\[0 1\].*\[0 7\]"):
        MLPClassifier(**SMALL).fit(x, y, X_val=x, y_val=7 * y)
    with pytest.warns(DataConversionWarning, match="column-vector"):
        MLPClassifier(**SMALL).fit(x, y[:, np.newaxis])


def test_classes_that_are_no_labels_are_named_without_printing_them():
    class Unprintable:
        def __repr__(self):
            raise RuntimeError("this object cannot be printed")

    model = MLPClassifier()
    for classes in ([Unprintable()], [0, Unprintable()]):
        for _ in range(2):  # the first call, and one that continues
            with pytest.raises(TypeError, match="classes must hold numbers or strings; got a Unp"):
                model.partial_fit([[0.0], [1.0]], [0, 1], classes=classes)
            model = MLPClassifier().partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1])


def test_classes_of_partial_fit_are_checked():
    x, y = blobs()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(x, y)
    model = MLPClassifier(**SMALL).partial_fit(x, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        model.partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ValueError, match="`y` has classes not in"):
        model.partial_fit(x, y + 5)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        MLPRegressor(early_stopping=True).partial_fit(x, y)
    with pytest.raises(ValueError, match="needs all rows and cannot be used"):
        MLPClassifier(class_weight="balanced").partial_fit(x, y, classes=[0, 1])


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({2: 1.0}, "class_weight has the label 2, which is not in y; its classes are 0, 1"),
        ({0: -1.0}, r"class_weight\[0\] must be a finite number, at least 0; got -1.0"),
        ({0: np.inf}, r"class_weight\[0\] must be a finite number, at least 0; got inf"),
        ({1: np.nan}, r"class_weight\[1\] must be a finite number, at least 0; got nan"),
        ({1: "2"}, r"class_weight\[1\] must be a number; got '2'"),
        ({0: 0, 1: 0}, "sample_weight times class_weight is zero in all 200"),
        ({0: 1e308}, "sample_weight times class_weight must have a finite sum"),
    ],
)
def test_class_weights_are_checked(class_weight, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**SMALL, class_weight=class_weight).fit(*blobs())
    with pytest.raises(ValueError, match="class_weight is not allowed for multilabel"):
        MLPClassifier(**SMALL, class_weight="balanced").fit(*multilabel())


def test_going_on_needs_the_same_network():
    x, y = blobs()
    model = MLPClassifier(**SMALL, warm_start=True).fit(x, y)
    with pytest.raises(ValueError, match="continue with the network of the previous fit"):
        model.set_params(hidden_layer_sizes=(3,)).fit(x, y)
    model = MLPClassifier(**SMALL, warm_start=True).fit(x, y)
    with pytest.raises(ValueError, match=r"same classes.*Previously got \[0 1\], `y` has \[0 2\]"):
        model.fit(x, 2 * y)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("few", [3.0, np.array(3.0), np.zeros(6), np.zeros((1, 1, 6)), [], [[]]])
def test_rows_of_other_dimensions_are_refused_as_by_scikit_learn(kind, few):
    x, y = blobs()
    ours = kind(**SMALL | dict(max_iter=1)).fit(x, y)
    theirs = getattr(neural_network, kind.__name__)(**SMALL | dict(max_iter=1)).fit(x, y)
    with pytest.raises(ValueError) as expected:
        theirs.predict(few)
    with pytest.raises(ValueError, match=re.escape(str(expected.value))):
        ours.predict(few)


def test_a_network_must_be_fitted_first():
    for call in (MLPClassifier().predict, MLPRegressor().predict, MLPClassifier().predict_proba):
        with pytest.raises(NotFittedError):
            call(np.zeros((1, 2)))
    with pytest.raises(NotFittedError):
        MLPRegressor().summary()


# --- Divergence and scale


def exploding():
    """Targets that are far too large for the rate."""
    x, y = regression()
    return x, 1e30 * y


@pytest.mark.filterwarnings("ignore:y is not scaled")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_that_diverges_says_when_and_what_to_try(dtype):
    x, y = exploding()
    model = MLPRegressor(
        **SMALL | dict(max_iter=200),
        activation="identity",
        solver="sgd",
        learning_rate_init=1.0,
        dtype=dtype,
    )
    with pytest.raises(ValueError, match=r"epoch \d+, batch 0 .* learning rate 1: .*Scale") as info:
        model.fit(x, y)
    assert isinstance(info.value, DivergenceError)
    assert all(np.isfinite(c).all() for c in model.coefs_)


@pytest.mark.filterwarnings("ignore:y is not scaled")
def test_with_early_stopping_a_diverging_fit_keeps_the_best_weights():
    # https://github.com/scikit-learn/scikit-learn/issues/29504
    x, y = exploding()
    model = MLPRegressor(
        **SMALL | dict(max_iter=200),
        activation="identity",
        solver="sgd",
        learning_rate_init=1.0,
        early_stopping=True,
    )
    with pytest.warns(ConvergenceWarning, match=r"training diverged.*restored"):
        model.fit(x, y)
    assert np.isnan(model.validation_scores_[-1])
    assert len(model.validation_scores_) == len(model.loss_curve_) == model.n_iter_
    assert {len(column) for column in model.history_.values()} == {model.n_iter_}
    assert np.isfinite(model.predict(x)).all()


def test_input_that_is_not_scaled_warns_once_with_the_remedy():
    x, y = blobs()
    x[:, 2] *= 1000
    with pytest.warns(UnscaledInputWarning, match=r"feature 2 has .*StandardScaler") as record:
        MLPClassifier(**SMALL).fit(x, y)
    assert sum(w.category is UnscaledInputWarning for w in record) == 1
    with pytest.warns(UnscaledInputWarning, match=f"deviation of about {x[:, 2].std():.3g}"):
        MLPClassifier(**SMALL).fit(sparse.csr_array(x), y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnscaledInputWarning)
        MLPClassifier(**SMALL).fit(x / 1000, y)


def test_batches_larger_than_the_data_are_cut_with_a_warning():
    with pytest.warns(UserWarning, match="larger than sample size. It is going to be clipped"):
        MLPClassifier(**SMALL, batch_size=500).fit(*blobs())


def test_lbfgs_has_no_batches_to_warn_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPClassifier((2,), solver="lbfgs", batch_size=500, tol=1.0).fit(*blobs())


def test_warnings_name_the_line_that_calls_fit():
    x, y = blobs()
    for model in (
        MLPClassifier(**SMALL, batch_size=500),
        MLPClassifier(**SMALL, solver="lbfgs"),
        MLPRegressor(**SMALL | dict(max_iter=200), activation="identity", solver="sgd",
                     learning_rate_init=1.0, early_stopping=True),
    ):  # fmt: skip
        targets = 1e30 * y if isinstance(model, MLPRegressor) else y
        with pytest.warns(UserWarning, match=r"scaled|clipped|max_iter|Maximum|diverged") as record:
            model.fit(1000 * x, targets)
        assert {w.filename for w in record} == {__file__}


WARNING_CALLS = """
import sys, warnings
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
if sys.argv[1] == "without":
    sys.modules["sklearn.callback"] = None  # as for fastmlp in scikit-learn before 1.9
from fastmlp import MLPClassifier
from fastmlp.estimators.sklearn_callbacks import protocol
assert (protocol is None) == (sys.argv[1] == "without")
x, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
quick = dict(max_iter=2, random_state=0)
calls = [
    lambda: MLPClassifier(**quick).fit(1000 * x, y),
    lambda: MLPClassifier(**quick, batch_size=500).fit(x, y),
    lambda: MLPClassifier(**quick, batch_size=500).partial_fit(1000 * x, y, classes=[0, 1]),
    lambda: MLPClassifier(**quick, solver="lbfgs").fit(x, y),
    lambda: make_pipeline(MinMaxScaler(), MLPClassifier(**quick)).fit(x, y),
    lambda: GridSearchCV(MLPClassifier(**quick), {"alpha": [0, 1]}, cv=2).fit(x, y),
]
for call in calls:
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        call()
    assert record
    for warning in record:
        assert warning.filename == __file__, warning
        assert warning.lineno == call.__code__.co_firstlineno, warning
"""


@pytest.mark.parametrize("protocol", ["with", "without"])
def test_warnings_name_that_line_with_and_without_scikit_learns_callbacks(protocol, tmp_path):
    if protocol == "with":
        pytest.importorskip("sklearn.callback")
    script = tmp_path / "calls.py"
    script.write_text(WARNING_CALLS)
    result = subprocess.run(
        [sys.executable, script, protocol], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


# --- Bugs that users reported against scikit-learn's


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_warm_start_counts_its_own_iterations(kind, solver):
    # https://github.com/scikit-learn/scikit-learn/issues/24764 and 16812
    x, y = blobs()
    model = kind(
        hidden_layer_sizes=(4,),
        solver=solver,
        warm_start=True,
        random_state=0,
        n_iter_no_change=np.inf,
    )
    for max_iter in (10, 20):
        with pytest.warns(ConvergenceWarning):
            model.set_params(max_iter=max_iter).fit(x, y)
        assert model.n_iter_ == max_iter
    assert len(model.loss_curve_) == 30


def test_inputs_are_never_modified():
    x, y = blobs()
    weights = np.ones(200)
    copies = x.copy(), y.copy(), weights.copy()
    MLPClassifier(**SMALL, class_weight="balanced", label_smoothing=0.1, early_stopping=True).fit(
        x, y, sample_weight=weights
    ).predict(x)
    for now, before in zip((x, y, weights), copies, strict=True):
        np.testing.assert_array_equal(now, before)
