"""MLPClassifier and MLPRegressor on sources: what they learn is what they learn from arrays."""

from __future__ import annotations

import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.model_selection import TimeSeriesSplit

from fastmlp import Checkpoint, DataFormatError, MLPClassifier, MLPRegressor, ResumeError
from fastmlp import data as d
from fastmlp.estimators.sources import typical_targets
from fastmlp.exceptions import UnscaledInputWarning
from fastmlp.training.checkpoints.folder import checkpoint_path

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


# --- Rows held out by themselves


def stopping(**changes):
    return classifier(early_stopping=True, **changes)


def parts_of(rows, seed=0, fraction=0.1):
    """Rows to train on and rows held out, as (X, y, weights)."""
    for part in d.split(rows, fraction, random_state=seed):
        yield part.read(0, len(part))


HELD = [*parts_of(source(np.arange(N)))][1].y


def infinite(row):
    x = X.copy()
    x[row, 2] = np.inf
    return x


@pytest.mark.parametrize("changes", [
    {}, {"validation_fraction": 0.3, "monitor": "val_loss"}, {"scoring": "balanced_accuracy"},
], ids=str)  # fmt: skip
def test_a_classifier_holds_out_the_rows_of_split(changes):
    rows = source(LABELS, WEIGHTS)
    fraction = changes.get("validation_fraction", 0.1)
    train, held = parts_of(rows, 0, fraction)
    found = stopping(**changes).fit(rows)
    assert same(found, stopping(**changes).fit(*train, *held))
    assert len(held.y) == round(N * fraction) and found.t_ == 3 * len(train.y)
    assert len(found.validation_scores_) == 3 and found.best_epoch_ is not None
    assert same(found, stopping(**changes).fit(*d.split(rows, fraction)[:1],
                                               X_val=d.split(rows, fraction)[1]))  # fmt: skip


def test_rows_given_for_validation_replace_those_held_out():
    found = stopping().fit(source(LABELS), X_val=X[:90], y_val=LABELS[:90])
    assert found.t_ == 3 * N


def test_classes_are_those_of_all_rows_as_for_arrays():
    labels = LABELS.astype("<U9")
    labels[HELD[1]] = "only here"
    found = stopping().fit(source(labels))
    assert found.classes_.tolist() == ["a", "b", "c", "only here"]
    assert stopping().fit(X, labels).classes_.tolist() == found.classes_.tolist()


def test_the_scale_of_targets_is_that_of_all_rows_as_for_arrays():
    changes = {"early_stopping": True, "scale_target": True}
    found, expected = regressor(**changes).fit(source(TARGETS)), regressor(**changes)
    expected.fit(X, TARGETS)
    np.testing.assert_allclose(found.target_mean_, expected.target_mean_)
    np.testing.assert_allclose(found.target_scale_, expected.target_scale_)
    assert len(found.validation_scores_) == 3


def test_the_random_state_decides_the_rows_held_out():
    def scores(random_state):
        model = classifier(early_stopping=True).set_params(random_state=random_state)
        return model.fit(source(LABELS)).coefs_[0].tobytes()

    for make in (lambda: 7, lambda: np.random.RandomState(7), lambda: np.random.default_rng(7)):
        assert scores(make()) == scores(make())
    state = np.random.RandomState(7)
    assert scores(state) != scores(state)
    assert scores(None) != scores(None)


def test_of_windows_over_a_series_the_last_are_held_out():
    series = np.sin(np.arange(203.0))
    rows = d.windows(series, 3)
    held = rows.read(180, 200)
    found = regressor(early_stopping=True).fit(rows)
    train = d.ArraySource(*rows.read(0, 180)[:2])
    expected = regressor(early_stopping=True).fit(train, X_val=held.X, y_val=held.y[:, 0])
    assert same(found, expected)


def test_rows_held_out_of_a_file_have_the_names_of_its_columns(tmp_path):
    table = pa.table({name: X[:, i] for i, name in enumerate("wxyz")} | {"label": LABELS})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=40)
    rows = d.ParquetSource(tmp_path / "rows.parquet", "label")
    found = stopping().fit(rows)
    assert same(found, stopping().fit(source(LABELS))) and list(found.feature_names_in_)
    turned = d.ParquetSource(tmp_path / "rows.parquet", "label", features=list("zyxw"))
    with pytest.raises(ValueError, match=r"X_val must have the features \['w', .* got \['z', "):
        stopping().fit(rows, X_val=turned)


