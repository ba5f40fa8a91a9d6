"""Callbacks: what runs between the epochs of a training run.

What ends a run: `EarlyStopping`, `TargetReached`, `TimeBudget`. What changes its course:
`LearningRateScheduler`. What keeps it from being lost: `Checkpoint`. What shows it: `LivePlot`,
`TensorBoardLog`, `MLflowLog`. What a study of Optuna needs: `OptunaPruning`. Custom ones derive
from `EpochCallback`, or are functions of the training run.
"""

from fastmlp.callbacks.base import Callback as Callback
from fastmlp.callbacks.base import EpochCallback as EpochCallback
from fastmlp.callbacks.checkpoint import Checkpoint as Checkpoint
from fastmlp.callbacks.live_plot import LivePlot as LivePlot
from fastmlp.callbacks.mlflow_log import MLflowLog as MLflowLog
from fastmlp.callbacks.optuna_pruning import OptunaPruning as OptunaPruning
from fastmlp.callbacks.protocol import Training as Training
from fastmlp.callbacks.scheduler import LearningRateScheduler as LearningRateScheduler
from fastmlp.callbacks.stopping import EarlyStopping as EarlyStopping
from fastmlp.callbacks.stopping import TargetReached as TargetReached
from fastmlp.callbacks.stopping import TimeBudget as TimeBudget
from fastmlp.callbacks.tensorboard import TensorBoardLog as TensorBoardLog
