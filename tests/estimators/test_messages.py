"""Errors and warnings of the estimators name the argument, the columns and a cure."""

from __future__ import annotations

import datetime
import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from estimator_data import blobs, regression
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from fastmlp import DivergenceError, MLPClassifier, MLPRegressor
from fastmlp.estimators import regressor as regressor_module
from fastmlp.exceptions import ParameterError, UnscaledInputWarning

SMALL = dict(hidden_layer_sizes=(3,), random_state=0, max_iter=2)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).random((20, 3))
LABELS = np.arange(20) % 2
BOTH = pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])


class BrokenRepr:
    def __repr__(self):
        raise RuntimeError("this object cannot be printed")


def fitted(kind):
    return kind(**SMALL).fit(X, LABELS)


# --- Names of arguments


@BOTH
@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("X", 3, "X: Expected 2D array, got scalar array instead"),
        ("X", {}, "X: float() argument must be a string or a real number"),
        ("X", "Oslo", "X must hold rows; got 'Oslo'"),
        ("X", BrokenRepr(), "X"),
        ("y", 3, "y: Input should have at least 1 dimension"),
        ("y", [], "y: Found array with 0 sample(s)"),
        ("y", [0, 1, 0], "inconsistent numbers of samples: [20, 3]; X has 20 rows and y has 3"),
        ("y", None, "requires y to be passed, but the target y is None"),
        ("sample_weight", "much", "sample_weight: dtype='numeric' is not compatible"),
        ("X_val", 3, "X_val: Expected 2D array"),
        ("y_val", [1], "X_val has 20 rows and y_val has 1"),
        ("sample_weight_val", "much", "sample_weight_val: dtype='numeric' is not compatible"),
    ],
)
def test_data_of_a_wrong_kind_is_named_in_fit(kind, argument, value, message):
    data = {"X": X, "y": LABELS, argument: value}
    if argument.endswith("_val"):
        data = {"X_val": X, "y_val": LABELS} | data
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        kind(**SMALL).fit(**data)


@BOTH
def test_weights_without_rows_to_validate_with_are_named(kind):
    with pytest.raises(ValueError, match="X_val is missing; sample_weight_val needs X_val and y_"):
        kind(**SMALL).fit(X, LABELS, sample_weight_val=np.ones(3))


@BOTH
@pytest.mark.parametrize("value", [3, "Oslo", [1.0], {}, BrokenRepr()])
def test_rows_of_a_wrong_kind_are_named_in_predict_and_score(kind, value):
    model = fitted(kind)
    for call in (lambda: model.predict(value), lambda: model.score(value, LABELS)):
        with pytest.raises((TypeError, ValueError), match=r"\bX\b"):
            call()


@BOTH
@pytest.mark.parametrize("argument", ["y", "sample_weight"])
@pytest.mark.parametrize("value", [3, [1, 0], [], {}])
def test_targets_and_weights_of_a_wrong_kind_are_named_in_score(kind, argument, value):
    with pytest.raises((TypeError, ValueError), match=rf"\b{argument}\b"):
        fitted(kind).score(**{"X": X, "y": LABELS, argument: value})


@pytest.mark.parametrize("value", [3, np.int64(3), "abc", {}])
def test_classes_of_a_wrong_kind_are_named(value):
    for model in (MLPClassifier(**SMALL), fitted(MLPClassifier)):
        with pytest.raises((TypeError, ValueError), match=r"\bclasses\b"):
            model.partial_fit(X, LABELS, classes=value)


@BOTH
@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("random_state", "abc"),
        ("random_state", np.array([])),
        ("n_iter_no_change", np.array([])),
        ("n_iter_no_change", np.array([1, 2])),
        ("hidden_layer_sizes", 10**400),
        ("hidden_layer_sizes", 2**31),
        ("hidden_layer_sizes", (2**30, 2**30)),
        ("dtype", np.array([1, 2])),
        ("warmup", 10**400),
        ("tol", BrokenRepr()),
        ("scoring", BrokenRepr()),
        ("validation_fraction", BrokenRepr()),
    ],
)
def test_parameters_of_a_wrong_kind_are_named(kind, parameter, value):
    with pytest.raises((ValueError, TypeError), match=rf"\b{parameter}\b") as info:
        kind(**SMALL | {parameter: value}).fit(X, LABELS)
    assert not re.search(r"\bsizes\[", str(info.value).replace(f"{parameter}[", ""))


