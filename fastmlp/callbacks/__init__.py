"""Callbacks: what runs between the epochs of a training run."""

from fastmlp.callbacks.base import Callback as Callback
from fastmlp.callbacks.base import EarlyStopping as EarlyStopping
from fastmlp.callbacks.base import EpochCallback as EpochCallback
from fastmlp.callbacks.base import LearningRateScheduler as LearningRateScheduler
from fastmlp.callbacks.base import TargetReached as TargetReached
from fastmlp.callbacks.base import TimeBudget as TimeBudget
