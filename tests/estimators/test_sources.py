"""MLPClassifier and MLPRegressor on sources: what they learn is what they learn from arrays."""

from __future__ import annotations

import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone

from fastmlp import Checkpoint, DataFormatError, MLPClassifier, MLPRegressor
from fastmlp import data as d
from fastmlp.estimators.sources import typical_targets
from fastmlp.exceptions import UnscaledInputWarning

RNG = np.random.default_rng(0)
N = 300
X = RNG.standard_normal((N, 4)).astype(np.float32)
LABELS = np.array(["a", "b", "c"])[np.argmax(X[:, :3] + RNG.standard_normal((N, 3)) / 3, axis=1)]
TARGETS = X @ [1.0, 2.0, -1.0, 0.5] + 3
WEIGHTS = RNG.random(N) + 0.5

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


def classifier(**changes):
    return MLPClassifier((5,), max_iter=3, random_state=0, **changes)


def regressor(**changes):
    return MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0, **changes)


def source(y, *weights, x=X):
    return d.ArraySource(x, y, *weights)


def same(a, b):
    """Whether two fits have the same weights, bit for bit, and the same records."""
    equal = [np.array_equal(v, w) for v, w in zip(a.coefs_, b.coefs_, strict=True)]
    skipped = {"seconds"}
    records = {
        name: np.allclose(a.history_[name], b.history_[name], rtol=1e-6)
        for name in a.history_.keys() - skipped
    }
    return all(equal) and all(records.values()) and a.history_.keys() == b.history_.keys()


@pytest.mark.parametrize("labels", [LABELS, LABELS == "a", (LABELS == "b").astype(float)],
                         ids=["three", "two", "floats"])  # fmt: skip
@pytest.mark.parametrize("changes", [{}, {"label_smoothing": 0.1, "solver": "sgd"}], ids=str)
def test_a_classifier_is_that_of_the_arrays(labels, changes):
    expected = classifier(**changes).fit(X, labels)
    found = classifier(**changes).fit(source(labels))
    assert same(found, expected)
    np.testing.assert_array_equal(found.classes_, expected.classes_)
    assert found.classes_.dtype == expected.classes_.dtype
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))
    assert (found.t_, found.n_features_in_) == (expected.t_, expected.n_features_in_)


def test_sample_weights_and_class_weights_come_with_the_rows():
    weights = {"a": 2.0, "b": 0.5}
    expected = classifier(class_weight=weights).fit(X, LABELS, WEIGHTS)
    assert same(classifier(class_weight=weights).fit(source(LABELS, WEIGHTS)), expected)
    expected = classifier(class_weight=weights).fit(X, LABELS)
    assert same(classifier(class_weight=weights).fit(source(LABELS)), expected)


@pytest.mark.parametrize("y", [TARGETS, np.stack([TARGETS, X[:, 0]], 1)], ids=["one", "two"])
def test_a_regressor_is_that_of_the_arrays(y):
    assert same(regressor().fit(source(y)), regressor().fit(X, y))


@pytest.mark.parametrize("changes", [
    {"scale_target": True}, {"bounds": (-30, 40)}, {"bounds": (-30, None)},
    {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
], ids=str)  # fmt: skip
def test_the_scale_of_targets_is_learned_in_one_pass(changes):
    expected, found = (
        regressor(**changes).fit(X, TARGETS),
        regressor(**changes).fit(source(TARGETS)),
    )
    np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=1e-4)
    if "loss" not in changes:
        np.testing.assert_allclose(found.target_scale_, expected.target_scale_)


def test_two_typical_targets_have_mean_and_deviation_of_all(monkeypatch):
    monkeypatch.setattr("fastmlp.data.source.PIECE_BYTES", 8 * 5 * 7)
    y = np.stack([TARGETS, X[:, 0] * 9], 1)
    typical = typical_targets(source(y))
    np.testing.assert_allclose(typical.mean(axis=0), y.mean(axis=0))
    np.testing.assert_allclose(typical.std(axis=0), y.std(axis=0))


@pytest.mark.parametrize("dtype, wanted", [("uint8", "float32"), ("float16", "float32"),
                                           ("float32", "float32"), ("int64", "float64"),
                                           ("float64", "float64")])  # fmt: skip
def test_narrow_types_are_trained_in_float32(dtype, wanted):
    x = np.abs(X * 9).astype(dtype)
    found = classifier().fit(source(LABELS, x=x))
    assert found.coefs_[0].dtype == wanted
    assert same(found, classifier().fit(x.astype(wanted), LABELS))
    assert classifier(dtype="float64").fit(source(LABELS, x=x)).coefs_[0].dtype == "float64"


def test_a_source_says_how_many_rows_are_in_memory():
    class Rows:
        def __len__(self):
            return N

        def __getitem__(self, rows):
            return X[rows], TARGETS[rows]

    rows = d.SequenceSource(Rows(), block_rows=10)
    small, whole = (regressor(batch_size=20).fit(d.with_window(rows, n)) for n in (40, N))
    assert same(whole, regressor(batch_size=20).fit(X, TARGETS))
    assert not same(small, whole)
    assert same(small, regressor(batch_size=20).fit(d.with_window(rows, 59)))


def test_weights_that_are_all_zero_are_refused_before_the_end_of_the_first_epoch():
    class Rows:
        def __len__(self):
            return N

        def __getitem__(self, rows):
            return X[rows], LABELS[rows], np.zeros(len(LABELS[rows]))

    for source in (d.SequenceSource(Rows()), d.with_window(d.SequenceSource(Rows()), 60)):
        with pytest.raises(ValueError, match="sample_weight must have a positive weight; all 300"):
            classifier(batch_size=20).fit(source)


