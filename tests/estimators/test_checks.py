"""scikit-learn's own checks of an estimator, for every solver and activation."""

from __future__ import annotations

import pytest
from sklearn import neural_network
from sklearn.utils.estimator_checks import (
    check_class_weight_classifiers,
    check_classifiers_classes,
    check_classifiers_train,
    check_estimator,
    check_fit_idempotent,
    check_methods_subset_invariance,
    check_regressors_int,
    check_regressors_train,
    estimator_checks_generator,
    parametrize_with_checks,
)

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators.parameters import SOLVERS
from fastmlp.losses import ACTIVATIONS

# Some checks want accuracy, on features of size 20, with few epochs: hence the learning rates.
VARIANTS = [
    *(dict(solver=solver) for solver in ("sgd", "adam", "lbfgs")),
    dict(hidden_layer_sizes=(), learning_rate_init=0.1),
]
ALIKE = [
    *(dict(solver=solver) for solver in SOLVERS if dict(solver=solver) not in VARIANTS),
    *(dict(activation=a) for a in (*ACTIVATIONS, "logistic") if a != "tanh"),
    dict(activation="tanh", learning_rate_init=0.01),  # see AT_THE_DEFAULT_RATE
    dict(hidden_layer_sizes="20x10", activation=("tanh", "relu"), learning_rate_init=0.01),
]
"""Those that differ from the others in what the engine computes alone."""


def of_both_kinds(variants):
    return [kind(max_iter=100, **v) for v in variants for kind in (MLPClassifier, MLPRegressor)]


def ignoring_few_epochs(test):
    """The checks train with few epochs, some of them on data that is not scaled."""
    for warning in (
        "sklearn.exceptions.ConvergenceWarning",
        "fastmlp.exceptions.UnscaledInputWarning",
    ):
        test = pytest.mark.filterwarnings(f"ignore::{warning}")(test)
    return test


@ignoring_few_epochs
@parametrize_with_checks(of_both_kinds(VARIANTS))
def test_estimator_passes_check(estimator, check):
    check(estimator)


@pytest.mark.soak
@ignoring_few_epochs
@pytest.mark.parametrize("estimator", of_both_kinds(ALIKE), ids=str)
def test_estimator_like_those_passes_every_check(estimator):
    check_estimator(estimator, on_skip=None)


@ignoring_few_epochs
@pytest.mark.parametrize("estimator", of_both_kinds(ALIKE), ids=str)
def test_estimator_like_those_learns_as_the_checks_want(estimator):
    """Those of scikit-learn's checks in which solver and activation matter; the soak has all."""
    checks = [check_fit_idempotent, check_methods_subset_invariance]
    if isinstance(estimator, MLPClassifier):
        checks += [check_classifiers_train, check_classifiers_classes]
    else:
        checks += [check_regressors_train, check_regressors_int]
    for check in checks:
        check(type(estimator).__name__, estimator)


@pytest.mark.parametrize(("kind", "at_least"), [(MLPClassifier, 67), (MLPRegressor, 60)])
def test_scikit_learn_has_as_many_checks_for_ours_as_for_its_own(kind, at_least):
    assert len(list(estimator_checks_generator(kind()))) >= at_least


AT_THE_DEFAULT_RATE = [
    (MLPRegressor, "sgd", "sigmoid", check_regressors_train),
    (MLPRegressor, "nesterov", "sigmoid", check_regressors_train),
    (MLPClassifier, "adam", "tanh", check_class_weight_classifiers),
    (MLPClassifier, "adamw", "tanh", check_class_weight_classifiers),
]
"""What fails in 100 epochs with learning_rate_init=0.001: all others pass, as they are."""


@ignoring_few_epochs
@pytest.mark.parametrize("kind, solver, activation, check", AT_THE_DEFAULT_RATE)
def test_these_checks_want_more_than_the_default_rate(kind, solver, activation, check):
    estimator = kind(solver=solver, activation=activation, max_iter=100)
    with pytest.raises(AssertionError):
        check(kind.__name__, estimator)
    check(kind.__name__, estimator.set_params(learning_rate_init=0.01))


@ignoring_few_epochs
def test_scikit_learns_own_regressor_wants_it_too():
    estimator = neural_network.MLPRegressor(solver="sgd", activation="logistic", max_iter=100)
    with pytest.raises(AssertionError):
        check_regressors_train("MLPRegressor", estimator)