def test_hidden_layers_in_the_place_of_the_loss_are_recognised():
    with pytest.raises(ParameterError, match=r"Was hidden_layer_sizes=\(100,\) meant\?"):
        MLPRegressor((100,)).fit(X, LABELS)


def test_memory_errors_and_warnings_are_not_renamed():
    from fastmlp.estimators.naming import naming

    for error in (MemoryError("full"), UserWarning("odd"), ValueError("X is odd")):
        with pytest.raises(type(error)) as info, naming("X"):
            raise error
        assert info.value is error


# --- Data frames


def frames(columns):
    """The same table in pandas, polars and pyarrow."""
    pandas = pytest.importorskip("pandas")
    polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    return pandas.DataFrame(columns), polars.DataFrame(columns), pyarrow.table(columns)


@BOTH
def test_missing_values_are_reported_with_their_columns_and_a_cure(kind):
    x = X.copy()
    x[3, 1] = np.nan
    tables = frames({"age": X[:, 0], "height": x[:, 1]})
    cases = [*((t, "'height'") for t in tables), (x, "1"), (sparse.csr_array(x), "1")]
    for table, column in cases:
        message = rf"^Input X contains NaN\. The missing values are in column {column}\. .*Imputer"
        with pytest.raises(ValueError, match=message) as info:
            kind(**SMALL).fit(table, LABELS)
        assert "HistGradientBoosting" not in str(info.value)
    with pytest.raises(ValueError, match=r"Input X_val contains NaN.* in column 1\."):
        kind(**SMALL).fit(X, LABELS, X_val=x, y_val=LABELS)
    x[3, 1] = np.inf
    with pytest.raises(ValueError, match=r"contains infinity .* numbers are in column 1\."):
        fitted(kind).predict(x)


def test_nullable_columns_with_missing_values_are_named():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": X[:, 0], "b": pandas.array([1] * 19 + [None], "Int64")})
    with pytest.raises(ValueError, match="missing values are in column 'b'"):
        MLPClassifier(**SMALL).fit(table, LABELS)


def test_columns_that_are_not_numbers_are_named():
    n = len(X)
    for table in frames({"size": X[:, 0], "city": ["Oslo"] * n}):
        with pytest.raises(ValueError, match=r"not numbers|are not: column 'city' .*OneHot"):
            MLPClassifier(**SMALL).fit(table, LABELS)
    array = np.array([[1.5, "Oslo"]] * n, dtype=object)
    message = r"^could not convert string to float: 'Oslo'\. X must be .* column 1 \(object\)"
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**SMALL).fit(array, LABELS)


def test_columns_of_dates_are_named():
    table, *_ = frames({"size": X[:, 0], "born": [datetime.datetime(2020, 1, 1)] * len(X)})
    with pytest.raises(TypeError, match=r"^X must be numbers; .*column 'born' \(datetime64.*dates"):
        MLPClassifier(**SMALL).fit(table, LABELS)


def test_at_most_five_columns_are_listed():
    with pytest.raises(ValueError, match=r"columns 0, 1, 2, 3, 4 and 2 more\. Fill"):
        MLPClassifier(**SMALL).fit(np.full((20, 7), np.nan), LABELS)


def test_lazy_frames_are_refused_with_the_cure():
    polars = pytest.importorskip("polars")
    lazy = polars.DataFrame(X).lazy()
    with pytest.raises(TypeError, match=r"X must hold data; got a LazyFrame\. Pass X.collect\(\)"):
        MLPClassifier(**SMALL).fit(lazy, LABELS)
    with pytest.raises(TypeError, match=r"y must hold data; got a LazyFrame"):
        MLPClassifier(**SMALL).fit(X, lazy)
    with pytest.raises(TypeError, match=r"X must hold data; got a LazyFrame"):
        fitted(MLPClassifier).predict(lazy)


