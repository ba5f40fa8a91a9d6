"""Tables of pandas, polars and PyArrow, and scikit-learn's tools that pass them on."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fastmlp
from fastmlp import MLPClassifier, TabularClassifier, TabularRegressor
from fastmlp.tables import TabularEncoder

pd = pytest.importorskip("pandas", reason="pandas is not installed")

N = 120
rng = np.random.default_rng(0)
A, B = rng.normal(size=N), rng.integers(0, 5, N)
LABELS = np.where(A + B > 2, "yes", "no")
PLAIN = pd.DataFrame({
    "a": np.where(np.arange(N) % 10 == 0, np.nan, A),
    "b": B.astype(float),
    "town": np.where(B > 2, "Kiel", np.where(A > 0, "Ulm", "Bonn")),
    "open": A > 0,
    "day": pd.date_range("2026-01-01", periods=N),
})  # fmt: skip


def short(**parameters):
    fixed = {"learning_rate": "cosine", "learning_rate_init": 0.02, "n_iter_no_change": np.inf}
    return MLPClassifier("8", max_iter=10, random_state=0, **fixed, **parameters)


def nullable(frame):
    return frame.convert_dtypes()


def with_categories(frame):
    return frame.assign(town=frame["town"].astype("category"))


def with_ordered_categories(frame):
    kind = pd.CategoricalDtype(["Bonn", "Kiel", "Ulm"], ordered=True)
    return frame.assign(town=frame["town"].astype(kind))


def backed_by_arrow(frame):
    pytest.importorskip("pyarrow")
    return frame.convert_dtypes(dtype_backend="pyarrow")


def as_polars(frame):
    return pytest.importorskip("polars").from_pandas(frame)


def as_arrow(frame):
    return pytest.importorskip("pyarrow").Table.from_pandas(frame)


SAME_CONTENT = [nullable, with_categories, backed_by_arrow, as_polars, as_arrow]


@pytest.fixture(scope="module")
def models():
    options = {"preset": "fast", "random_state": 0}
    return (
        TabularClassifier(**options).fit(PLAIN, LABELS),
        TabularRegressor(**options).fit(PLAIN, A),
    )


@pytest.mark.parametrize("other", SAME_CONTENT)
def test_the_same_columns_in_another_form_give_the_same_model(models, other):
    frame = other(PLAIN)
    classifier, regressor = models
    again = TabularClassifier(preset="fast", random_state=0).fit(frame, LABELS)
    np.testing.assert_array_equal(again.predict_proba(frame), classifier.predict_proba(PLAIN))
    np.testing.assert_array_equal(regressor.predict(frame), regressor.predict(PLAIN))


def test_the_order_of_categories_is_an_input_of_its_own(models):
    frame = with_ordered_categories(PLAIN)
    kinds = TabularClassifier(preset="fast", random_state=0).fit(frame, LABELS).encoder_.kinds_
    assert kinds["town"] == "ordinal"
    assert models[0].encoder_.kinds_["town"] == "categorical"


@pytest.mark.parametrize("dtype", ["Float32", "float32[pyarrow]"])
def test_nullable_float32_columns_are_trained_in_float32(dtype):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    columns = pd.DataFrame({"a": A, "b": B}).astype(np.float32)
    nullable = short().fit(columns.astype(dtype), LABELS)
    assert nullable.network_.dtype == np.float32
    expected = short().fit(columns.to_numpy(), LABELS)
    np.testing.assert_array_equal(nullable.coefs_[0], expected.coefs_[0])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output_brings_the_names_of_columns_to_the_network(library):
    pytest.importorskip(library)
    numbers = PLAIN[["b"]].assign(c=A)
    pipe = make_pipeline(StandardScaler(), short()).set_output(transform=library)
    pipe.fit(numbers, LABELS)
    assert pipe[-1].feature_names_in_.tolist() == ["b", "c"]
    plain = make_pipeline(StandardScaler(), short()).fit(numbers.to_numpy(), LABELS)
    np.testing.assert_array_equal(
        pipe.predict_proba(numbers), plain.predict_proba(numbers.to_numpy())
    )


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_an_encoder_of_tables_returns_frames_of_either_library(library):
    module = pytest.importorskip(library)
    encoder = TabularEncoder().set_output(transform=library).fit(PLAIN, LABELS)
    frame = encoder.transform(PLAIN)
    assert isinstance(frame, module.DataFrame)
    assert list(frame.columns) == encoder.get_feature_names_out().tolist()


def test_a_column_transformer_in_a_search_is_saved_as_one_file(tmp_path):
    columns = make_column_transformer((OneHotEncoder(), ["town"]), (StandardScaler(), ["b"]))
    pipe = make_pipeline(columns, short())
    search = GridSearchCV(pipe, {"mlpclassifier__hidden_layer_sizes": ["4", "8x4"]}, cv=2)
    best = search.fit(PLAIN, LABELS).best_estimator_
    fastmlp.save(best, tmp_path / "best.safetensors")
    again = fastmlp.load(tmp_path / "best.safetensors")
    np.testing.assert_array_equal(again.predict_proba(PLAIN), best.predict_proba(PLAIN))
