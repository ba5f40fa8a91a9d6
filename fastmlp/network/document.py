"""Conversion of a Network to the contents of a model file, and back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine.environment import arithmetic
from fastmlp.engine.plan import PLAN_VERSION
from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Arrays, Fields
from fastmlp.network.network import Network

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def describe_network(network: Network) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return structure, plan version and arithmetic for the document, and the weights.

    Layer i has ``layers.i.weight`` (n_out, n_in) and ``layers.i.bias`` (n_out,), like a linear
    layer in PyTorch.

    Raises
    ------
    ValueError
        If a weight is NaN or infinite.
    """
    arrays = {}
    for i, w in enumerate(network.weights):
        if not np.isfinite(w).all():
            raise ValueError(f"weights of layer {i} are NaN or infinite; such a model is not saved")
        arrays[f"layers.{i}.weight"], arrays[f"layers.{i}.bias"] = w[:, 1:], w[:, 0]
    document = {
        "network": {
            "sizes": list(network.sizes),
            "activations": list(network.activations),
            "output": network.output,
            "dtype": network.dtype.name,
            "initializer": network.initializer,
        },
        "plan_version": PLAN_VERSION,
        "arithmetic": arithmetic(),
    }
    return document, arrays


def restore_network(document: Fields, arrays: Arrays) -> Network:
    """Return the network of a document; arrays are checked against its sizes before building."""
    document.count("plan_version")  # another plan may change the last bits, not the mathematics
    document.take("arithmetic", dict)
    fields = document.fields("network")
    sizes, dtype = fields.counts("sizes"), _dtype(fields)
    if len(sizes) < 2:
        raise ModelFormatError(f"{fields.where}: 'sizes' must be two or more")
    weights = [
        arrays.take(f"layers.{i}.weight", dtype, (n_out, n_in))
        for i, (n_in, n_out) in enumerate(pairwise(sizes))
    ]
    biases = [arrays.take(f"layers.{i}.bias", dtype, (n,)) for i, n in enumerate(sizes[1:])]
    options = {
        "activation": tuple(fields.texts("activations")),
        "output": fields.take("output", str),
        "initializer": fields.take("initializer", str),
    }
    fields.end()
    network: Network = checked(
        fields.where,
        lambda: Network._with_weights(weights, biases, dtype=dtype.name, **options),
    )
    return network


def _dtype(fields: Fields) -> np.dtype[Any]:
    name = fields.take("dtype", str)
    for dtype in DTYPES:
        if name == dtype.name:
            return dtype
    raise ModelFormatError(f"{fields.where}: 'dtype' must be float32 or float64, found {name!r}")


def check_dtype_name(options: dict[str, Any], where: str) -> None:
    """Reject dtype names other than the two that are written, because NumPy evaluates some."""
    name = options.get("dtype")
    if name is not None and (type(name) is not str or name not in ("float32", "float64")):
        raise ModelFormatError(f"{where}: 'dtype' must be float32, float64 or null")


def checked(where: str, build: Callable[[], Any]) -> Any:
    """Return the result of `build`; re-raise an error of its checks as a ModelFormatError."""
    try:
        return build()
    except ModelFormatError:
        raise
    except (ValueError, TypeError, ArithmeticError) as error:
        raise ModelFormatError(f"{where}: {str(error)[:500]}") from error


def restore_classes(document: Fields) -> NDArray[Any]:
    """Return the class labels of a classifier, which must be sorted and unique."""
    classes: NDArray[Any] = document.plain("classes", np.ndarray)
    if classes.ndim != 1 or len(classes) == 0 or classes.dtype.kind not in "biufUO":
        raise ModelFormatError(f"{document.where}: 'classes' must be labels of shape (n,)")
    unique = checked(f"{document.where}: 'classes'", lambda: np.unique(classes))
    if not np.array_equal(unique, classes):
        raise ModelFormatError(f"{document.where}: 'classes' must be sorted and unique")
    return classes
