"""The estimators against scikit-learn's own: curves, attributes, and the contract."""

from __future__ import annotations

import copy
import pickle
import re
import threading

import numpy as np
import pytest
from estimator_data import blobs, digits, multilabel, regression
from scipy import sparse
from sklearn import neural_network
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from fastmlp import MLPClassifier, MLPRegressor, Network

KINDS = {MLPClassifier: neural_network.MLPClassifier, MLPRegressor: neural_network.MLPRegressor}
SMALL = dict(hidden_layer_sizes=(12, 7), random_state=0, max_iter=20)
PROBLEMS = {
    "binary": (MLPClassifier, blobs()),
    "multiclass": (MLPClassifier, blobs(n_classes=4)),
    "multilabel": (MLPClassifier, multilabel()),
    "regression": (MLPRegressor, regression()),
    "multi-output": (MLPRegressor, regression(n_outputs=3)),
}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def pair(kind, data, sample_weight=None, **parameters):
    """Ours and scikit-learn's, fitted with the same parameters."""
    x, y = data
    ours = kind(**SMALL | parameters).fit(x, y, sample_weight=sample_weight)
    theirs = KINDS[kind](**SMALL | parameters).fit(x, y, sample_weight=sample_weight)
    return ours, theirs


def assert_same_course(ours, theirs, tolerance=1e-9):
    """Losses, weights and everything that scikit-learn remembers of a fit."""
    if hasattr(theirs, "loss_curve_"):
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=tolerance)
        for name in ("best_loss_", "best_validation_score_", "validation_scores_", "t_"):
            expected = getattr(theirs, name)
            if expected is None:
                assert getattr(ours, name) is None
            else:
                np.testing.assert_allclose(getattr(ours, name), expected, rtol=tolerance)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=tolerance)
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
    for name in ("n_iter_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel", "regression"])
