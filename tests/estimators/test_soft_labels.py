"""MLPClassifier learns probabilities of shape (n, n_classes) as they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedShuffleSplit

from fastmlp import MLPClassifier, load, save

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
FAST = {"random_state": 0, "max_iter": 150, "learning_rate_init": 0.01, "n_threads": 1}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 3))
Z = X @ RNG.normal(size=(3, 3))
SOFT = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
TWO = np.column_stack([1 - SOFT[:, 0], SOFT[:, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("soft", [TWO, SOFT], ids=["two", "three"])
def test_probabilities_are_learned(soft, dtype):
    model = MLPClassifier(**FAST, dtype=dtype).fit(X, soft)
    assert model.classes_.tolist() == list(range(soft.shape[1]))
    assert np.abs(model.predict_proba(X) - soft).max() < 0.05
    assert np.mean(model.predict(X) == soft.argmax(axis=1)) > 0.97


@pytest.mark.parametrize("soft", [TWO, SOFT], ids=["two", "three"])
def test_nearly_hard_rows_train_as_their_labels_do(soft):
    codes = soft.argmax(axis=1)
    hot = np.eye(soft.shape[1])[codes]
    hot[0] = np.where(hot[0] > 0, 1 - 1e-12, 1e-12 / (soft.shape[1] - 1))  # or it is multilabel
    ours, labels = (MLPClassifier(**FAST).fit(X, y) for y in (hot, codes))
    np.testing.assert_allclose(ours.predict_proba(X), labels.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(ours.loss_curve_, labels.loss_curve_, rtol=1e-6)


def test_a_matrix_of_zeros_and_ones_is_multilabel_as_ever():
    hot = np.eye(3)[SOFT.argmax(axis=1)]
    assert MLPClassifier(**FAST).fit(X, hot).predict(X).shape == hot.shape


def test_a_forest_is_distilled():
    x, y = load_iris(return_X_y=True)
    teacher = RandomForestClassifier(random_state=0).fit(x, np.array(["a", "b", "c"])[y])
    soft = teacher.predict_proba(x)
    student = MLPClassifier(**FAST).fit(x, soft)
    assert np.mean(teacher.classes_[student.predict(x)] == teacher.predict(x)) > 0.95
    assert log_loss(y, student.predict_proba(x)) < 0.2


def test_files_and_frames_have_them_too(tmp_path):
    model = MLPClassifier(**FAST).fit(X, pd.DataFrame(SOFT))
    save(model, tmp_path / "m.safetensors")
    np.testing.assert_array_equal(
        load(tmp_path / "m.safetensors").predict_proba(X), model.predict_proba(X)
    )


def test_chunks_have_the_labels_that_are_given():
    model = MLPClassifier(**FAST)
    for _ in range(60):
        for rows in (slice(0, 200), slice(200, 400)):
            model.partial_fit(X[rows], SOFT[rows], classes=["a", "b", "c"])
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert np.abs(model.predict_proba(X) - SOFT).mean() < 0.02
    model.partial_fit(X, np.array(["a", "b", "c"])[SOFT.argmax(axis=1)])
    with pytest.raises(ValueError, match="y must have 3 columns, one per class"):
        model.partial_fit(X, TWO)


@pytest.mark.parametrize("soft", [TWO, SOFT], ids=["two", "three"])
def test_splitters_scorers_and_class_weights_see_the_most_probable_class(soft):
    codes = soft.argmax(axis=1)
    rules = FAST | {"early_stopping": True, "max_iter": 5, "scoring": ["accuracy", "f1_macro"]}
    splitter = StratifiedShuffleSplit(1, test_size=0.25, random_state=0)
    ours = MLPClassifier(**rules, validation_fraction=splitter, class_weight={0: 3.0}).fit(X, soft)
    assert len(ours.history_["accuracy"]) == 5
    train, rest = next(splitter.split(X, codes))
    weights = np.where(codes[train] == 0, 3.0, 1.0)
    same = MLPClassifier(**rules).fit(
        X[train], soft[train], weights, X_val=X[rest], y_val=codes[rest]
    )
    np.testing.assert_allclose(ours.history_["accuracy"], same.history_["accuracy"])
    np.testing.assert_allclose(ours.predict_proba(X), same.predict_proba(X), rtol=1e-4)


def test_a_random_validation_set_is_stratified_and_scored():
    model = MLPClassifier(**FAST | {"max_iter": 20}, early_stopping=True).fit(X, TWO)
    assert max(model.validation_scores_) > 0.8


def test_warm_starts_go_on_with_as_many_classes():
    model = MLPClassifier(**FAST | {"max_iter": 5}, warm_start=True).fit(X, SOFT)
    before = model.loss_
    assert model.fit(X, SOFT).loss_ < before
    with pytest.raises(ValueError, match="y must have 3 columns, one per class"):
        model.fit(X, TWO)


@pytest.mark.parametrize(
    ("soft", "message"),
    [([[0.5, 0.6]], "each row with sum 1; got .0.5, 0.6. in row 0"),
     ([[1.5, -0.5]], "must hold probabilities of the classes"), ([[np.nan, 1.0]], "y.*NaN"),
     ([[0.5, np.inf]], "y.*infinity")],
)  # fmt: skip
def test_what_are_no_probabilities_is_refused(soft, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**FAST).fit(np.ones((30, 1)), np.array(soft * 30))


def test_validation_rows_have_as_many_classes():
    with pytest.raises(ValueError, match="y_val must have 3 columns, one per class"):
        MLPClassifier(**FAST).fit(X, SOFT, X_val=X, y_val=TWO)
