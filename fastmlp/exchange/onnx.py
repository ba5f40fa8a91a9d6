"""Export of models as ONNX graphs, for predictions in other runtimes and languages."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_path
from fastmlp._types import Array, StrPath
from fastmlp.exchange.parts import as_estimator, network_of_model, scaling
from fastmlp.exchange.steps import without_steps
from fastmlp.exchange.tabular_onnx import add_tabular, as_tabular
from fastmlp.files.atomic import write_atomically
from fastmlp.myann.myann import MyANN
from fastmlp.network.network import Network
from fastmlp.reference.functions import LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE

if TYPE_CHECKING:
    from fastmlp.exchange.parts import Model
    from fastmlp.exchange.pipelines.lookups import Lookup
    from fastmlp.exchange.pipelines.texts import Texts
    from fastmlp.tables.base import BaseTabular

OPSET, IR_VERSION = 20, 9
"""First opset with Gelu, and the matching file version."""

ML_DOMAIN, ML_OPSET = "ai.onnx.ml", 3
"""Where the operator for strings is from."""

MAX_BYTES = 2**31 - 1
"""Maximum size of a protocol buffer, and hence of an ONNX file."""

OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": LEAKY_SLOPE}),
    "elu": ("Elu", {"alpha": 1.0}),
    "selu": ("Selu", {"alpha": SELU_ALPHA, "gamma": SELU_SCALE}),
    "softplus": ("Softplus", {}),
    "gelu": ("Gelu", {}),
    "softmax": ("Softmax", {"axis": 1}),
    "exponential": ("Exp", {}),
}
"""Functions that are a single operator, with its attributes; the others are in COMPOSED."""

_SINGLE_ONLY = ("LeakyRelu", "Elu", "Selu", "Softplus", "Gelu")
"""Operators that onnxruntime lacks for float64; there they are computed in float32."""


def export_onnx(model: Model, path: StrPath) -> None:
    """Write a model as an ONNX file, atomically.

    The graph's input ``X`` (n, n_features) has the network's dtype. Its outputs are

    - for a Network ``outputs``, and for an MLPRegressor ``predictions``, as from `predict`;
    - for an MLPClassifier ``label`` and ``probabilities``, as from `predict` and `predict_proba`;
    - for a MyANN ``label`` and ``outputs``, likewise, for unscaled ``X``;
    - for a Pipeline those of its estimator, for ``X`` before the first step. Columns are in the
      order in which it was fitted. Steps may be StandardScaler, MinMaxScaler, RobustScaler,
      SimpleImputer of numbers, OneHotEncoder, OrdinalEncoder, "passthrough", and ColumnTransformer
      and Pipeline of these.

    If a Pipeline encodes strings, its graph has an input (n, 1) for every column instead of ``X``,
    of strings or of the network's dtype, with the name that the column had in `fit` (or X0, X1,
    ...); columns that are dropped are no inputs. Where an encoder would raise an error for an
    unknown category, the results of that row are NaN.

    A TabularClassifier has the outputs ``label`` and ``probabilities``, a TabularRegressor
    ``predictions``. The input is ``X`` (n, n_features) if all columns are numbers or booleans,
    otherwise one (n, 1) for every column, with its name: float64 for numbers, booleans, durations
    (in days) and dates (days since 1970), NaN where they are missing, and strings for categories,
    empty where they are missing. They agree to about 1e-6 of the largest.

    They agree with fastmlp's results to a relative precision of about 1e-6. In float64 this is also
    the precision of activations other than sigmoid, tanh, relu and identity, which are computed in
    float32.

    Parameters
    ----------
    model : Network, MyANN, MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or \