@BOTH
def test_frames_of_float32_are_trained_in_float32_like_arrays(kind):
    columns = {name: X[:, i].astype(np.float32) for i, name in enumerate("abc")}
    expected = kind(**SMALL).fit(X.astype(np.float32), LABELS)
    table, *others = frames(columns)
    tables = [table, *others, table.astype("Float32"), table.astype("float[pyarrow]")]
    for frame in tables:
        model = kind(**SMALL).fit(frame, LABELS)
        assert model.coefs_[0].dtype == np.float32
        np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])
        np.testing.assert_array_equal(model.predict(frame), expected.predict(X.astype("f4")))
        wide = kind(**SMALL, dtype="float64").fit(frame, LABELS)
        assert wide.coefs_[0].dtype == np.float64
    mixed = table.assign(a=X[:, 0]).astype({"b": "Float32"})
    assert kind(**SMALL).fit(mixed, LABELS).coefs_[0].dtype == np.float64


@pytest.mark.parametrize(
    "dtype",
    ["Int64", "UInt8", "boolean", "int64[pyarrow]", "bool[pyarrow]", "string", "str", "category"],
)
def test_labels_of_pandas_types_come_back_as_those_of_numpy(dtype):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    words = np.array(["no", "yes"])[LABELS]
    plain = LABELS if "nt" in dtype else LABELS == 1 if "bool" in dtype else words
    plain = plain.astype("uint8") if dtype == "UInt8" else plain
    model = MLPClassifier(**SMALL).fit(X, pandas.Series(plain).astype(dtype))
    expected = np.unique(plain)
    assert model.classes_.dtype.kind == expected.dtype.kind
    np.testing.assert_array_equal(model.classes_, expected)
    assert model.predict(X).dtype.kind == plain.dtype.kind
    assert model.score(X, pandas.Series(plain).astype(dtype)) == model.score(X, plain)


def test_labels_of_arrays_of_objects_stay_objects():
    words = np.array(["no", "yes"], dtype=object)[LABELS]
    assert MLPClassifier(**SMALL).fit(X, words).classes_.dtype == object


# --- Labels


def test_labels_that_cannot_be_sorted_are_named_with_their_types():
    mixed = np.array(["a", 1] * 10, dtype=object)
    with pytest.raises(TypeError, match=r"y must hold labels of one type.*int, str.*astype\(str\)"):
        MLPClassifier(**SMALL).fit(X, mixed)


def test_a_class_with_one_member_is_named_by_its_label():
    y = np.array(["no"] * 19 + ["yes"])
    with pytest.raises(ValueError, match=r"only 1 member.*'yes'.*early_stopping.*X_val"):
        MLPClassifier(**SMALL, early_stopping=True).fit(X, y)


# --- Scale and divergence


@pytest.mark.parametrize(
    ("scale", "shift", "message"),
    [
        (1000.0, 0.0, "y is not scaled: y has mean"),
        (1.0, 2000.0, "standard deviation .*scale_target=True"),
    ],
)
def test_targets_that_are_not_scaled_warn_with_the_remedy(scale, shift, message):
    x, y = regression()
    y = (y - y.mean()) / y.std() * scale + shift
    with pytest.warns(UnscaledInputWarning, match=message):
        MLPRegressor(**SMALL).fit(x, y)
    with pytest.warns(UnscaledInputWarning, match="column 1 of y has"):
        MLPRegressor(**SMALL).fit(x, np.stack([y / scale - shift, y], axis=1))


