"""Conversion of dense models to and from Keras: transposed weights, separate biases."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp._types import Array
from fastmlp.exchange.parts import as_estimator, network_of_model, scaling
from fastmlp.exchange.steps import without_steps
from fastmlp.network.network import Network
from fastmlp.reference.functions import LEAKY_SLOPE

if TYPE_CHECKING:
    from fastmlp.exchange.parts import Model
    from fastmlp.exchange.pipelines.lookups import Lookup

ACTIVATIONS = {"identity": "linear"} | {
    name: name
    for name in (
        "sigmoid",
        "tanh",
        "relu",
        "elu",
        "selu",
        "softplus",
        "gelu",
        "silu",
        "softmax",
        "exponential",
    )
}
"""Keras' names of activation functions."""

LEAST_SCALE = 1e-6
"""Smallest scale for Keras' Normalization, whose variances are float32 and end at 1e-14."""

OWN_LAYERS = ("leaky_relu",)
"""Functions that need a separate layer in Keras, after a Dense layer without activation."""

REFUSED = ("increasing",)
"""Output functions that do not exist in Keras."""

FUNCTIONS = {name: ours for ours, name in ACTIVATIONS.items()}

_FUNCTION_LAYERS = {"ReLU": "relu", "ELU": "elu", "Softmax": "softmax"}
_FUNCTION_SETTINGS: dict[str, dict[str, Any]] = {
    "relu": {"max_value": None, "negative_slope": 0.0, "threshold": 0.0},
    "elu": {"alpha": 1.0},
    "softmax": {"axis": -1},
}
"""Keras layers that correspond to a function of fastmlp, given the right settings."""


def to_keras(model: Model) -> Any:
    """Convert a model to a Keras model with the same outputs.

    Parameters
    ----------
    model : Network, MyANN, MLPClassifier, MLPRegressor or Pipeline
        Estimators must be fitted. The scaler of a MyANN becomes a Normalization layer, and so do
        StandardScaler and RobustScaler in a Pipeline; MinMaxScaler becomes a Rescaling layer,
        SimpleImputer, OneHotEncoder and OrdinalEncoder of numbers, ColumnTransformer and
        "passthrough" operations of Keras. Columns are in the order in which the Pipeline was
        fitted. Where an encoder would raise an error for an unknown category, the outputs of that
        row are NaN.

    Returns
    -------
    keras.Model
        A model that is not compiled; a Sequential one, but for a Pipeline. It returns the network's
        outputs (n, n_out); for a classifier these are probabilities, not labels, with one column
        for two classes.

    Raises
    ------
    ImportError
        Without Keras, with the command that installs it.
    TypeError
        For other objects, for other steps and categories of a Pipeline by name, and for columns of
        strings.
    ValueError
        For increasing outputs, for which Keras has no layer.
    """
    steps, model = without_steps(model)
    network = network_of_model(model)
    if network.output in REFUSED:
        raise ValueError(f"output {network.output!r} has no layer in Keras")
    if (estimator := as_estimator(model)) is not None:
        network = estimator._exported_network()
    keras = _import_keras()
    dtype = network.dtype.name
    layers: list[Any] = []
    if (moments := scaling(model)) is not None:
        mean, deviation = (np.broadcast_to(m, network.sizes[0]) for m in moments)
        layers.extend(_standardization(keras, mean, deviation, dtype))
    for n_out, function in zip(network.sizes[1:], network.functions, strict=True):
        layers.append(keras.layers.Dense(n_out, activation=ACTIVATIONS.get(function), dtype=dtype))
        if function == "leaky_relu":
            layers.append(keras.layers.LeakyReLU(negative_slope=LEAKY_SLOPE, dtype=dtype))
    if steps is None:
        result = keras.Sequential([keras.Input((network.sizes[0],), dtype=dtype), *layers])
    else:
        if texts := steps.texts().columns:
            names = ", ".join(steps.names[i] for i in sorted(texts))
            raise TypeError(
                f"model encodes strings, and a Keras model has numbers as input; columns {names} "
                "must be numbers, or use export_onnx"
            )
        start = keras.Input((steps.n_inputs,), dtype=dtype)
        x = steps.added(start, KerasSteps(keras, dtype))
        for layer in layers:
            x = layer(x)
        result = keras.Model(start, x)
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    for layer, w in zip(dense, network.weights, strict=True):
        layer.set_weights(kernel_and_bias(w))
    return result


