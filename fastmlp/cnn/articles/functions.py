"""build_cnn_simple and my_compile of the articles, with their signatures, for Keras models.

Source: "A simple CNN for the MNIST dataset" II and III, linux-blog.anracom.com.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastmlp._checks import check_integer, check_iterable
from fastmlp.cnn.articles.lists import config_of_lists
from fastmlp.cnn.articles.start import STARTS, Start
from fastmlp.cnn.backend import import_keras
from fastmlp.cnn.build import build_model, keras_optimizer, xla_for_keras
from fastmlp.cnn.config import OPTIMIZERS, WITH_MOMENTUM, CNNConfig
from fastmlp.cnn.device import choose_device
from fastmlp.cnn.layers import DenseLayer

SCHEDULE_NAMES = {
    None: "none",
    "powerSched": "power",
    "exponential": "exponential",
    "cosine": "cosine",
}
DEFAULT_LOSS = "categorical_crossentropy"


def build_cnn_simple(
    li_Conv: Sequence[Any],
    li_Pool: Sequence[Any],
    li_MLP: Sequence[Any],
    input_shape: Sequence[int],
    my_regularizer: Any = None,
    my_reg_param_l2: float = 0.01,
    my_reg_param_l1: float = 0.01,
    *,
    seed: int | None = None,
) -> Any:
    """A Keras model of convolutions, poolings and dense layers, compiled with default settings.

    The loss is categorical_crossentropy for softmax outputs, binary_crossentropy for sigmoid ones.

    Parameters
    ----------
    li_Conv : sequence of [maps, kernel size, activation]
        The activation as a name or as an index into relu, sigmoid, elu, tanh, selu. A fourth entry
        names the layer; without it the layers are Conv2D_1 and so on. A
        :class:`fastmlp.cnn.ConvLayer` has a stride and a padding too.
    li_Pool : sequence of [pool size]
        One less than `li_Conv`; a second entry names the layer (Max_Pool_1 and so on). None for no
        pooling there; a :class:`fastmlp.cnn.PoolLayer` for a stride or averages.
    li_MLP : sequence of [nodes, activation]
        Hidden layers: relu, sigmoid, tanh; the last one: softmax, sigmoid; a third entry names the
        layer (Dense_1 and so on). Or :class:`fastmlp.cnn.DenseLayer`.
    input_shape : (int, int, int)
        Height, width and channels.
    my_regularizer : {"l1", "l2"}, callable or None
        Of the kernels of all dense layers.
    my_reg_param_l2, my_reg_param_l1 : float >= 0
    seed : int or None
        Of the initial weights; None leaves them to Keras' own random numbers.

    Returns
    -------
    keras.Sequential

    Raises
    ------
    ValueError, TypeError
        For lists that do not fit together and unknown names, before anything is built.
    """
    config = config_of_lists(
        li_Conv,
        li_Pool,
        li_MLP,
        input_shape,
        regularizer=my_regularizer,
        l1=my_reg_param_l1 if my_regularizer == "l1" else 0.0,
        l2=my_reg_param_l2 if my_regularizer == "l2" else 0.0,
    )
    if seed is not None:
        seed = check_integer("seed", seed, minimum=0, maximum=None)
    cnn = build_model(config, seed)
    STARTS[cnn] = Start(cnn)
    compile_for_articles(cnn, keras_optimizer(config), config.loss, config.metrics)
    return cnn


def my_compile(
    cnn: Any,
    my_loss: str = DEFAULT_LOSS,
    my_metrics: Sequence[str] = ("accuracy",),
    my_optimizer: str = "rmsprop",
    my_momentum: float = 0.0,
    my_lr_sched: str | None = None,
    my_lr_init: float = 0.001,
    my_lr_decay_steps: int = 1,
    my_lr_decay_rate: float = 0.00001,
    verbose: bool | int = True,
) -> Any:
    """Give a Keras model a loss, metrics and a new optimizer; its weights stay.

    Parameters
    ----------
    cnn : keras.Model
        Its last layer has softmax or sigmoid outputs. Changed in place.
    my_loss : str
        categorical_crossentropy for softmax outputs, binary_crossentropy for sigmoid outputs, or
        mean_squared_error.
    my_metrics : sequence of str
    my_optimizer : {"rmsprop", "nadam", "adamax", "adam", "sgd"}
    my_momentum : float in [0, 1)
        Passed to optimizers that have one; for others a line is printed that it is not used.
    my_lr_sched : {None, "powerSched", "exponential", "cosine"}
        None keeps the rate; see :func:`fastmlp.cnn.learning_rate_at`.
    my_lr_init, my_lr_decay_steps, my_lr_decay_rate : float, int, float
        The three values of the schedule.
    verbose : bool or int
        Print them, and a momentum that is not used.

    Returns
    -------
    keras.Model
        `cnn` itself.

    Raises
    ------
    ValueError, TypeError
        Naming the argument; `cnn` is then as it was.
    """
    check_model("cnn", cnn)
    if my_lr_sched not in SCHEDULE_NAMES:
        names = ", ".join(map(repr, SCHEDULE_NAMES))
        raise ValueError(f"my_lr_sched must be one of {names}; got {my_lr_sched!r}")
    if my_momentum and my_optimizer in OPTIMIZERS and my_optimizer not in WITH_MOMENTUM:
        if verbose:
            print(
                f"my_momentum = {my_momentum:g} is not used: {my_optimizer} has no such parameter"
            )
        my_momentum = 0.0
    config = _checked(
        cnn,
        loss=my_loss,
        metrics=my_metrics,
        optimizer=my_optimizer,
        momentum=my_momentum,
        schedule=SCHEDULE_NAMES[my_lr_sched],
        learning_rate=my_lr_init,
        decay_steps=my_lr_decay_steps,
        decay_rate=my_lr_decay_rate,
    )
    compile_for_articles(cnn, keras_optimizer(config), my_loss, config.metrics)
    if verbose:
        print(
            f"schedule {my_lr_sched}: lr_init = {my_lr_init:g}, decay_steps = {my_lr_decay_steps}, "
            f"decay_rate = {my_lr_decay_rate:g}"
        )
    return cnn


def compile_for_articles(cnn: Any, optimizer: Any, loss: Any, metrics: Any) -> None:
    """Compile as Keras does, with the loss checked.

    XLA is used as :func:`fastmlp.cnn.build.xla_for_keras` says, never for TensorFlow on a
    processor.

    Parameters
    ----------
    cnn : keras.Model
        Changed in place.
    optimizer, loss, metrics
        As ``cnn.compile`` takes them. An optimizer that has belonged to another model is copied,
        for Keras lets it serve one only.

    Raises
    ------
    TypeError
        If `metrics` is a single name or no sequence.
    ValueError
        For an unknown name, or if Keras would compute the loss as if the outputs had another
        function than they have.
    """
    optimizers = import_keras().optimizers
    if isinstance(loss, str):
        _checked(cnn, loss=loss)
    if isinstance(optimizer, optimizers.Optimizer) and optimizer.built:
        optimizer = type(optimizer).from_config(optimizer.get_config())
    xla = xla_for_keras("auto", _device(cnn))
    names = list(check_iterable("metrics", metrics, "names or Keras metrics"))
    cnn.compile(optimizer=optimizer, loss=loss, metrics=names, jit_compile=xla)


def check_model(name: str, model: Any) -> Any:
    """Return `model`, which must be a Keras model.

    Raises
    ------
    TypeError
    """
    if not isinstance(model, import_keras().Model):
        raise TypeError(f"{name} must be a Keras model; got {type(model).__name__}")
    return model


def _device(cnn: Any) -> str:
    """The device that the model was built on, also within ``tf.device``: "cpu:0", "gpu:0"."""
    on_processor = cnn.weights and "cpu" in str(cnn.weights[0].value.device).lower()
    return "cpu:0" if on_processor else choose_device("auto")


def _checked(cnn: Any, **settings: Any) -> CNNConfig:
    """The settings, checked with the model's output layer; its other layers do not matter."""
    output = cnn.layers[-1]
    function = getattr(getattr(output, "activation", None), "__name__", type(output).__name__)
    dense = (DenseLayer(cnn.output_shape[-1], function),)
    return CNNConfig((), (), dense, (1, 1, 1), **settings)