Pipeline
        Estimators must be fitted.
    path : str, bytes or PathLike

    Raises
    ------
    ImportError
        Without the package onnx (``pip install fastmlp[onnx]``).
    TypeError
        For other objects, for other steps and categories by name, and for class labels other than
        numbers, bool and strings.
    ValueError
        If the model has 2 GB or more.
    OSError
        If the file cannot be written.
    """
    target = check_path("path", path)
    tabular = as_tabular(model)
    if tabular is not None:
        graph = _Graph(_networks(tabular)[0])
        add_tabular(graph, tabular, _layers, _label_of_largest)
        write_atomically(target, [graph.serialised()])
        return
    steps, model = without_steps(model)
    network = network_of_model(model)
    if network.parameters.nbytes > MAX_BYTES - (1 << 20):
        raise ValueError(
            f"model must have less than 2 GB for ONNX; got {network.parameters.nbytes} bytes"
        )
    graph = _Graph(network)
    if steps:
        texts = steps.texts()
        x = _columns(graph, steps.names, texts) if texts.columns else _matrix(graph, steps.n_inputs)
        x = steps.added(graph.cast(x, np.float64), _Steps(graph), texts.codes)
        x = graph.cast(x, graph.dtype)
    else:
        x = _scaled(graph, _matrix(graph, network.sizes[0]), scaling(model))
    add_outputs(graph, x, model)
    write_atomically(target, [graph.serialised()])


def _networks(model: BaseTabular) -> list[Network]:
    """Return the networks of a fitted estimator for tables; together they must have < 2 GB."""
    networks = model.networks()
    n_bytes = sum(network.parameters.nbytes for network in networks)
    if n_bytes > MAX_BYTES - (1 << 20):
        raise ValueError(f"model must have less than 2 GB for ONNX; got {n_bytes} bytes")
    return networks


def _import_onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            'export_onnx needs onnx: pip install "fastmlp[onnx]"', name=error.name
        ) from error
    return onnx


def add_outputs(graph: Any, x: str, model: Model) -> None:
    """Add the layers of a model and its outputs, for scaled input x of the network's dtype.

    Parameters
    ----------
    graph : _Graph
        Or another object with its methods `add`, `constant`, `cast` and `output`.
    x : str
        Name of the input.
    model : Network, MyANN, MLPClassifier or MLPRegressor
    """
    network = network_of_model(model)
    outputs = _layers(graph, x, network)
    estimator = as_estimator(model)
    if estimator is None and not isinstance(model, MyANN):
        graph.output("outputs", outputs, [None, network.sizes[-1]])
    elif isinstance(model, MyANN):
        _label_of_largest(graph, outputs, model.classes_)
        graph.output("outputs", outputs, [None, network.sizes[-1]])
    elif estimator is not None and hasattr(estimator, "_targets"):
        _classification(graph, outputs, estimator._targets)
    else:
        _regression(graph, _in_units_of_y(graph, outputs, estimator), network.sizes[-1])


class _Graph:
    """An ONNX graph under construction, for a network's dtype."""

    def __init__(self, network: Network) -> None:
        self.onnx = onnx = _import_onnx()
        self.dtype = network.dtype
        self.type = onnx.helper.np_dtype_to_tensor_dtype(network.dtype)
        self.inputs: list[Any] = []
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.outputs: list[Any] = []
        self._numbers = count()

    def _info(self, name: str, elem_type: int, shape: list[int | None]) -> Any:
        named = ["n" if size is None else size for size in shape]
        return self.onnx.helper.make_tensor_value_info(name, elem_type, named)

    def input(self, name: str, n_columns: int, elem_type: int | None = None) -> str:
        """Add an input (n, n_columns) of numbers, or of another type, and return its name."""
        self.inputs.append(self._info(name, elem_type or self.type, [None, n_columns]))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its result."""
        result = f"{operator.lower()}_{next(self._numbers)}"
        self.nodes.append(
            self.onnx.helper.make_node(operator, list(inputs), [result], name=result, **attributes)
        )
        return result

    def constant(self, array: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        name = f"constant_{next(self._numbers)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def cast(self, value: str, dtype: Any) -> str:
        """Add a type conversion and return the name of its result."""
        elem_type = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.add("Cast", value, to=elem_type)

    def output(
        self, name: str, value: str, shape: list[int | None], elem_type: int | None = None
    ) -> None:
        """Make a value an output of the graph."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [name], name=name))
        self.outputs.append(self._info(name, self.type if elem_type is None else elem_type, shape))

    def serialised(self) -> bytes:
        """Return the checked model as bytes."""
        helper = self.onnx.helper
        graph = helper.make_graph(self.nodes, "fastmlp", self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        if any(node.domain for node in self.nodes):
            opsets.append(helper.make_opsetid(ML_DOMAIN, ML_OPSET))
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="fastmlp"
        )
        self.onnx.checker.check_model(model)
        data: bytes = model.SerializeToString()
        return data


