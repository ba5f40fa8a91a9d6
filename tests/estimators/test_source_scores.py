"""Predictions and scores of sources are those of arrays, and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score

from fastmlp import DataFormatError, MLPClassifier, MLPRegressor
from fastmlp import data as d

RNG = np.random.default_rng(0)
N = 500
X = RNG.standard_normal((N, 4)).astype(np.float32)
LABELS = np.array(["a", "b", "c"])[np.argmax(X[:, :3], axis=1)]
TARGETS = X @ [1.0, 2.0, -1.0, 0.5] + 3
TWO = np.stack([TARGETS, 9 - X[:, 0]], 1)
WEIGHTS = RNG.random(N)

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    """Windows of at most 64 rows."""
    monkeypatch.setattr("fastmlp.data.predicting.WINDOW_BYTES", 1)


def classifier(y=LABELS, x=X, **changes):
    settings = {"max_iter": 30, "learning_rate": "cosine", "random_state": 0}
    return MLPClassifier((5,), **settings | changes).fit(x, y)


def regressor(y=TARGETS, **changes):
    settings = {"hidden_layer_sizes": (5,), "max_iter": 30, "random_state": 0}
    settings |= {"learning_rate": "cosine"}
    return MLPRegressor(**settings | changes).fit(X, y)


def same(found, expected):
    if hasattr(expected, "tocsr"):
        assert hasattr(found, "tocsr")
        found, expected = found.toarray(), expected.toarray()
    assert (found.dtype, found.tobytes()) == (expected.dtype, expected.tobytes())


MULTILABEL = (X[:, :3] > 0.5).astype(int)


@pytest.mark.parametrize("y", [LABELS, LABELS == "a", np.zeros(N), MULTILABEL,
                               csr_matrix(MULTILABEL)],
                         ids=["three", "two", "one", "multilabel", "sparse"])  # fmt: skip
def test_a_classifier_predicts_what_it_predicts_for_arrays(y):
    model = classifier(y)
    source = d.ArraySource(X)
    same(model.predict(source), model.predict(X))
    for method in ("predict_proba", "predict_log_proba"):
        same(getattr(model, method)(source), getattr(model, method)(X))


@pytest.mark.parametrize("changes, y", [
    ({}, TARGETS), ({}, TWO), ({"scale_target": True}, TWO), ({"bounds": (-30, 40)}, TARGETS),
    ({"loss": "quantile", "quantile": [0.1, 0.9]}, TARGETS),
], ids=["one", "two", "scaled", "bounds", "quantiles"])  # fmt: skip
def test_a_regressor_predicts_what_it_predicts_for_arrays(changes, y):
    model = regressor(y, **changes)
    same(model.predict(d.ArraySource(X)), model.predict(X))


def test_shifted_quantiles_are_predicted():
    model = regressor(loss="quantile", quantile=[0.1, 0.9]).calibrate(X, TARGETS)
    same(model.predict(d.ArraySource(X)), model.predict(X))


def test_hidden_outputs_of_sources():
    model = classifier()
    same(model.hidden_outputs(d.ArraySource(X)), model.hidden_outputs(X))


@pytest.mark.parametrize("y", [LABELS, LABELS == "a", MULTILABEL],
                         ids=["three", "two", "multilabel"])  # fmt: skip
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_accuracy_is_that_of_scikit_learn(y, weights):
    model = classifier(y)
    expected = accuracy_score(y, model.predict(X), sample_weight=weights)
    assert 0.1 < expected < 1
    assert model.score(d.ArraySource(X, y, weights)) == pytest.approx(expected, rel=1e-12)


def test_labels_that_the_fit_has_not_seen_are_wrong():
    y = np.where(np.arange(N) % 3, LABELS, "d")
    model = classifier()
    assert model.score(d.ArraySource(X, y)) == accuracy_score(y, model.predict(X))


@pytest.mark.parametrize("y", [TARGETS, TWO], ids=["one", "two"])
@pytest.mark.parametrize("weights", [None, WEIGHTS, np.arange(N) > 200],
                         ids=["plain", "weighted", "zeros"])  # fmt: skip
def test_r2_is_that_of_scikit_learn(y, weights):
    model = regressor(y, scale_target=True)
    expected = r2_score(y, model.predict(X), sample_weight=weights)
    assert model.score(d.ArraySource(X, y, weights)) == pytest.approx(expected, rel=1e-9)


def test_r2_of_a_constant_target_is_that_of_scikit_learn():
    y = np.stack([TARGETS, np.full(N, 2.0)], 1)
    model = regressor(y)
    expected = r2_score(y, model.predict(X))
    assert model.score(d.ArraySource(X, y)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("quantile, y", [([0.1, 0.5, 0.9], TARGETS), (0.3, TARGETS), (0.3, TWO)],
                         ids=["levels", "one", "two targets"])  # fmt: skip
def test_quantiles_are_scored_as_those_of_arrays(quantile, y):
    model = regressor(y, loss="quantile", quantile=quantile)
    for weights in (None, WEIGHTS):
        found = model.score(d.ArraySource(X, y, weights))
        assert found == model.score(X, y, weights)


def test_a_file_is_predicted_by_the_names_of_its_columns(tmp_path):
    table = pa.table({name: X[:, i] for i, name in enumerate("wxyz")} | {"label": LABELS})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=77)
    rows = d.ParquetSource(tmp_path / "rows.parquet", "label")
    model = MLPClassifier((5,), max_iter=3, random_state=0).fit(rows)
    expected = model.network_.predict(X)
    same(model.predict_proba(d.ParquetSource(tmp_path / "rows.parquet", features=list("wxyz"))),
         expected)  # fmt: skip
    assert model.score(rows) == np.mean(model.classes_[expected.argmax(axis=1)] == LABELS)
    with pytest.raises(ValueError, match=r"X must have the features .* got \['x', 'w'"):
        model.predict(d.ParquetSource(tmp_path / "rows.parquet", features=list("xwyz")))


MODEL, ROWS = classifier(), d.ArraySource(X, LABELS)
NUMBERS = np.arange(N, dtype=float)
NUMBERS[77] = np.nan


@pytest.mark.parametrize("make, error, message", [
    (lambda: MLPClassifier().predict(ROWS), NotFittedError, "not fitted"),
    (lambda: MLPClassifier().score(ROWS), NotFittedError, "not fitted"),
    (lambda: MLPRegressor().score(ROWS), NotFittedError, "not fitted"),
    (lambda: MLPRegressor(loss="quantile").score(ROWS), NotFittedError, "not fitted"),
    (lambda: MODEL.score(ROWS, LABELS), ValueError, "y must be None, because X is a source"),
    (lambda: MODEL.score(X), ValueError, "y must be the targets; got None"),
    (lambda: regressor().score(ROWS, None, WEIGHTS), ValueError, "sample_weight must be None"),
    (lambda: MODEL.score(d.ArraySource(X)), ValueError,
     r"X must be a source with 1 target\(s\) per row for a score; got 0"),
    (lambda: regressor().score(d.ArraySource(X, TWO)), ValueError,
     r"X must be a source with 1 target\(s\) per row for a score; got 2"),
    (lambda: regressor().score(d.ArraySource(X[:1], TARGETS[:1])), ValueError,
     "X must have at least two rows for R.2; got 1"),
    (lambda: MODEL.predict(d.ArraySource(X[:, :3])), ValueError, "X has 3 features, but"),
    (lambda: classifier(TARGETS > 3).score(d.ArraySource(X, NUMBERS)), DataFormatError,
     "y, row 77, column 0: expected a label, found nan"),
    (lambda: MODEL.score(d.ArraySource(X, TARGETS > 3)), DataFormatError,
     "y, row 0, column 0: expected labels that are strings, as in the fit, found numbers"),
    (lambda: classifier(TARGETS > 3).score(ROWS), DataFormatError, "are numbers, .* found strings"),
    (lambda: regressor().score(d.ArraySource(X, NUMBERS)), DataFormatError,
     "y, row 77, column 0: expected a finite number, found nan"),
    (lambda: regressor().calibrate(ROWS, None), ValueError, "calibrate needs"),
    (lambda: regressor(loss="quantile").calibrate(ROWS, TARGETS), TypeError,
     "X must be an array here; got ArraySource, a source. fit, predict and score read"),
])  # fmt: skip
def test_wrong_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("model, y", [(MODEL, LABELS), (regressor(), TARGETS)], ids=["c", "r"])
def test_weights_that_are_all_zero_are_refused(model, y):
    class Weightless(d.ArraySource):
        def read(self, begin, end):
            return super().read(begin, end)._replace(weights=np.zeros(end - begin))

    with pytest.raises(ValueError, match="sample weights of X must have a positive sum; got 0"):
        model.score(Weightless(X, y, WEIGHTS))
