"""MLPClassifier and MLPRegressor: scikit-learn's estimators on this package's engine.

They take the place of those of `sklearn.neural_network`: same parameters, defaults, attributes and
meanings, and more of each.
"""

from fastmlp.estimators.classifier import MLPClassifier as MLPClassifier
from fastmlp.estimators.regressor import MLPRegressor as MLPRegressor
