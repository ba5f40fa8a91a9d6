"""Tables: estimators and transformers for data frames as they come.

TabularClassifier and TabularRegressor take numbers, text, categories, dates and missing values, and
train an ensemble of small networks; their parts can be used alone. The other classes are what
fitted estimators consist of: pickles find them here.
"""

from fastmlp.tables.classifier import TabularClassifier as TabularClassifier
from fastmlp.tables.encoder import TabularEncoder as TabularEncoder
from fastmlp.tables.features import Features as Features
from fastmlp.tables.importance import HeldOutRows as HeldOutRows
from fastmlp.tables.intervals import Residuals as Residuals
from fastmlp.tables.members import Member as Member
from fastmlp.tables.piecewise import PiecewiseBins as PiecewiseBins
from fastmlp.tables.piecewise import PiecewiseLinearEncoder as PiecewiseLinearEncoder
from fastmlp.tables.reader import Cells as Cells
from fastmlp.tables.reader import ColumnFacts as ColumnFacts
from fastmlp.tables.reader import Reader as Reader
from fastmlp.tables.regressor import TabularRegressor as TabularRegressor
from fastmlp.tables.statistics import TargetStatistics as TargetStatistics
from fastmlp.tables.summary import TabularSummary as TabularSummary
