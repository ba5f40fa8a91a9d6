"""Trainer: epochs of mini-batch gradient descent on a Network, and what they record."""

from fastmlp.training.epoch import EpochRecord as EpochRecord
from fastmlp.training.history import Evaluation as Evaluation
from fastmlp.training.history import History as History
from fastmlp.training.trainer import Trainer as Trainer
