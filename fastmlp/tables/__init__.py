"""Tables: estimators and transformers for data frames as they come.

TabularClassifier and TabularRegressor take numbers, text, categories, dates and missing values, and
train an ensemble of small networks; their parts can be used alone.
"""

from fastmlp.tables.classifier import TabularClassifier as TabularClassifier
from fastmlp.tables.encoder import TabularEncoder as TabularEncoder
from fastmlp.tables.piecewise import PiecewiseLinearEncoder as PiecewiseLinearEncoder
from fastmlp.tables.regressor import TabularRegressor as TabularRegressor
