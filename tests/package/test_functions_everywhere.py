"""Every activation, output function and loss is known everywhere, or refused there by name.

A new name goes into fastmlp/losses.py first. These tests then say which places have forgotten it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastmlp import Network, losses, reference
from fastmlp.engine import _core
from fastmlp.estimators import MLPClassifier, MLPRegressor
from fastmlp.estimators.to_sklearn import ACTIVATIONS as TO_SKLEARN
from fastmlp.exchange import keras, onnx
from fastmlp.losses import ACTIVATIONS, LOSSES, OUTPUT_FUNCTIONS
from fastmlp.myann import parameters
from fastmlp.reference.losses import COSTS, DIFFERENCE_COSTS, DIFFERENCE_DERIVATIVES

ROOT = Path(__file__).parents[2]
FUNCTIONS = tuple(dict.fromkeys(ACTIVATIONS + OUTPUT_FUNCTIONS))


def constants(*paths):
    """Names of the C constants in these files: sigmoid for FM_SIGMOID."""
    text = "".join((ROOT / path).read_text() for path in paths)
    return {name.lower() for name in re.findall(r"FM_(\w+)", text)}


def words(text):
    return set(re.findall(r"\w+", text))


PASSES = constants(*(path for path in ROOT.glob("src/*.[ch]") if path.name != "fastmlp.h"))

PLACES_OF_FUNCTIONS = {
    "enum fm_function in src/fastmlp.h": constants("src/fastmlp.h"),
    "engine/_kernels.pxd": constants("fastmlp/engine/_kernels.pxd"),
    "the passes in src/": PASSES,
    "FUNCTIONS in the engine": _core.FUNCTIONS,
    "FUNCTIONS in reference/functions.py": reference.FUNCTIONS,
    "OPERATORS or COMPOSED in exchange/onnx.py": onnx.OPERATORS | onnx.COMPOSED,
    "ACTIVATIONS, OWN_LAYERS or REFUSED in exchange/keras.py": (
        *keras.ACTIVATIONS,
        *keras.OWN_LAYERS,
        *keras.REFUSED,
    ),
    "the docstring of Network": words(Network.__doc__),
}

REFUSED_BY_SKLEARN = {"leaky_relu", "elu", "selu", "softplus", "gelu", "silu"}

PLACES_OF_ACTIVATIONS = {
    "DERIVATIVES in reference/functions.py": reference.DERIVATIVES,
    "ACTIVATIONS in estimators/to_sklearn.py": TO_SKLEARN.keys() | REFUSED_BY_SKLEARN,
    "ACTIVATION_FUNCTIONS in myann/parameters.py": parameters.ACTIVATION_FUNCTIONS,
}

OUTPUTS_REFUSED_BY_MYANN = {"exponential", "increasing"}

PLACES_OF_OUTPUTS = {
    "NATURAL_LOSS in losses.py": losses.NATURAL_LOSS,
    "OUT_FUNCTIONS in myann/parameters.py": {*parameters.OUT_FUNCTIONS, *OUTPUTS_REFUSED_BY_MYANN},
}

LOSSES_REFUSED_BY_ESTIMATORS = {"cross_entropy"}
"""The classifier takes it for "log_loss" with several classes."""
LOSSES_REFUSED_BY_MYANN = {"brier", "absolute_error", "huber", "quantile", "poisson", "gamma"}

PLACES_OF_LOSSES = {
    "enum fm_loss in src/fastmlp.h": constants("src/fastmlp.h"),
    "engine/_kernels.pxd": constants("fastmlp/engine/_kernels.pxd"),
    "the passes in src/": PASSES,
    "LOSSES in the engine": _core.LOSSES,
    "COSTS or DIFFERENCE_COSTS in reference/losses.py": COSTS | DIFFERENCE_COSTS,
    "the table of losses.py": words(losses.__doc__),
    "_losses of the estimators": {
        *MLPClassifier._losses,
        *MLPRegressor._losses,
        *LOSSES_REFUSED_BY_ESTIMATORS,
    },
    "LOSS_FUNCTIONS in myann/parameters.py": {
        *parameters.LOSS_FUNCTIONS.values(),
        *LOSSES_REFUSED_BY_MYANN,
    },
}

TABLE = (
    *((name, place, known) for place, known in PLACES_OF_FUNCTIONS.items() for name in FUNCTIONS),
    *(
        (name, place, known)
        for place, known in PLACES_OF_ACTIVATIONS.items()
        for name in ACTIVATIONS
    ),
    *(
        (name, place, known)
        for place, known in PLACES_OF_OUTPUTS.items()
        for name in OUTPUT_FUNCTIONS
    ),
    *((name, place, known) for place, known in PLACES_OF_LOSSES.items() for name in LOSSES),
)


@pytest.mark.parametrize(
    ("name", "place", "known"), TABLE, ids=[f"{name} in {place}" for name, place, _ in TABLE]
)
def test_name_is_known_or_refused_in(name, place, known):
    assert name in known, f"{name!r} was forgotten in {place}: add it, or refuse it by name"


@pytest.mark.parametrize(
    ("place", "known", "names"),
    [
        ("FUNCTIONS in the engine", _core.FUNCTIONS, FUNCTIONS),
        ("LOSSES in the engine", _core.LOSSES, (*LOSSES, "own")),
        ("FUNCTIONS in reference/functions.py", reference.FUNCTIONS, FUNCTIONS),
        ("DERIVATIVES in reference/functions.py", reference.DERIVATIVES, ACTIVATIONS),
        ("reference/losses.py", COSTS | DIFFERENCE_COSTS, LOSSES),
        ("exchange/onnx.py", onnx.OPERATORS | onnx.COMPOSED, FUNCTIONS),
        ("exchange/keras.py", (*keras.ACTIVATIONS, *keras.OWN_LAYERS, *keras.REFUSED), FUNCTIONS),
        ("NATURAL_LOSS in losses.py", losses.NATURAL_LOSS.values(), LOSSES),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_place_knows_a_name_that_losses_does_not(place, known, names):
    assert set(known) <= set(names), f"{place} has names that fastmlp/losses.py lacks"


def test_every_difference_has_a_derivative():
    assert DIFFERENCE_COSTS.keys() == DIFFERENCE_DERIVATIVES.keys()


def test_every_loss_allows_an_output_function_and_every_output_function_has_a_loss():
    for name, outputs in losses.OUTPUTS_OF_LOSS.items():
        assert outputs and set(outputs) <= set(OUTPUT_FUNCTIONS), name
    for output, loss in losses.NATURAL_LOSS.items():
        assert output in losses.OUTPUTS_OF_LOSS[loss]
