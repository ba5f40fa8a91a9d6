"""CNNConfig: everything that describes a CNN and its training, in one frozen object."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from fastmlp._checks import check_choice, check_flag, check_integer, check_number
from fastmlp.cnn.geometry import layer_table
from fastmlp.cnn.layers import ConvLayer, DenseLayer, PoolLayer, name_layers

OUTPUT_FUNCTIONS = ("softmax", "sigmoid")
OPTIMIZERS = ("rmsprop", "nadam", "adamax", "adam", "sgd")
WITH_MOMENTUM = ("rmsprop", "sgd")
"""Optimizers of Keras that take a momentum; the others have moments of their own."""

SCHEDULES = ("none", "power", "exponential", "cosine")
FACTORS = {"l1": ("l1",), "l2": ("l2",), "l1_l2": ("l1", "l2")}
"""The named regularizers, and which factors they use."""

LOSSES = ("categorical_crossentropy", "binary_crossentropy", "mean_squared_error")
OUTPUT_OF_LOSS = {"categorical_crossentropy": "softmax", "binary_crossentropy": "sigmoid"}
"""Losses that Keras computes from the sums before the output function, whatever it is."""

LOSS_OF_OUTPUT = {output: loss for loss, output in OUTPUT_OF_LOSS.items()}
"""The loss that goes with each output function."""

METRICS = ("accuracy", "mean_absolute_error", "mean_squared_error", "auc", "precision", "recall")
PRECISIONS = ("float32", "bfloat16", "float16")
LEAST_SHARE = 0.9
"""An exponential schedule must keep at least this share of the rate from batch to batch."""

Regularizer = str | Callable[..., Any] | None


@dataclass(frozen=True)
class CNNConfig:
    """A CNN for images, and how it is trained.

    The network is conv, pool, conv, pool, ..., conv, flatten, dense, ..., output: a pooling layer,
    or None, after every convolution but the last. Without convolutions it is a dense network on
    the pixels.

    Parameters
    ----------
    conv : iterable of ConvLayer
    pools : iterable of PoolLayer or None
        One less than `conv`; None where no pooling stands between two convolutions.
    dense : iterable of DenseLayer
        The last one is the output, a node for each of two classes or more.
    input_shape : (int, int, int)
        Height, width and channels of an image.
    regularizer : {"l1", "l2", "l1_l2"}, callable or None
        Of the kernels of all dense layers, the output included: ``l1 * sum |w|``, ``l2 * sum w**2``
        (without one half, as Keras has it), both, or a function of a weight tensor that returns a
        scalar. A custom function must be registered with Keras if the model is to be loaded again.
    l1, l2 : float >= 0
        Factors of the named regularizers; 0 where they are not used.
    regularize_conv : bool
        Also regularize the kernels of the convolutions.
    optimizer : {"rmsprop", "nadam", "adamax", "adam", "sgd"}
    momentum : float in [0, 1)
        Only for rmsprop and sgd.
    schedule : {"none", "power", "exponential", "cosine"}
        The rate after `n` batches, by :func:`fastmlp.cnn.learning_rate_at`.
    learning_rate : float > 0
    decay_steps : int >= 1
        In batches. For cosine the batches until the end.
    decay_rate : float >= 0
        Of power, the d in ``rate / (1 + d n / decay_steps)``; of exponential, the factor per
        `decay_steps` batches; of cosine, the share of the rate that is left at the end.
    loss : {"categorical_crossentropy", "binary_crossentropy", "mean_squared_error"}
        The first needs softmax outputs, the second sigmoid outputs.
    metrics : iterable of str
        Of accuracy, mean_absolute_error, mean_squared_error, auc, precision, recall.
    batch_size, epochs : int >= 1
    precision : {"float32", "bfloat16", "float16"}
        In what products and activations are computed. Weights, the output layer and the optimizer
        are float32 in any case (Keras' mixed precision); float16 scales the loss as it needs it.
        The short ones are for graphics cards: processors compute them more slowly than float32.

    Raises
    ------
    ValueError, TypeError
        Naming the field, what was given and what is allowed.

    Examples
    --------
    >>> CNNConfig.article("C2").n_parameters
    96844
    """

    __module__ = "fastmlp.cnn"  # its public address, which pickles keep when files move

    conv: tuple[ConvLayer, ...] = (
        ConvLayer(32),
        ConvLayer(64),
        ConvLayer(64),
    )
    pools: tuple[PoolLayer | None, ...] = (PoolLayer(2), PoolLayer(2))
    dense: tuple[DenseLayer, ...] = (DenseLayer(70), DenseLayer(10, "softmax"))
    input_shape: tuple[int, int, int] = (28, 28, 1)
    regularizer: Regularizer = None
    l1: float = 0.0
    l2: float = 0.0
    regularize_conv: bool = False
    optimizer: str = "rmsprop"
    momentum: float = 0.0
    schedule: str = "none"
    learning_rate: float = 0.001
    decay_steps: int = 1
    decay_rate: float = 0.0
    loss: str = "categorical_crossentropy"
    metrics: tuple[str, ...] = ("accuracy",)
    batch_size: int = 64
    epochs: int = 5
    precision: str = "float32"

    def __post_init__(self) -> None:
        self._check_layers()
        self._check_regularizer()
        self._check_optimizer()
        self._check_schedule()
        self._check_loss()
        check_choice("precision", self.precision, PRECISIONS)
        metrics = _sequence("metrics", self.metrics)
        for i, metric in enumerate(metrics):
            check_choice(f"metrics[{i}]", metric, METRICS)
        self._set(
            metrics=metrics,
            batch_size=check_integer("batch_size", self.batch_size, minimum=1),
            epochs=check_integer("epochs", self.epochs, minimum=1),
        )

    @classmethod
    def article(cls, name: str) -> CNNConfig:
        """The configuration of an experiment of the articles: C2, C3a, C3b or C3c.

        C3a to C3c have the momentum of the articles' variable (0.6, 0.5, 0.9); the articles' call
        passes 0.8 in its place, so ``dataclasses.replace(config, momentum=0.8)`` is the other
        reading.
        """
        from fastmlp.cnn.articles.configs import article_settings

        return cls(**article_settings(name))

    @property
    def n_classes(self) -> int:
        """Nodes of the output layer."""
        return self.dense[-1].nodes

    @property
    def n_parameters(self) -> int:
        """Weights and biases of all layers, computed from the sizes alone."""
        return sum(layer.n_parameters for layer in layer_table(self))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; a custom regularizer is replaced by its name."""
        content = asdict(self)
        if callable(self.regularizer):
            content["regularizer"] = f"own: {regularizer_name(self.regularizer)}"
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> CNNConfig:
        """Create a configuration from the result of `to_dict`; custom regularizers become None."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(content) - known)
        if unknown:
            raise ValueError(f"unknown settings {unknown}; known: {sorted(known)}")
        settings = dict(content)
        for name, layer_type in (("conv", ConvLayer), ("pools", PoolLayer), ("dense", DenseLayer)):
            settings[name] = tuple(layer and layer_type(**layer) for layer in content.get(name, ()))
        if str(settings.get("regularizer")).startswith("own: "):
            settings["regularizer"] = None
        return cls(**settings)

    def _set(self, **values: Any) -> None:
        """Store checked values, which the frozen class does not allow otherwise."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _check_layers(self) -> None:
        conv = _layers("conv", self.conv, ConvLayer)
        pools = _layers("pools", self.pools, PoolLayer, or_none=True)
        dense = _layers("dense", self.dense, DenseLayer)
        if len(pools) != max(len(conv) - 1, 0):
            raise ValueError(
                f"pools must have {max(len(conv) - 1, 0)} layers, one less than the {len(conv)} "
                f"convolutions (one after each but the last, None for no pooling); got {len(pools)}"
            )
        if not dense:
            raise ValueError("dense must have at least one layer, the output; got none")
        check_integer("nodes of the output", dense[-1].nodes, minimum=2)
        check_choice(
            f"activation of the output (dense[{len(dense) - 1}])",
            dense[-1].activation,
            OUTPUT_FUNCTIONS,
        )
        for i, layer in enumerate(dense[:-1]):
            if layer.activation == "softmax":
                raise ValueError(f"dense[{i}] must not be softmax, which is for the output")
        shape = _sequence("input_shape", self.input_shape)
        if len(shape) != 3:
            raise ValueError(f"input_shape must be (height, width, channels); got {shape}")
        sides = tuple(check_integer("input_shape", side, minimum=1) for side in shape)
        conv, pools, dense = name_layers(conv, pools, dense)
        self._set(conv=conv, pools=pools, dense=dense, input_shape=sides)
        layer_table(self)  # raises where an image gets smaller than a kernel

    def _check_regularizer(self) -> None:
        if self.regularizer is not None and not callable(self.regularizer):
            check_choice("regularizer", self.regularizer, FACTORS)
        used = FACTORS.get(self.regularizer, ()) if isinstance(self.regularizer, str) else ()
        for name in ("l1", "l2"):
            factor = check_number(name, getattr(self, name))
            if factor and name not in used:
                raise ValueError(
                    f"{name} must be 0 with regularizer {regularizer_name(self.regularizer)!r}, "
                    f"which does not use it; got {factor:g}"
                )
        self._set(
            l1=check_number("l1", self.l1),
            l2=check_number("l2", self.l2),
            regularize_conv=check_flag("regularize_conv", self.regularize_conv),
        )

    def _check_loss(self) -> None:
        check_choice("loss", self.loss, LOSSES)
        output = self.dense[-1].activation
        needed = OUTPUT_OF_LOSS.get(self.loss, output)
        if output != needed:
            raise ValueError(
                f"loss {self.loss!r} needs {needed!r} outputs; got {output!r}. Keras would compute "
                f"it as if the outputs were {needed!r}, and so not of what the network says"
            )

    def _check_optimizer(self) -> None:
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        momentum = check_number("momentum", self.momentum, maximum=0.9999)
        if momentum and self.optimizer not in WITH_MOMENTUM:
            raise ValueError(
                f"momentum must be 0 with {self.optimizer!r}, which has no momentum of that kind; "
                f"got {momentum:g}. It goes with {' and '.join(WITH_MOMENTUM)}"
            )
        self._set(momentum=momentum)

    def _check_schedule(self) -> None:
        check_choice("schedule", self.schedule, SCHEDULES)
        rate = check_number("learning_rate", self.learning_rate)
        if rate == 0:
            raise ValueError("learning_rate must be above 0; got 0")
        steps = check_integer("decay_steps", self.decay_steps, minimum=1)
        most = 1.0 if self.schedule in ("exponential", "cosine") else math.inf
        decay = check_number("decay_rate", self.decay_rate, maximum=most)
        self._set(learning_rate=rate, decay_steps=steps, decay_rate=decay)
        if self.schedule == "exponential" and decay ** (1 / steps) < LEAST_SHARE:
            raise ValueError(
                f"decay_rate {decay:g} per decay_steps {steps} would end the training at once: an "
                f"exponential schedule multiplies the rate by {decay ** (1 / steps):.3g} with every"
                f" batch. It must keep {LEAST_SHARE:g} or more; 0.96 per 1000 batches is usual"
            )
        if self.schedule == "cosine" and steps == 1:
            raise ValueError(
                "decay_steps must be the batches of the whole run with the cosine schedule; got 1, "
                "after which the rate would be at its end"
            )


def regularizer_name(regularizer: Regularizer) -> str:
    """Return the name of a regularizer, which may be a custom function or object."""
    if regularizer is None or isinstance(regularizer, str):
        return str(regularizer).lower()
    return str(getattr(regularizer, "__name__", type(regularizer).__name__))


def _sequence(name: str, values: object) -> tuple[Any, ...]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a sequence; got {values!r}")
    return tuple(values)


def _layers(
    name: str, values: object, layer_type: type, *, or_none: bool = False
) -> tuple[Any, ...]:
    layers = _sequence(name, values)
    for i, layer in enumerate(layers):
        if not isinstance(layer, layer_type) and not (or_none and layer is None):
            allowed = f"{layer_type.__name__}{' or None' if or_none else ''}"
            raise TypeError(f"{name}[{i}] must be a {allowed}; got {layer!r}")
    return layers