def _standardization(keras: Any, mean: Array, scale: Array, dtype: str) -> list[Any]:
    """Return layers of (x - mean) / scale. Normalization divides by 1e-7 at least."""
    if np.min(scale) >= LEAST_SCALE:
        return [keras.layers.Normalization(mean=mean, variance=scale**2, dtype=dtype)]
    rescaling = keras.layers.Rescaling
    ones = np.ones_like(scale).tolist()
    return [
        rescaling(ones, (-mean).tolist(), dtype=dtype),
        rescaling((1 / scale).tolist(), 0.0, dtype=dtype),
    ]


class KerasSteps:
    """Numeric steps of a Pipeline as layers and operations; see `pipelines.numeric.Operations`."""

    def __init__(self, keras: Any, dtype: str) -> None:
        self.keras, self.dtype = keras, dtype

    def standardized(self, x: Any, mean: Array, scale: Array) -> Any:
        """(x - mean) / scale."""
        for layer in _standardization(self.keras, mean, scale, self.dtype):
            x = layer(x)
        return x

    def rescaled(self, x: Any, scale: Array, offset: Array) -> Any:
        """x * scale + offset."""
        layer = self.keras.layers.Rescaling
        return layer(scale.tolist(), offset.tolist(), dtype=self.dtype)(x)

    def clipped(self, x: Any, low: float, high: float) -> Any:
        """x between two numbers."""
        return self.keras.ops.clip(x, low, high)

    def filled(self, x: Any, missing: float, values: Array) -> Any:
        """x with values in its gaps."""
        return self.keras.ops.where(self._gaps(x, missing), values.astype(self.dtype), x)

    def indicated(self, x: Any, missing: float) -> Any:
        """1 in the gaps of x, else 0."""
        return self.keras.ops.cast(self._gaps(x, missing), self.dtype)

    def _gaps(self, x: Any, missing: float) -> Any:
        return self.keras.ops.isnan(x) if np.isnan(missing) else self.keras.ops.equal(x, missing)

    def looked_up(self, x: Any, lookup: Lookup) -> Any:
        """Rows of the table for the column x."""
        ops = self.keras.ops
        found = ops.equal(x, lookup.categories.astype(self.dtype)[None])
        if np.isnan(lookup.categories).any():
            gaps = np.isnan(lookup.categories)[None]
            found = ops.logical_or(found, ops.logical_and(ops.isnan(x), gaps))
        place = ops.argmax(ops.cast(found, "int32"), axis=1)
        rows = ops.take(lookup.table.astype(self.dtype), place, axis=0)
        is_known = ops.any(found, axis=1, keepdims=True)
        return ops.where(is_known, rows, lookup.unknown.astype(self.dtype))

    def selected(self, x: Any, columns: list[int]) -> Any:
        """Some columns of x."""
        return self.keras.ops.take(x, np.array(columns, np.int32), axis=1)

    def beside(self, parts: list[Any]) -> Any:
        """Columns side by side."""
        return parts[0] if len(parts) == 1 else self.keras.ops.concatenate(parts, axis=1)