def test_full_batches_take_the_same_course_as_in_scikit_learn(problem, solver, activation):
    kind, data = PROBLEMS[problem]
    ours, theirs = pair(kind, data, solver=solver, activation=activation)
    assert_same_course(ours, theirs, 1e-6)
    expected = theirs.predict(data[0])
    # A regression crosses zero: its error counts against the targets' size, not each value's own.
    np.testing.assert_allclose(ours.predict(data[0]), expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("activation", ["relu", "logistic"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_without_hidden_layers_the_course_is_scikit_learns_too(problem, activation):
    rules = dict(hidden_layer_sizes=(), activation=activation, shuffle=False, alpha=0.1)
    assert_same_course(*pair(*PROBLEMS[problem], **rules))


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_mini_batches_in_order_take_the_same_course(problem, solver):
    kind, data = PROBLEMS[problem]
    assert_same_course(*pair(kind, data, solver=solver, batch_size=64, shuffle=False))


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_row_weights_and_penalty_count_as_in_scikit_learn(problem, solver):
    kind, data = PROBLEMS[problem]
    weights = np.random.default_rng(3).uniform(0, 3, len(data[0]))
    assert_same_course(*pair(kind, data, weights, solver=solver, alpha=2.0, shuffle=False))


@pytest.mark.parametrize(
    "parameters",
    [
        dict(learning_rate="invscaling", power_t=0.2),
        dict(learning_rate="adaptive", tol=1.0, n_iter_no_change=2, max_iter=60),
        dict(nesterovs_momentum=False, momentum=0.5),
        dict(momentum=0.0),
        dict(tol=1.0, n_iter_no_change=3),
        dict(tol=1.0, n_iter_no_change=np.inf),
    ],
    ids=str,
)
def test_rules_of_gradient_descent_are_those_of_scikit_learn(parameters):
    ours, theirs = pair(MLPClassifier, blobs(), solver="sgd", learning_rate_init=0.1, **parameters)
    assert_same_course(ours, theirs)


def test_adam_takes_its_numbers_and_no_learning_rate_rule_as_in_scikit_learn():
    numbers = dict(beta_1=0.7, beta_2=0.9, epsilon=0.01, learning_rate_init=0.02)
    assert_same_course(*pair(MLPRegressor, regression(), learning_rate="adaptive", **numbers))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_early_stopping_holds_back_the_same_rows_and_stops_at_the_same_epoch(problem, weighted):
    kind, data = PROBLEMS[problem]
    weights = np.random.default_rng(3).uniform(0.5, 2, len(data[0])) if weighted else None
    rules = dict(early_stopping=True, n_iter_no_change=4, learning_rate_init=0.02, max_iter=60)
    ours, theirs = pair(kind, data, weights, validation_fraction=0.25, **rules)
    assert_same_course(ours, theirs)
    assert ours.validation_scores_[ours.best_epoch_] == ours.best_validation_score_


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
def test_warm_start_goes_on_as_in_scikit_learn(kind, solver):
    x, y = blobs()
    pairs = [cls(**SMALL, solver=solver, warm_start=True) for cls in (kind, KINDS[kind])]
    for estimator in pairs:
        estimator.fit(x, y).set_params(max_iter=13).fit(x, y)
    assert_same_course(*pairs)


def test_warm_start_after_convergence_has_its_patience_again_and_keeps_the_best_weights():
    x, y = blobs()
    rules = dict(warm_start=True, early_stopping=True, n_iter_no_change=3, max_iter=50)
    model = MLPClassifier(**SMALL | rules).fit(x, y)
    best, coefs = model.best_validation_score_, model.coefs_[0].copy()
    model.set_params(learning_rate_init=1e-12).fit(x, y)
    assert model.n_iter_ == 4
    assert model.best_validation_score_ == best
    np.testing.assert_array_equal(model.coefs_[0], coefs)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit_goes_on_with_the_optimizers_state(kind, solver):
    x, y = blobs()
    pairs = [cls(**SMALL, solver=solver, learning_rate="invscaling") for cls in (kind, KINDS[kind])]
    for estimator in pairs:
        first = {"classes": [0, 1]} if kind is MLPClassifier else {}
        estimator.partial_fit(x[:50], y[:50], **first)
        for begin in range(50, 200, 50):
            estimator.partial_fit(x[begin : begin + 50], y[begin : begin + 50])
    assert_same_course(*pairs)


def test_partial_fit_after_a_pickle_is_the_same_as_without():
    x, y = blobs()
    kept = MLPClassifier(**SMALL, solver="sgd", learning_rate="adaptive")
    kept.partial_fit(x, y, classes=[0, 1])
    loaded = pickle.loads(pickle.dumps(kept))
    kept.partial_fit(x, y)
    loaded.partial_fit(x, y)
    np.testing.assert_array_equal(kept.coefs_[0], loaded.coefs_[0])
    assert kept.loss_curve_ == loaded.loss_curve_


def test_partial_fit_hears_of_a_new_learning_rate():
    x, y = blobs()
    model = MLPClassifier(**SMALL).partial_fit(x, y, classes=[0, 1])
    model.set_params(learning_rate_init=0.5).partial_fit(x, y)
    assert model.history_["learning_rate"] == [0.001, 0.5]


def test_shuffled_mini_batches_learn_as_well_as_scikit_learns():
    x, y = digits(1797)
    scores = {}
    for cls in (MLPClassifier, neural_network.MLPClassifier):
        scores[cls] = [
            cls((30,), max_iter=30, learning_rate_init=0.005, random_state=seed)
            .fit(x[:1300], y[:1300])
            .score(x[1300:], y[1300:])
            for seed in range(3)
        ]
    ours, theirs = scores.values()
    assert np.mean(ours) > np.mean(theirs) - 0.01


@pytest.mark.parametrize("problem", PROBLEMS)
def test_probabilities_and_scores_are_scikit_learns(problem):
    kind, data = PROBLEMS[problem]
    ours, theirs = pair(kind, data)
    assert ours.score(*data) == pytest.approx(theirs.score(*data))
    if kind is MLPClassifier:
        p = ours.predict_proba(data[0])
        np.testing.assert_allclose(p, theirs.predict_proba(data[0]))
        np.testing.assert_allclose(ours.predict_log_proba(data[0]), np.log(p))


@pytest.mark.parametrize("labels", [["no", "yes"], [-1, 1], [False, True], [2.0, 7.0]])
def test_labels_of_any_type_come_back(labels):
    x, y = blobs()
    y = np.array(labels)[y]
    model = MLPClassifier(**SMALL).fit(x, y)
    assert model.predict(x).dtype == y.dtype
    assert model.score(x, y) > 0.6
    np.testing.assert_array_equal(model.classes_, sorted(labels))


def test_labels_that_are_python_strings_come_back():
    x, y = blobs(n_classes=3)
    y = np.array(["a", "bb", "ccc"], dtype=object)[y]
    model = MLPClassifier(**SMALL).fit(x, y.tolist())
    assert set(model.predict(x)) <= {"a", "bb", "ccc"}


def test_one_class_is_certain():
    model = MLPClassifier(**SMALL).fit([[0.0], [1.0]], ["only", "only"])
    assert model.predict([[5.0]]) == ["only"]
    np.testing.assert_array_equal(model.predict_proba([[5.0]]), [[1.0]])


def test_sparse_indicators_are_predicted_sparse():
    x, y = multilabel()
    dense = MLPClassifier(**SMALL).fit(x, y).predict(x)
    predicted = MLPClassifier(**SMALL).fit(x, sparse.csr_matrix(y)).predict(x)
    assert sparse.issparse(predicted)
    np.testing.assert_array_equal(predicted.toarray(), dense)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_array])
@pytest.mark.parametrize("kind", KINDS)
def test_sparse_rows_are_the_same_as_dense_ones(kind, container):
    x, y = blobs()
    x[x < 0.5] = 0
    dense, other = kind(**SMALL).fit(x, y), kind(**SMALL).fit(container(x), y)
    np.testing.assert_array_equal(dense.coefs_[0], other.coefs_[0])
    np.testing.assert_allclose(dense.predict(x), other.predict(container(x)), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_type_of_the_rows_is_that_of_the_model(kind, solver, dtype):
    x, y = blobs()
    model = kind(**SMALL, solver=solver).fit(x.astype(dtype), y)
    assert {a.dtype for a in (*model.coefs_, *model.intercepts_)} == {np.dtype(dtype)}
    outputs = model.predict if kind is MLPRegressor else model.predict_proba
    assert outputs(x).dtype == outputs(x[:1].astype(dtype)).dtype == dtype


def test_type_can_be_forced_and_other_types_become_float64():
    x, y = blobs()
    assert MLPRegressor(**SMALL, dtype="float32").fit(x, y).coefs_[0].dtype == np.float32
    assert MLPRegressor(**SMALL).fit((10 * x).astype(int), y).coefs_[0].dtype == np.float64


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_views_that_can_be_changed_in_place(kind):
    x, y = blobs()
    model = kind(**SMALL).fit(x, y)
    for array in (*model.coefs_, *model.intercepts_):
        array[...] = 0
    proba = model.predict_proba(x) if kind is MLPClassifier else model.predict(x)
    np.testing.assert_array_equal(proba, 0.5 if kind is MLPClassifier else 0.0)


def test_weights_can_be_replaced():
    x, y = regression()
    model = MLPRegressor(**SMALL).fit(x, y)
    expected = MLPRegressor(**SMALL | dict(random_state=1)).fit(x, y)
    model.coefs_ = [c.copy() for c in expected.coefs_]
    for i, intercept in enumerate(expected.intercepts_):
        model.intercepts_[i] = intercept.copy()
    np.testing.assert_array_equal(model.predict(x), expected.predict(x))
    assert model.coefs_[0] is not expected.coefs_[0]
    # The next fit starts from them too.
    model.set_params(warm_start=True, max_iter=1, batch_size=200).fit(x, y)
    expected.set_params(warm_start=True, max_iter=1, batch_size=200).fit(x, y)
    assert model.loss_ == expected.loss_


def test_weights_of_a_wrong_shape_are_refused():
    x, y = regression()
    model = MLPRegressor(**SMALL).fit(x, y)
    model.coefs_[1] = np.zeros((3, 3))
    with pytest.raises(ValueError, match=r"coefs_\[1\] must have shape \(12, 7\); got \(3, 3\)"):
        model.predict(x)
    model.coefs_ = model.coefs_[:1]
    with pytest.raises(ValueError, match="coefs_ must hold 3 arrays, one per layer; got 1"):
        model.predict(x)


def test_weights_set_before_the_first_fit_are_where_it_starts():
    x, y = regression()
    first = MLPRegressor(**SMALL).fit(x, y)
    model = MLPRegressor(**SMALL | dict(warm_start=True, random_state=7))
    model.coefs_, model.intercepts_ = first.coefs_, first.intercepts_
    model.fit(x, y)
    first.set_params(warm_start=True).fit(x, y)
    np.testing.assert_array_equal(model.coefs_[0], first.coefs_[0])


@pytest.mark.parametrize(
    "copied",
    [
        lambda e: pickle.loads(pickle.dumps(e)),
        copy.copy,
        copy.deepcopy,
    ],
    ids=["pickle", "copy", "deepcopy"],
)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_copies_predict_the_same_and_share_no_weights(problem, copied):
    kind, (x, y) = PROBLEMS[problem]
    model = kind(**SMALL).fit(x, y)
    twin = copied(model)
    expected = model.predict(x)
    np.testing.assert_array_equal(twin.predict(x), expected)
    assert twin.coefs_[0].base is not None
    twin.coefs_[0][...] = 0
    np.testing.assert_array_equal(model.predict(x), expected)


def test_a_pickle_holds_nothing_of_the_engine():
    x, y = blobs()
    state = MLPClassifier(**SMALL).fit(x, y).__getstate__()
    assert b"fastmlp.engine._core" not in pickle.dumps(state)
    assert b"fastmlp.network" not in pickle.dumps(state)


def test_clone_has_parameters_but_no_weights():
    model = MLPClassifier(**SMALL, class_weight={0: 2}, scoring="f1").fit(*blobs())
    fresh = clone(model)
    assert repr(fresh.get_params()) == repr(model.get_params())
    with pytest.raises(NotFittedError):
        fresh.predict(np.zeros((1, 6)))


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_and_defaults_of_scikit_learn_are_all_there(kind):
    ours, theirs = kind().get_params(), KINDS[kind]().get_params()
    assert {name: ours[name] for name in theirs} == theirs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_attributes_of_scikit_learn_are_all_there(kind, early_stopping):
    rules = dict(early_stopping=early_stopping)
    ours, theirs = pair(kind, blobs(), **rules)
    public = {name for name in vars(theirs) if name.endswith("_") and not name.startswith("_")}
    assert public - set(vars(ours)) == set()


def test_one_row_takes_the_short_way_with_the_same_result():
    x, y = blobs(n_classes=4)
    model = MLPClassifier(**SMALL).fit(x, y)
    rows = np.concatenate([model.predict_proba(x[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(rows, model.predict_proba(x)[:20], rtol=1e-12)
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full((1, 6), np.nan))
    with pytest.raises(ValueError, match="has 5 features, but MLPClassifier is expecting 6"):
        model.predict(x[:1, :5])


def test_predictions_by_many_threads_are_right_and_change_nothing():
    x, y = blobs(n_classes=4)
    model = MLPClassifier(**SMALL).fit(x, y)
    expected, before = model.predict_proba(x), dict(vars(model))
    results, errors = [], []

    def work():
        try:
            for i in range(30):
                results.append(np.array_equal(model.predict_proba(x), expected))
                model.predict(x[i : i + 1])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert all(results)
    assert vars(model).keys() == before.keys()


@pytest.mark.parametrize("n_rows", [1, 200])
def test_first_predictions_by_many_threads_at_once_are_those_of_one(n_rows):
    x, y = blobs(n_classes=4)
    data = pickle.dumps(MLPClassifier(**SMALL).fit(x, y))
    expected = pickle.loads(data).predict_proba(x[:n_rows])
    for _ in range(5):
        model, barrier, results = pickle.loads(data), threading.Barrier(8), []

        def work(model=model, barrier=barrier, results=results):
            barrier.wait()
            results.append(model.predict_proba(x[:n_rows]))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 8
        for result in results:
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_model_does_not_depend_on_the_number_of_threads(kind):
    x, y = blobs(1000)
    models = [kind(**SMALL, n_threads=n).fit(x, y) for n in (1, 2, 5)]
    for model in models[1:]:
        np.testing.assert_array_equal(models[0].coefs_[0], model.coefs_[0])


def test_same_random_state_same_model():
    x, y = blobs()
    a, b, c = (MLPClassifier(**SMALL | dict(random_state=s)).fit(x, y) for s in (5, 5, 6))
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])
    assert not np.array_equal(a.coefs_[0], c.coefs_[0])


def test_partial_fit_is_for_stochastic_solvers():
    assert not hasattr(MLPRegressor(solver="lbfgs"), "partial_fit")
    assert hasattr(MLPRegressor(), "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'"):
        MLPClassifier(solver="lbfgs").partial_fit([[0.0]], [0])


def test_interruption_keeps_what_was_learned():
    x, y = blobs()

    def interrupt(trainer):
        if trainer.epochs_done == 3:
            raise KeyboardInterrupt

    from fastmlp.callbacks.scheduler import LearningRateScheduler

    class Interrupt(LearningRateScheduler):
        def __init__(self):
            pass

        def before_epoch(self, trainer):
            interrupt(trainer)

    model = MLPClassifier(**SMALL).set_callbacks(Interrupt())
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y)
    assert model.n_iter_ == len(model.loss_curve_) == 3
    np.testing.assert_allclose(model.loss_curve_, MLPClassifier(**SMALL).fit(x, y).loss_curve_[:3])


def test_summary_counts_what_there_is():
    model = MLPClassifier(**SMALL).fit(*blobs(n_classes=3))
    summary = model.summary()
    assert summary.n_parameters == sum(a.size for a in (*model.coefs_, *model.intercepts_))
    assert summary.flop == 2 * (6 * 12 + 12 * 7 + 7 * 3)
    assert "hidden 2         (n, 7)   relu                 91            168" in str(summary)
    assert "<td>softmax</td>" in summary._repr_html_()
    assert "199 float64 parameters, 1.6 KiB; 354 FLOP to predict a row" in str(summary)


@pytest.mark.parametrize("fitted", [False, True])
def test_html_links_to_the_page_of_the_class_and_explains_its_parameters(fitted):
    model = MLPRegressor(max_iter=3, tol=1.0, n_iter_no_change=1)
    if fitted:
        model.fit(np.eye(4), np.arange(4.0))
    html = model._repr_html_()
    page = "https://fastmlp.readthedocs.io/en/stable/api/generated/fastmlp.estimators.MLPRegressor"
    links = re.findall(r'href="([^"]*)"', html.split("</style>")[-1])
    assert links
    assert all(link.startswith(f"{page}.html") for link in links)


def test_network_below_predicts_into_an_array():
    model = MLPClassifier(**SMALL).fit(*blobs(n_classes=3))
    network = model.network_
    assert isinstance(network, Network)
    out = np.empty((5, 3))
    network.predict(np.ones((5, 6)), out=out)
    np.testing.assert_allclose(out, model.predict_proba(np.ones((5, 6))))


def test_reaching_max_iter_warns():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(20\) reached"):
        MLPClassifier(**SMALL).fit(*blobs())
    with pytest.warns(ConvergenceWarning, match=r"lbfgs failed to converge after 20 iteration"):
        MLPClassifier(**SMALL, solver="lbfgs").fit(*blobs())


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("learning_rate", ["cosine", "one_cycle"])
def test_a_schedule_that_ends_with_max_iter_reaches_it_as_planned(learning_rate):
    model = MLPClassifier(**SMALL, learning_rate=learning_rate).fit(*blobs())
    assert model.n_iter_ == 20


def test_classes_of_several_labels_are_their_columns():
    x, y = multilabel()
    n = y.shape[1]
    with pytest.raises(ValueError, match=r"classes must be array\(\[0, 1, .*; got"):
        MLPClassifier(**SMALL).partial_fit(x, y, classes=list("abcdefgh"[: n + 1]))
    model = MLPClassifier(**SMALL).partial_fit(x, y, classes=np.arange(n))
    model.partial_fit(x, y, classes=np.arange(n))
