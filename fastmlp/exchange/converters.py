"""Converters of the estimators for skl2onnx, which then exports Pipelines of its own steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.exchange.onnx import add_outputs


def register_skl2onnx() -> None:
    """Register MLPClassifier and MLPRegressor with skl2onnx.

    Afterwards ``skl2onnx.to_onnx`` and ``convert_sklearn`` take Pipelines that end in one of them,
    with every step that skl2onnx knows: encoders, columns of mixed types, and many more. Options
    ``zipmap`` and ``nocl`` are those of scikit-learn's classifiers. A float64 estimator is computed
    in float64; its probabilities and predictions have the type of the input.

    Raises
    ------
    ImportError
        Without skl2onnx (``pip install skl2onnx``).

    Examples
    --------
    ::

        from fastmlp.exchange import register_skl2onnx
        from skl2onnx import to_onnx

        register_skl2onnx()
        model = to_onnx(pipeline, X[:1].astype("float32"), options={"zipmap": False})
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise ImportError(
            "converters for skl2onnx need it: pip install skl2onnx", name=error.name
        ) from error

    from fastmlp.estimators import MLPClassifier, MLPRegressor

    update_registered_converter(
        MLPClassifier,
        "FastmlpMLPClassifier",
        _classifier_types,
        _convert,
        options={
            "zipmap": [True, False, "columns"],
            "nocl": [True, False],
            "output_class_labels": [False, True],
        },
    )
    update_registered_converter(MLPRegressor, "FastmlpMLPRegressor", _regressor_types, _convert)


def _classifier_types(operator: Any) -> None:
    """Declare types and shapes of labels and probabilities."""
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    classes = operator.raw_operator.classes_
    label = StringTensorType if classes.dtype.kind in "UO" else Int64TensorType
    multilabel = operator.raw_operator._targets.kind == "multilabel"
    operator.outputs[0].type = label([None, len(classes)] if multilabel else [None])
    operator.outputs[1].type = _numbers(operator)([None, len(classes)])


def _regressor_types(operator: Any) -> None:
    """Declare type and shape of predictions, a column for one output too."""
    operator.outputs[0].type = _numbers(operator)([None, operator.raw_operator.n_outputs_])


def _numbers(operator: Any) -> Any:
    """Return the type of the results: double for double, else float."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    is_double = isinstance(operator.inputs[0].type, DoubleTensorType)
    return DoubleTensorType if is_double else FloatTensorType


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of an estimator."""
    graph = _Graph(scope, operator, container)
    add_outputs(graph, graph.cast(operator.inputs[0].full_name, graph.dtype), operator.raw_operator)


class _Graph:
    """A graph of skl2onnx, with the methods of the graph in `exchange.onnx` that add nodes."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        import onnx

        self.onnx = onnx
        self.scope, self.operator, self.container = scope, operator, container
        self.dtype = operator.raw_operator.network_.dtype

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        result = self.scope.get_unique_variable_name(operator.lower())
        self._node(operator, list(inputs), result, attributes)
        return str(result)

    def _node(self, operator: str, inputs: list[str], result: str, attributes: Any) -> None:
        name = self.scope.get_unique_operator_name(f"fastmlp_{operator}")
        self.container.add_node(operator, inputs, [result], name=name, **attributes)

    def constant(self, array: NDArray[Any]) -> str:
        name = self.scope.get_unique_variable_name("constant")
        tensor = self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        if array.dtype == object:
            content = [str(item).encode() for item in array.ravel()]
            self.container.add_initializer(name, tensor.data_type, list(array.shape), content)
        else:
            self.container.add_initializer(name, tensor.data_type, list(array.shape), tensor)
        return str(name)

    def cast(self, value: str, dtype: Any) -> str:
        return self.add(
            "Cast", value, to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        )

    def output(
        self, name: str, value: str, shape: list[int | None], elem_type: int | None = None
    ) -> None:
        """Give a result the name and type that the operator has declared."""
        if name == "predictions" and len(shape) == 1:
            value = self.add("Unsqueeze", value, self.constant(np.array([1], np.int64)))
        position = 1 if name == "probabilities" else 0
        declared = self.operator.outputs[position]
        to = declared.type.to_onnx_type().tensor_type.elem_type
        self._node("Cast", [value], declared.full_name, {"to": to})