def from_keras(model: Any) -> Network:
    """Convert a dense Keras model to a Network with the same weights.

    Parameters
    ----------
    model : keras.Model
        A built model: a chain of Dense layers with activations that `Network` supports, inside the
        layers or as separate layers. A Flatten layer at the start and Dropout layers are ignored.

    Returns
    -------
    Network
        A float64 network if the first Dense layer is float64, otherwise float32.

    Raises
    ------
    ImportError
        Without Keras.
    TypeError
        If `model` is not a Keras model.
    ValueError
        For other layers, functions and structures, with the layer's name.
    """
    keras = _import_keras()
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a Keras model; got {type(model).__name__}")
    kernels, biases, functions = _chain(keras, model)
    if not kernels:
        raise ValueError("model must have a Dense layer; found none")
    dtype = "float64" if kernels[0].dtype == np.float64 else "float32"
    *hidden, output = functions
    return Network._with_weights(
        [kernel.T for kernel in kernels],
        biases,
        activation=tuple(hidden),
        output=output,
        dtype=dtype,
    )


def kernel_and_bias(matrix: Array) -> tuple[Array, Array]:
    """Convert W (n_out, n_in + 1), bias in column 0, to kernel (n_in, n_out) and bias (n_out,)."""
    return np.ascontiguousarray(matrix[:, 1:].T), np.ascontiguousarray(matrix[:, 0])


def _import_keras() -> Any:
    try:
        import keras
    except ImportError as error:
        raise ImportError(
            'models of Keras need Keras and TensorFlow: pip install "fastmlp[cnn]"', name=error.name
        ) from error
    return keras


def _chain(keras: Any, model: Any) -> tuple[list[Array], list[Array], list[str]]:
    """Return the kernels (n_in, n_out), biases (n_out,) and functions of the layers."""
    kernels: list[Array] = []
    biases: list[Array] = []
    functions: list[str] = []
    for position, layer in enumerate(_layers_in_order(keras, model)):
        if isinstance(layer, keras.layers.InputLayer | keras.layers.Dropout):
            continue
        if isinstance(layer, keras.layers.Flatten) and not kernels:
            continue
        if type(layer) is keras.layers.Dense:
            kernel, *bias = layer.get_weights()
            kernels.append(kernel)
            biases.append(bias[0] if bias else np.zeros(kernel.shape[1], kernel.dtype))
            functions.append(_function_name(layer, layer.activation))
        elif kernels and functions[-1] == "identity":
            functions[-1] = _layer_function(keras, layer)
        else:
            raise ValueError(
                f"layer {position} ({layer.name!r}, {type(layer).__name__}) is not "
                "supported in a dense network of fastmlp"
            )
    return kernels, biases, functions


def _layers_in_order(keras: Any, model: Any) -> list[Any]:
    """Return the layers; raise an error unless each has the previous one as its only input."""
    if isinstance(model, keras.Sequential):
        return list(model.layers)
    layers = list(model.layers)
    for before, layer in itertools.pairwise(layers):
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        if len(inputs) != 1 or inputs[0] is not before.output:
            raise ValueError(f"layer {layer.name!r} does not follow {before.name!r} alone")
    return layers


def _layer_function(keras: Any, layer: Any) -> str:
    """Return the function of a layer that is only an activation."""
    if type(layer) is keras.layers.LeakyReLU:
        if not np.isclose(layer.negative_slope, LEAKY_SLOPE):
            raise ValueError(
                f"layer {layer.name!r} has the slope {layer.negative_slope}; leaky_relu has "
                f"{LEAKY_SLOPE}"
            )
        return "leaky_relu"
    if type(layer) is keras.layers.Activation:
        return _function_name(layer, layer.activation)
    name = _FUNCTION_LAYERS.get(type(layer).__name__)
    expected = _FUNCTION_SETTINGS.get(name, {}) if name else {}
    settings = layer.get_config()
    if name is None or any(settings.get(key) != value for key, value in expected.items()):
        raise ValueError(
            f"layer {layer.name!r} ({type(layer).__name__}) matches no function of fastmlp"
        )
    return name


def _function_name(layer: Any, activation: Any) -> str:
    name = getattr(activation, "__name__", "")
    if name not in FUNCTIONS or not activation.__module__.startswith("keras."):
        raise ValueError(
            f"layer {layer.name!r} has the activation {name or activation!r}; known: "
            f"{', '.join(FUNCTIONS)}"
        )
    return FUNCTIONS[name]
