"""CNN: a Keras model with the interface and the History of the rest of fastmlp."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import (
    check_choice,
    check_flag,
    check_integer,
    check_iterable,
    check_pair_of_arrays,
)
from fastmlp._types import StrPath
from fastmlp.callbacks.base import EpochCallback, around_training, as_epoch_callback
from fastmlp.callbacks.checkpoint import Checkpoint
from fastmlp.callbacks.scheduler import LearningRateScheduler
from fastmlp.callbacks.stopping import EarlyStopping
from fastmlp.cnn.arrays import Images, check_images, check_targets
from fastmlp.cnn.backend import import_keras, library
from fastmlp.cnn.best_epoch import BestEpoch
from fastmlp.cnn.build import ERROR_METRIC, build_model, compile_model, xla_for_keras
from fastmlp.cnn.config import CNNConfig
from fastmlp.cnn.device import fits_on_card, model_device
from fastmlp.cnn.files import Parts, check_name, load, save
from fastmlp.cnn.protocol import KerasTraining
from fastmlp.cnn.state import TrainingState, current_rate, iterations, penalty, set_rate
from fastmlp.datasets.scaling import Scaler
from fastmlp.training.history import Evaluation, History

PREDICTION_BATCH = 500
TRAINING_FIELDS = (
    "loss",
    "metrics",
    "optimizer",
    "momentum",
    "schedule",
    "learning_rate",
    "decay_steps",
    "decay_rate",
    "batch_size",
    "epochs",
)

OF_TRAINERS = {
    EarlyStopping: "EarlyStopping",
    LearningRateScheduler: "LearningRateScheduler",
    Checkpoint: "ModelCheckpoint",
}
"""Callbacks for Trainers only, and the equivalents in Keras."""


class CNN:
    """A convolutional network in Keras, described by a CNNConfig.

    Parameters
    ----------
    config : CNNConfig
    seed : int >= 0 or None
        Of the initial weights and of the order of the images in every epoch.
    device : str
        "cpu", "gpu", "gpu:0" or "auto": within ``tf.device`` or ``keras.device`` the device of
        that scope, else a graphics card if there is one. The network stays on it.
    xla : bool or "auto"
        Compile the training step with XLA; PyTorch, with its own compiler. "auto" is as Keras
        decides, except that TensorFlow on a processor does without: it would be slower.
    steps_per_execution : int >= 1
        Mini-batches that are handed to a graphics card at a time; the batches of one execution have
        one mean cost in the history. Not for PyTorch.
    data_on_card : bool or None
        Keep the training set in the memory of the graphics card, and gather the mini-batches there.
        None: where it takes a quarter of that memory at most.

    Attributes
    ----------
    model : keras.Sequential
    history : History
        Of the last `fit`. ``costs`` are means over a batch's images, penalty included;
        ``learning_rates`` are those at the end of the epoch; ``val_...`` belong to the
        ``validation_data`` of the fit.
    metrics : dict
        Numbers of the last epoch by name.
    epochs_done : int
        Epochs since the start or the last `reset`.
    scaler : fastmlp.datasets.scaling.Scaler or None
        Standardizes raw pixels for this network; set it to save it with the model.

    Raises
    ------
    ImportError
        If Keras or the library under it is missing, with the command that installs it.
    ValueError
        For a device that is not there, or several steps per execution in PyTorch.

    Examples
    --------
    >>> cnn = CNN(CNNConfig.article("C2"), seed=0)  # doctest: +SKIP
    >>> history = cnn.fit(X, y, validation_data=(X_test, y_test))  # doctest: +SKIP
    """

    __module__ = "fastmlp.cnn"  # its public address, which pickles keep when files move

    def __init__(
        self,
        config: CNNConfig | None = None,
        *,
        seed: int | None = None,
        device: str = "auto",
        xla: bool | str = "auto",
        steps_per_execution: int = 1,
        data_on_card: bool | None = None,
    ) -> None:
        if config is not None and not isinstance(config, CNNConfig):
            raise TypeError(f"config must be a CNNConfig; got {type(config).__name__}")
        if seed is not None:
            seed = check_integer("seed", seed, minimum=0, maximum=None)
        self.device = model_device(device)
        self._set_execution(xla, steps_per_execution, data_on_card)
        with self._placed():
            config = CNNConfig() if config is None else config
            model = build_model(config, seed)
            self._compile(model, config)
        self._adopt(config, model, seed)

    @classmethod
    def of_model(
        cls, config: CNNConfig, model: Any, *, seed: int | None = None, device: str = "auto"
    ) -> CNN:
        """A CNN around a compiled model that was built from `config`; nothing is copied.

        `reset` goes back to the state that the model has now.
        """
        cnn = cls.__new__(cls)
        cnn.device = model_device(device)
        cnn._set_execution("auto", 1, None)
        cnn._adopt(config, model, seed)
        return cnn

    def _set_execution(self, xla: bool | str, steps: int, data_on_card: bool | None) -> None:
        """How the device is fed."""
        if xla != "auto" and not isinstance(xla, bool):
            raise ValueError(f"xla must be True, False or 'auto'; got {xla!r}")
        steps = check_integer("steps_per_execution", steps, minimum=1)
        if steps > 1 and not library().TAKES_STEPS:
            raise ValueError(
                f"steps_per_execution must be 1 with {library().TITLE}, which Keras runs step by "
                f"step; got {steps}"
            )
        if data_on_card is not None:
            check_flag("data_on_card", data_on_card)
        self.xla, self.steps_per_execution, self.data_on_card = xla, steps, data_on_card

    def _compile(self, model: Any, config: CNNConfig) -> None:
        compile_model(
            model,
            config,
            xla=self.xla,
            device=self.device,
            steps_per_execution=self.steps_per_execution,
        )

    def _adopt(self, config: CNNConfig, model: Any, seed: int | None) -> None:
        self.config, self.model, self.seed = config, model, seed
        self.scaler: Scaler | None = None
        self.initial_state = TrainingState(model)
        self._entropy = int(np.random.SeedSequence(seed).entropy)  # type: ignore[arg-type]
        self._forget()

    def _forget(self) -> None:
        self.history, self.epochs_done = History(), 0
        self.metrics: dict[str, float] = {}

    def __repr__(self) -> str:
        return (
            f"CNN({len(self.config.conv)} convolutions, {self.config.n_parameters:,} parameters, "
            f"{self.epochs_done} epochs)"
        )

    @property
    def learning_rate(self) -> float:
        """Rate of the next batch."""
        return current_rate(self.model)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        set_rate(self.model, rate)

    @property
    def can_be_saved(self) -> bool:
        """Always False, because a Checkpoint only saves runs of Trainers."""
        return False

    def copy_weights(self) -> list[NDArray[Any]]:
        """Return copies of all weights, in Keras' order and shapes."""
        return list(self.model.get_weights())

    def set_weights(self, weights: list[NDArray[Any]]) -> None:
        """Set all weights, in Keras' order and shapes; the optimizer keeps its state."""
        self.model.set_weights(weights)

    @property
    def iterations(self) -> int:
        """Batches since the start or the last `reset`."""
        return iterations(self.model)

    def compile(self, **changes: Any) -> None:
        """Change settings of the training, with a new optimizer at iteration 0; weights stay.

        Parameters
        ----------
        **changes
            Fields of CNNConfig that do not concern the layers: loss, metrics, optimizer, momentum,
            schedule, learning_rate, decay_steps, decay_rate, batch_size, epochs.
        """
        for name in changes:
            check_choice("setting", name, TRAINING_FIELDS)
        config = replace(self.config, **changes)
        with self._placed():
            self._compile(self.model, config)
        self.config, self.initial_state = config, TrainingState(self.model)
        self._forget()

    def reset(self) -> None:
        """Restore the initial weights, iteration 0, the first rate and an empty history.

        This also works for a loaded CNN: the file contains the initial weights.
        """
        self.initial_state.restore(self.model)
        self._forget()

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        measure_train: bool = False,
        callbacks: Iterable[Any] = (),
        verbose: bool = False,
    ) -> History:
        """Train from the current weights and optimizer state; call `reset` first to start again.

        Parameters
        ----------
        X : array-like of shape (n, height, width, channels), finite
            Or (n, height, width) for one channel. Not modified.
        y : array-like of shape (n,) or (n, n_classes)
            Labels from 0 to n_classes - 1, or one-hot.
        epochs, batch_size : int >= 1 or None
            None means those of the configuration.
        validation_data : (X, y), optional
            Measured after every epoch, never trained on.
        measure_train : bool
            Also measure the whole training set after every epoch.
        callbacks : iterable
            Keras callbacks, fastmlp's EpochCallback objects, or callables ``callback(cnn)`` that
            end the training by returning True.
        verbose : bool
            Keras' progress bar.

        Returns
        -------
        History
            Also in ``self.history``.

        Raises
        ------
        ValueError, TypeError
            Naming the argument, before any training.
        DivergenceError
            If a loss is not finite; the network is then back at the last finished epoch.
        """
        x, targets = self._check_data("X", X, "y", y)
        validation = self._check_validation_data(validation_data)
        n_epochs = check_integer(
            "epochs", self.config.epochs if epochs is None else epochs, minimum=1
        )
        size = check_integer(
            "batch_size", self.config.batch_size if batch_size is None else batch_size, minimum=1
        )
        measure = (lambda: self._evaluate(x, targets)) if measure_train else None
        keras_callbacks, hooks = _sort_callbacks(callbacks)
        if any(isinstance(hook, BestEpoch) for hook in hooks):
            self._check_accuracy_is_measured(validation)
        from fastmlp.cnn.recorder import Callbacks, HookRunner, Recorder

        self.history = History()
        training: KerasTraining = self
        sizes = _batch_sizes(len(x), size)
        recorder = Recorder(training, sizes, measure)
        calls = Callbacks(
            recorder,
            [*keras_callbacks, HookRunner(training, hooks)],
            model=self.model,
            epochs=n_epochs,
            steps=len(sizes),
            verbose=int(verbose),
        )
        with (
            around_training(hooks, self),
            self._placed(),
            self._feeding(x, targets, size) as batches,
        ):
            self.model.fit(
                batches,
                epochs=n_epochs,
                validation_data=validation,
                validation_batch_size=PREDICTION_BATCH,
                callbacks=calls,
                shuffle=False,  # Keras', beside that of the batches
                verbose=int(verbose),
            )
        return self.history

    def predict(self, X: ArrayLike) -> Images:
        """Outputs (n, n_classes) of images (n, height, width, channels)."""
        x = check_images("X", X, self.config.input_shape)
        with self._placed():
            return np.asarray(self.model.predict(x, batch_size=PREDICTION_BATCH, verbose=0))

    def evaluate(self, X: ArrayLike, y: ArrayLike) -> Evaluation:
        """Loss and cost per image, mean abs(y - a), and accuracy, as a fastmlp Evaluation."""
        return self._evaluate(*self._check_data("X", X, "y", y))

    def penalty(self) -> float:
        """Penalty that the regularizers add to the cost of every batch."""
        return penalty(self.model)

    def save(self, path: StrPath) -> None:
        """Write model, initial weights, configuration and scaler to one ``.keras`` file."""
        target = check_name(path)
        parts = Parts(
            self.config,
            self.model,
            self.initial_state,
            self.seed,
            self._entropy,
            self.epochs_done,
            self.scaler,
        )
        save(parts, target)

    @classmethod
    def load(
        cls,
        path: StrPath,
        *,
        device: str = "auto",
        xla: bool | str = "auto",
        steps_per_execution: int = 1,
        data_on_card: bool | None = None,
    ) -> CNN:
        """Read a file written by `save` in Keras' safe mode; see :func:`fastmlp.cnn.load_model`.

        The options are those of the class: a file may be continued on another device, and on
        another library under Keras, than it was written on.
        """
        name = model_device(device)  # before the file is read
        with library().placed(name):
            parts = load(path)
            cnn = cls.of_model(parts.config, parts.model, seed=parts.seed)
        cnn.initial_state, cnn._entropy = parts.initial_state, parts.entropy
        cnn.epochs_done, cnn.scaler = parts.epochs_done, parts.scaler
        cnn._set_execution(xla, steps_per_execution, data_on_card)
        choice = xla_for_keras(xla, name)
        cnn.model.jit_compile = None if choice == "auto" else choice  # None: Keras decides again
        cnn.model.steps_per_execution = steps_per_execution
        return cnn

    def _evaluate(self, x: Images, targets: Images) -> Evaluation:
        with self._placed():
            found = self.model.evaluate(
                x, targets, batch_size=PREDICTION_BATCH, verbose=0, return_dict=True
            )
            penalty = self.penalty()
        cost = float(found["loss"])
        accuracy = round(float(found.get("accuracy", np.nan)), 6)  # Keras' is float32
        return Evaluation(cost - penalty, cost, float(found[ERROR_METRIC]), accuracy)

    def _check_data(
        self, x_name: str, X: ArrayLike, y_name: str, y: ArrayLike
    ) -> tuple[Images, Images]:
        x = check_images(x_name, X, self.config.input_shape)
        return x, check_targets(y_name, y, self.config.n_classes, len(x))

    def _check_validation_data(self, validation_data: Any) -> tuple[Images, Images] | None:
        if validation_data is None:
            return None
        x, y = check_pair_of_arrays("validation_data", validation_data)
        return self._check_data("validation_data[0]", x, "validation_data[1]", y)

    def _check_accuracy_is_measured(self, validation: object) -> None:
        if validation is None or "accuracy" not in self.config.metrics:
            metrics = f"metrics {self.config.metrics}"
            raise ValueError(
                "callbacks: BestEpoch needs validation_data, and 'accuracy' among the metrics; got "
                f"{'no validation_data' if validation is None else metrics}"
            )

    def _feeding(self, x: Images, targets: Images, batch_size: int) -> Any:
        """Shuffled mini-batches as Keras takes them from the library, within a context."""
        on_card = self.data_on_card
        if on_card is None:
            on_card = fits_on_card(self.device, x.nbytes + targets.nbytes)
        order = self._order(len(x))
        return library().feeding(self.model, (x, targets), order, batch_size, on_card)

    def _order(self, n_images: int) -> Callable[[], NDArray[np.int64]]:
        """A function that returns the order of the images in the coming epoch.

        It is that of the epoch's number, so that a run that is saved, loaded and continued sees
        the images as an uninterrupted run does.
        """

        def order() -> NDArray[np.int64]:
            rng = np.random.default_rng([self._entropy, self.epochs_done])
            return rng.permutation(n_images)

        return order

    def _placed(self) -> Any:
        return library().placed(self.device)