class _Steps:
    """Numeric steps of a Pipeline as nodes, in float64; see `pipelines.numeric.Operations`."""

    def __init__(self, graph: _Graph) -> None:
        self.graph = graph

    def standardized(self, x: str, mean: Array, scale: Array) -> str:
        difference = self.graph.add("Sub", x, self.graph.constant(mean))
        return self.graph.add("Div", difference, self.graph.constant(scale))

    def rescaled(self, x: str, scale: Array, offset: Array) -> str:
        product = self.graph.add("Mul", x, self.graph.constant(scale))
        return self.graph.add("Add", product, self.graph.constant(offset))

    def clipped(self, x: str, low: float, high: float) -> str:
        return self.graph.add("Clip", x, *(self.graph.constant(np.array(v)) for v in (low, high)))

    def filled(self, x: str, missing: float, values: Array) -> str:
        return self.graph.add("Where", self._gaps(x, missing), self.graph.constant(values), x)

    def indicated(self, x: str, missing: float) -> str:
        return self.graph.cast(self._gaps(x, missing), np.float64)

    def _gaps(self, x: str, missing: float) -> str:
        if np.isnan(missing):
            return self.graph.add("IsNaN", x)
        return self.graph.add("Equal", x, self.graph.constant(np.array(missing)))

    def looked_up(self, x: str, lookup: Lookup) -> str:
        graph, gaps = self.graph, np.isnan(lookup.categories)
        # In the dtype of the input, in which it may have been rounded.
        categories = graph.constant(lookup.categories.astype(graph.dtype)[None])
        found = graph.add("Equal", graph.cast(x, graph.dtype), categories)
        if gaps.any():
            missing = graph.add("And", graph.add("IsNaN", x), graph.constant(gaps[None]))
            found = graph.add("Or", found, missing)
        found = graph.cast(found, np.float32)
        place = graph.add("ArgMax", found, axis=1, keepdims=0)
        rows = graph.add("Gather", graph.constant(lookup.table), place, axis=0)
        is_known = graph.cast(graph.add("ReduceMax", found, self._axis(1), keepdims=1), np.bool_)
        return graph.add("Where", is_known, rows, graph.constant(lookup.unknown))

    def _axis(self, axis: int) -> str:
        return self.graph.constant(np.array([axis], np.int64))

    def selected(self, x: str, columns: list[int]) -> str:
        return self.graph.add("Gather", x, self.graph.constant(np.array(columns, np.int64)), axis=1)

    def beside(self, parts: list[str]) -> str:
        return parts[0] if len(parts) == 1 else self.graph.add("Concat", *parts, axis=1)


def _matrix(graph: _Graph, n_columns: int) -> str:
    """Add the one input of a graph without strings."""
    return graph.input("X", n_columns)


def _columns(graph: _Graph, names: list[str], texts: Texts) -> str:
    """Add an input for every column that is read; strings become their numbers, others -1."""
    keys, values = list(texts.codes), list(texts.codes.values())
    columns = []
    for i, name in enumerate(names):
        if i in texts.columns:
            column = graph.add(
                "LabelEncoder",
                graph.input(name, 1, graph.onnx.TensorProto.STRING),
                domain=ML_DOMAIN,
                keys_strings=keys,
                values_int64s=values,
                default_int64=-1,
            )
            columns.append(graph.cast(column, graph.dtype))
            zeros = graph.add("Sub", columns[-1], columns[-1])
        elif i in texts.read:
            columns.append(graph.input(name, 1))
        else:
            columns.append("")
    return graph.add("Concat", *(column or zeros for column in columns), axis=1)


def _scaled(graph: _Graph, x: str, moments: tuple[NDArray[Any], NDArray[Any]] | None) -> str:
    """Add (x - mean) / deviation in float64, as scikit-learn computes it."""
    if moments is None:
        return x
    mean, deviation = (graph.constant(moment) for moment in moments)
    scaled = graph.add("Div", graph.add("Sub", graph.cast(x, np.float64), mean), deviation)
    return graph.cast(scaled, graph.dtype)


def _layers(graph: _Graph, a: str, network: Network) -> str:
    """Add the layers A_l = f_l(A_(l-1) W_l^T + b_l)."""
    for w, function in zip(network.weights, network.functions, strict=True):
        weight, bias = graph.constant(w[:, 1:]), graph.constant(w[:, 0])
        a = _function(graph, graph.add("Gemm", a, weight, bias, transB=1), function)
    return a


def _function(graph: _Graph, z: str, name: str) -> str:
    if name in COMPOSED:
        return COMPOSED[name](graph, z)
    operator, attributes = OPERATORS[name]
    return _elementwise(graph, operator, z, **attributes)


def _elementwise(graph: _Graph, operator: str, z: str, **attributes: Any) -> str:
    if operator not in _SINGLE_ONLY or graph.dtype == np.float32:
        return graph.add(operator, z, **attributes)
    return graph.cast(graph.add(operator, graph.cast(z, np.float32), **attributes), graph.dtype)


