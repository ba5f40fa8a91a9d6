"""scikit-learn's own checks of an estimator, for every solver and activation."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators.parameters import SOLVERS
from fastmlp.losses import ACTIVATIONS

VARIANTS = [
    *(dict(solver=solver) for solver in SOLVERS),
    # Some checks want accuracy, on features of size 20, with few epochs.
    *(dict(activation=a, learning_rate_init=0.01) for a in (*ACTIVATIONS, "logistic")),
    dict(hidden_layer_sizes=(), learning_rate_init=0.1),
    dict(hidden_layer_sizes="20x10", activation=("tanh", "relu"), learning_rate_init=0.01),
]
ESTIMATORS = [kind(max_iter=100, **v) for v in VARIANTS for kind in (MLPClassifier, MLPRegressor)]


# The checks train with few epochs, some of them on data that is not scaled.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::fastmlp.exceptions.UnscaledInputWarning")
@parametrize_with_checks(ESTIMATORS)
def test_estimator_passes_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("kind", "at_least"), [(MLPClassifier, 67), (MLPRegressor, 60)])
def test_scikit_learn_has_as_many_checks_for_ours_as_for_its_own(kind, at_least):
    assert len(list(estimator_checks_generator(kind()))) >= at_least