def _sort_callbacks(callbacks: Iterable[Any]) -> tuple[list[Any], list[EpochCallback]]:
    """Return Keras callbacks and fastmlp's, except those that change a Trainer's network."""
    keras_callback = import_keras().callbacks.Callback
    given = check_iterable("callbacks", callbacks, "callbacks")
    hooks = [call for call in given if not isinstance(call, keras_callback)]
    for hook in hooks:
        if isinstance(hook, tuple(OF_TRAINERS)):
            raise TypeError(
                f"callbacks: fastmlp's {type(hook).__name__} is for Trainers; a CNN takes Keras' "
                f"own, keras.callbacks.{OF_TRAINERS[type(hook)]}"
            )
        if not callable(hook) and not isinstance(hook, EpochCallback):
            raise TypeError(
                "callbacks must be Keras callbacks, EpochCallback objects or callables; "
                f"got {hook!r}"
            )
    of_keras = [call for call in given if isinstance(call, keras_callback)]
    return of_keras, [as_epoch_callback(hook) for hook in hooks]


def _batch_sizes(n_images: int, batch_size: int) -> Any:
    """Images of every batch of an epoch, the last one shorter."""
    n_batches = -(-n_images // batch_size)
    return np.minimum(batch_size, n_images - batch_size * np.arange(n_batches))