def test_targets_that_train_well_do_not_warn():
    x, y = regression()
    y = (y - y.mean()) / y.std()
    counts = np.random.default_rng(0).poisson(2000, len(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnscaledInputWarning)
        MLPRegressor(**SMALL).fit(x, 50 * y + 100)
        MLPRegressor(**SMALL).fit(x, np.full(len(x), 5.0))
        MLPRegressor(**SMALL, solver="lbfgs").fit(x, 1000 * y)
        MLPRegressor("poisson", **SMALL).fit(x, counts)


def exploding():
    x, y = regression()
    return x, 1e30 * y


SKLEARN = "^Solver produced non-finite parameter weights. The input data may contain large values "


@pytest.mark.filterwarnings("ignore:y is not scaled")
def test_divergence_begins_with_the_message_of_scikit_learn():
    model = MLPRegressor(
        **SMALL | dict(max_iter=200), activation="identity", solver="sgd", learning_rate_init=1.0
    )
    with pytest.raises(ValueError, match=SKLEARN + ".*Training diverged in epoch") as info:
        model.fit(*exploding())
    assert isinstance(info.value, DivergenceError)
    assert str(pickle.loads(pickle.dumps(info.value))) == str(info.value)


# --- The reported loss, and lbfgs


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_losses_of_several_outputs_are_reported_as_by_the_installed_scikit_learn(
    monkeypatch, solver
):
    import sklearn.neural_network._base as functions

    x, y = regression()
    y = np.stack([y, -y, y + 1], axis=1)
    parameters = SMALL | dict(solver=solver, alpha=0.0)
    mean = MLPRegressor(**parameters).fit(x, y)
    assert regressor_module.sklearn_reports_means()
    monkeypatch.setattr(functions, "squared_loss", lambda a, b: 0.5 * ((a - b) ** 2).sum(1).mean())
    assert not regressor_module.sklearn_reports_means()
    total = MLPRegressor(**parameters).fit(x, y)
    np.testing.assert_allclose(total.loss_curve_, 3 * np.array(mean.loss_curve_), rtol=1e-12)
    assert total.loss_ == pytest.approx(3 * mean.loss_, rel=1e-12)
    np.testing.assert_array_equal(total.coefs_[0], mean.coefs_[0])


def test_a_loop_of_short_lbfgs_fits_is_warned_of():
    x, y = blobs()
    model = MLPClassifier(**SMALL | dict(max_iter=1), solver="lbfgs", warm_start=True)
    with pytest.warns(ConvergenceWarning, match="without the curvature .* use a callback"):
        model.fit(x, y)
    with pytest.warns(ConvergenceWarning) as record:
        model.set_params(warm_start=False).fit(x, y)
    assert not any("curvature" in str(w.message) for w in record)


def test_an_exception_of_the_programs_signal_handler_passes_through_unchanged():
    """It may be raised anywhere, also where a message about X is being made."""

    class Alarm(Exception):
        pass

    class Rows:
        shape = (4, 2)

        def __array__(self, *arguments, **keywords):
            raise Alarm

    for estimator in (MLPClassifier, MLPRegressor):
        with pytest.raises(Alarm):
            estimator().fit(Rows(), [0, 1, 0, 1])


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_score_names_what_is_wrong_and_not_y(kind):
    with pytest.raises(NotFittedError, match=f"This {kind.__name__} instance is not fitted yet"):
        kind().score(X, LABELS)
    model = fitted(kind)
    with pytest.raises(ValueError, match=r"^X has 1 features, but"):
        model.score(X[:, :1], LABELS)


def rare():
    """A class with 4 % of the rows, which a network takes many epochs to predict at all."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 5))
    return x, (x[:, 0] + 0.5 * rng.normal(size=1000) > 1.9).astype(int)


def test_a_score_that_ends_a_fit_early_while_the_loss_falls_is_a_warning():
    rules = dict(early_stopping=True, random_state=0, max_iter=100)
    with pytest.warns(ConvergenceWarning, match=r'went on falling, from .*"val_loss"'):
        model = MLPClassifier(**rules).fit(*rare())
    assert model.best_epoch_ < 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations")
        MLPClassifier(**rules, monitor="val_loss").fit(*rare())


def test_a_fit_with_few_updates_says_how_many():
    x, y = rare()
    with pytest.warns(ConvergenceWarning, match=r"yet\. There were 15 updates of the weights"):
        MLPClassifier(max_iter=3).fit(x, y)
    with pytest.warns(ConvergenceWarning, match=r"converged yet\. What helps: \S+$"):
        MLPClassifier(max_iter=1, batch_size=1).fit(x, y)


def test_messages_about_tables_name_the_estimators_that_take_them():
    table = pd.DataFrame({"town": ["Bonn", "Ulm"], "age": [1.0, np.nan]})
    for column, part in {"town": "take them as they are", "age": "take missing values"}.items():
        with pytest.raises(ValueError, match=rf"{column}.*TabularClassifier .*{part}"):
            MLPClassifier().fit(table[[column]], [0, 1])