def _increasing(graph: _Graph, z: str) -> str:
    """Add a_0 = z_0, a_j = a_(j-1) + log(1 + e^(z_j))."""
    zero, one, end = (graph.constant(np.array([i], np.int64)) for i in (0, 1, 2**31 - 1))
    first = graph.add("Slice", z, zero, one, one)
    rest = _elementwise(graph, "Softplus", graph.add("Slice", z, one, end, one))
    steps = graph.add("Concat", first, rest, axis=1)
    return graph.add("CumSum", steps, graph.constant(np.array(1, np.int64)))


COMPOSED: dict[str, Callable[[_Graph, str], str]] = {
    "identity": lambda graph, z: z,
    "silu": lambda graph, z: graph.add("Mul", z, graph.add("Sigmoid", z)),
    "increasing": _increasing,
}
"""Functions composed of several operators; called with graph and z, they return a name."""


def _in_units_of_y(graph: _Graph, outputs: str, estimator: Any) -> str:
    """Add the scale of an MLPRegressor's targets, and the shifts of its quantiles."""
    attributes = vars(estimator)
    if "target_mean_" in attributes:
        scale, mean = attributes["target_scale_"], attributes["target_mean_"]
        outputs = graph.add("Mul", outputs, graph.constant(scale.astype(graph.dtype)))
        outputs = graph.add("Add", outputs, graph.constant(mean.astype(graph.dtype)))
    if "quantile_shifts_" in attributes:
        shifts = attributes["quantile_shifts_"].astype(graph.dtype)
        outputs = graph.add("Add", outputs, graph.constant(shifts))
        if len(shifts) > 1:
            outputs = _running_maximum(graph, outputs, len(shifts))
    return outputs


def _running_maximum(graph: _Graph, x: str, n_columns: int) -> str:
    """Add the maximum of each column of x and those before it."""
    later = np.triu(np.full((n_columns, n_columns), -np.inf, graph.dtype), 1)
    axis = graph.constant(np.array([1], np.int64))
    square = graph.add("Add", graph.add("Unsqueeze", x, axis), graph.constant(later))
    last = graph.constant(np.array([2], np.int64))
    return graph.add("ReduceMax", square, last, keepdims=0)


def _regression(graph: _Graph, outputs: str, n_outputs: int) -> None:
    if n_outputs > 1:
        graph.output("predictions", outputs, [None, n_outputs])
        return
    axis = graph.constant(np.array([1], np.int64))
    graph.output("predictions", graph.add("Squeeze", outputs, axis), [None])


def _classification(graph: _Graph, outputs: str, targets: Any) -> None:
    """Add labels and probabilities as computed by `ClassTargets`."""
    classes = targets.classes
    if targets.kind == "multiclass":
        _label_of_largest(graph, outputs, classes)
        graph.output("probabilities", outputs, [None, len(classes)])
        return
    half = graph.constant(np.array(0.5, graph.dtype))
    above_half = graph.cast(graph.add("Greater", outputs, half), np.int64)
    if targets.kind == "multilabel":
        elem_type = graph.onnx.TensorProto.INT64
        graph.output("label", above_half, [None, len(classes)], elem_type)
        graph.output("probabilities", outputs, [None, len(classes)])
        return
    index = graph.add("Squeeze", above_half, graph.constant(np.array([1], np.int64)))
    _labels(graph, index, classes if len(classes) == 2 else classes.repeat(2))
    one = graph.constant(np.array(1, graph.dtype))
    others = graph.add("Sub", one, outputs)
    if len(classes) == 1:
        graph.output("probabilities", graph.add("Add", others, outputs), [None, 1])
    else:
        both = graph.add("Concat", others, outputs, axis=1)
        graph.output("probabilities", both, [None, 2])


def _label_of_largest(graph: _Graph, outputs: str, classes: NDArray[Any]) -> None:
    _labels(graph, graph.add("ArgMax", outputs, axis=1, keepdims=0), classes)


def _labels(graph: _Graph, index: str, classes: NDArray[Any]) -> None:
    """Add the output "label": classes[index]."""
    if classes.dtype.kind in "UO":
        table, elem_type = classes.astype(object), graph.onnx.TensorProto.STRING
        if not all(isinstance(label, str) for label in table):
            raise TypeError("class labels must be numbers, bool or strings for ONNX")
    elif classes.dtype.kind in "biuf":
        table, elem_type = classes, graph.onnx.helper.np_dtype_to_tensor_dtype(classes.dtype)
    else:
        raise TypeError(
            f"class labels must be numbers, bool or strings for ONNX; got {classes.dtype}"
        )
    graph.output("label", graph.add("Gather", graph.constant(table), index), [None], elem_type)