def test_validation_rows_may_be_a_source():
    settings = {"early_stopping": True, "monitor": "val_loss"}
    expected = classifier(**settings).fit(X, LABELS, X_val=X[:90], y_val=LABELS[:90])
    for arguments in [{"X_val": source(LABELS[:90], x=X[:90])},
                      {"X_val": X[:90], "y_val": LABELS[:90]}]:  # fmt: skip
        assert same(classifier(**settings).fit(source(LABELS), **arguments), expected)
    assert same(
        classifier(**settings).fit(X, LABELS, X_val=source(LABELS[:90], x=X[:90])), expected
    )


def test_a_warm_start_continues_with_the_features_of_the_source():
    model = classifier(warm_start=True).fit(source(LABELS))
    other = clone(model).fit(X, LABELS)
    assert same(model.fit(source(LABELS)), other.fit(X, LABELS))
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"):
        model.fit(source(LABELS, x=X[:, :3]))
    with pytest.raises(ValueError, match="same classes as in the previous"):
        model.fit(source(LABELS.astype("<U2")[::-1].copy() == "a"))


def test_columns_of_a_file_are_the_names_of_the_features(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = pa.table({name: X[:, i] for i, name in enumerate("wxyz")} | {"label": LABELS})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=100)
    rows = d.ParquetSource(tmp_path / "rows.parquet", "label")
    model = classifier(warm_start=True).fit(rows)
    assert list(model.feature_names_in_) == list("wxyz")
    assert same(model, classifier().fit(X, LABELS))
    assert model.score(pandas.DataFrame(X, columns=list("wxyz")), LABELS) > 0
    turned = d.ParquetSource(tmp_path / "rows.parquet", "label", features=list("zyxw"))
    with pytest.raises(ValueError, match=r"X must have the features \['w', .* got \['z', "):
        model.fit(turned)


def test_an_interrupted_fit_resumes(tmp_path):
    class Rows:
        error = None

        def __len__(self):
            return N

        def __getitem__(self, rows):
            if self.error:
                raise self.error
            return X[rows], LABELS[rows]

    whole = classifier().fit(source(LABELS))
    model = classifier()
    model.set_callbacks(Checkpoint(tmp_path, every=1))
    model.max_iter = 2
    model.fit(source(LABELS))
    assert same(classifier().fit(source(LABELS), resume=tmp_path), whole)
    rows = Rows()
    broken = d.SequenceSource(rows)
    rows.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        classifier().fit(broken)


BAD = TARGETS.copy()
BAD[7] = np.nan
ROWS = source(LABELS)


@pytest.mark.parametrize("make, error, message", [
    (lambda: classifier().fit(ROWS, LABELS), ValueError, "y must be None, because X is a source"),
    (lambda: classifier().fit(ROWS, None, WEIGHTS), ValueError, "sample_weight must be None"),
    (lambda: classifier().fit(ROWS, groups=LABELS), ValueError, "groups must be None"),
    (lambda: classifier().fit(X, LABELS, X_val=ROWS, y_val=LABELS), ValueError,
     "y_val must be None, because X_val is a source"),
    (lambda: classifier().partial_fit(ROWS, None), ValueError, "X must be an array"),
    (lambda: classifier().fit("rows.parquet"), TypeError,
     r"X must hold rows; got 'rows.parquet'. fastmlp.data.ParquetSource\(path, target\) reads"),
    (lambda: classifier().fit(X, LABELS).predict(pathlib.Path("x")), TypeError, "X must hold rows"),
    (lambda: classifier(solver="lbfgs").fit(ROWS), ValueError, "solver='lbfgs' needs all rows"),
    (lambda: classifier(early_stopping=True).fit(ROWS), ValueError, "early_stopping=True with a"),
    (lambda: classifier(class_weight="balanced").fit(ROWS), ValueError, "class_weight='balanced'"),
    (lambda: classifier().fit(source(np.eye(3)[RNG.integers(0, 3, N)])), ValueError,
     "X must be a source with one label per row for a classifier; got 3 targets"),
    (lambda: regressor().fit(source(BAD)), DataFormatError,
     "y, row 7, column 0: expected a finite number, found nan"),
    (lambda: regressor().fit(source(LABELS)), DataFormatError,
     "y, row 0, column 0: expected a finite number, found [abc]"),
    (lambda: classifier().fit(source(np.where(BAD > 0, 1, BAD * 0))), DataFormatError,
     "y, row 7, column 0: expected a label, found nan"),
    (lambda: classifier().fit(d.concatenate([ROWS, source(TARGETS > 0)])), DataFormatError,
     r"sources\[1\], y, row 0, column 0: expected labels that are strings, .* found numbers"),
    (lambda: regressor().fit(d.ArraySource(X)), ValueError, "X must be a source with targets"),
    (lambda: classifier().fit(d.ArraySource(X)), ValueError, "one label per row .* got 0 targets"),
    (lambda: regressor(bounds=(0, 1)).fit(source(TARGETS)), ValueError, "y .*bounds"),
    (lambda: classifier().fit(source(LABELS, x=np.where(X > 2.5, np.inf, X))), DataFormatError,
     r"X, row \d+, column \d: expected a finite float32 number, found infinity"),
])  # fmt: skip
def test_wrong_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_advice_for_unscaled_rows_is_about_sources():
    with pytest.warns(UnscaledInputWarning, match=r"pass data\.scaled\(source, data\.fit_scaler"):
        classifier().fit(source(LABELS, x=X * 1000))