@pytest.mark.parametrize("random_state", [0, None])
def test_a_fit_that_holds_out_rows_resumes(tmp_path, random_state):
    def model(n_epochs, **changes):
        return stopping(**changes).set_params(random_state=random_state, max_iter=n_epochs)

    start = model(4)
    start.set_callbacks(Checkpoint(tmp_path, every=1, keep=9))
    whole = start.fit(source(LABELS))
    again = model(4).fit(source(LABELS), resume=checkpoint_path(tmp_path, 2))
    assert same(again, whole)
    if random_state is not None:
        with pytest.raises(ResumeError, match=r"validation_fraction was 0\.1, is now 0\.2"):
            model(4, validation_fraction=0.2).fit(source(LABELS), resume=tmp_path)


def test_sparse_rows_are_held_out_sparse():
    x = csr_matrix(np.where(X > 1, X, 0))
    found, parts = stopping().fit(source(LABELS, x=x)), parts_of(source(LABELS, x=x))
    train, held = parts
    assert same(found, stopping().fit(train.X, train.y, X_val=held.X, y_val=held.y))


def with_label(label):
    """Strings, and something else in row 7."""
    labels = LABELS.astype(object)
    labels[7] = label
    return labels


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
    (lambda: stopping(validation_fraction=TimeSeriesSplit(5)).fit(ROWS), ValueError,
     r"validation_fraction must be a number with a source.* got TimeSeriesSplit.*fastmlp.data.spl"),
    (lambda: stopping(validation_fraction=0).fit(ROWS), ValueError, "must be greater than 0 with"),
    (lambda: stopping(validation_fraction=0.001).fit(ROWS), ValueError,
     "validation set is too small.* leaves 299 rows for training and 1 for validation"),
    (lambda: stopping(validation_fraction=0.999).fit(ROWS), ValueError, "leaves 0 rows for train"),
    (lambda: stopping().fit(source(LABELS, x=infinite(HELD[3]))), DataFormatError,
     rf"X, row {HELD[3]}, column 2: expected a finite float32 number, found infinity"),
    (lambda: stopping().fit(source(LABELS, np.where(np.isin(range(N), HELD), 0, 1))), ValueError,
     "the validation set must contain a non-zero sample weight"),
    (lambda: classifier().fit(ROWS, X_val=source(LABELS, x=X[:, :3])), ValueError,
     "X_val has 3 features, but MLPClassifier is expecting 4 features as input"),
    (lambda: classifier(class_weight="balanced").fit(ROWS), ValueError, "class_weight='balanced'"),
    (lambda: classifier().fit(source(np.eye(3)[RNG.integers(0, 3, N)])), ValueError,
     "X must be a source with one label per row for a classifier; got 3 targets"),
    (lambda: regressor().fit(source(BAD)), DataFormatError,
     "y, row 7, column 0: expected a finite number, found nan"),
    (lambda: regressor().fit(source(LABELS)), DataFormatError,
     "y, row 0, column 0: expected a finite number, found [abc]"),
    (lambda: classifier().fit(source(np.where(BAD > 0, 1, BAD * 0))), DataFormatError,
     "y, row 7, column 0: expected a label, found nan"),
    (lambda: classifier().fit(source(with_label(None))), DataFormatError,
     "y, row 7, column 0: expected a label, found None"),
    (lambda: classifier().fit(source(with_label(np.nan))), DataFormatError,
     "y, row 7, column 0: expected a label, found nan"),
    (lambda: classifier().fit(source(with_label(3))), DataFormatError,
     "y, row 7, column 0: expected a label, found 3"),
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


def test_weights_of_a_source_count_for_the_scale_of_targets():
    weights = np.where(np.arange(N) % 3, 1.0, 9.0)
    ours = regressor(scale_target=True).fit(source(TARGETS, weights))
    expected = regressor(scale_target=True).fit(X, TARGETS, sample_weight=weights)
    np.testing.assert_allclose(ours.target_mean_, expected.target_mean_, rtol=1e-6)
    np.testing.assert_allclose(ours.target_scale_, expected.target_scale_, rtol=1e-6)


def test_targets_are_read_once_for_their_scale_and_need_a_weight():
    class Counted(d.ArraySource):
        n_read = 0

        def read(self, begin, end):
            self.n_read += end - begin
            rows = super().read(begin, end)
            return rows._replace(weights=rows.weights * self.factor)

    counted = Counted(X, TARGETS, WEIGHTS)
    counted.factor = 1.0
    typical_targets(counted)
    assert counted.n_read == N
    counted.factor = 0.0
    with pytest.raises(ValueError, match="the sample weights of X must have a positive sum; got 0"):
        typical_targets(counted)


def test_rows_may_be_ordered_by_classes_of_which_the_first_has_no_weight():
    order = np.argsort(LABELS, kind="stable")
    model = classifier(class_weight={"a": 0.0, "b": 1.0, "c": 2.0})
    model.fit(source(LABELS[order], x=X[order]))
    assert set(model.predict(X)) <= {"a", "b", "c"}
