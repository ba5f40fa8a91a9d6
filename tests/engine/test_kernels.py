"""The kernels' own functions against long double and SciPy, at every SIMD level."""

from __future__ import annotations

import ctypes
import ctypes.util
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from cases import RUNNABLE_LEVELS

from fastmlp.engine import _core

DTYPES = ["float32", "float64"]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 5e-324, -5e-324]


def sweep(dtype):
    rng = np.random.default_rng(3)
    x = np.concatenate(
        [
            rng.uniform(-110, 95, 60_000),
            rng.uniform(-2, 2, 60_000),
            10.0 ** rng.uniform(-44, 0, 20_000),
            -(10.0 ** rng.uniform(-44, 0, 20_000)),
            rng.uniform(-760, 715, 60_000) if dtype == "float64" else rng.uniform(85, 90, 20_000),
            SPECIAL,
        ]
    )
    return x.astype(dtype)


def exact(name, x):
    """The function in long double, in forms that neither overflow nor cancel."""
    x = x.astype(np.longdouble)
    with np.errstate(all="ignore"):
        tail = np.exp(-np.abs(x))
        return {
            "exp": lambda: np.exp(x),
            "sigmoid": lambda: np.where(np.isnan(x), x, np.where(x < 0, tail, 1) / (1 + tail)),
            "tanh": lambda: np.tanh(x),
            "softplus": lambda: np.where(x > 0, x, 0) + np.log1p(tail) + 0 * np.nan_to_num(x),
            "log": lambda: np.log(x),
        }[name]()


def ulp_errors(found, expected):
    with np.errstate(over="ignore"):
        rounded = expected.astype(found.dtype)
    both = np.isfinite(rounded) & np.isfinite(found)
    np.testing.assert_array_equal(np.isinf(found), np.isinf(rounded))
    spacing = np.spacing(np.abs(rounded[both])).astype(np.longdouble)
    return np.abs(found[both].astype(np.longdouble) - expected[both]) / spacing


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh", "softplus"])
def test_functions_are_within_4_ulp_and_pass_nan_on(simd_level, name, dtype):
    x = sweep(dtype)
    found = _core.apply(name, x)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(x))
    assert ulp_errors(found, exact(name, x)).max() <= 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_of_normal_numbers_is_within_4_ulp(simd_level, dtype):
    x = np.exp(np.random.default_rng(0).uniform(-80, 80, 50_000)).astype(dtype)
    assert ulp_errors(_core.apply("log", x), exact("log", x)).max() <= 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_and_tanh_saturate_monotonely_inside_their_range(simd_level, dtype):
    x = np.concatenate([np.linspace(-800, 800, 400_001), np.linspace(-20, 20, 400_001)])
    x = np.sort(x).astype(dtype)
    sigmoid, tanh = _core.apply("sigmoid", x), _core.apply("tanh", x)
    assert sigmoid.min() >= 0
    assert sigmoid.max() <= 1
    assert tanh.min() >= -1
    assert tanh.max() <= 1
    saturated = np.abs(x) > 8
    for y in (sigmoid, tanh):
        assert (np.diff(y[saturated]) >= 0).all()


@pytest.mark.parametrize("n", [0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 33])
def test_every_length_gives_the_values_of_single_elements(simd_level, n):
    """Vector body and scalar tail agree; unaligned starts too."""
    buffer = np.linspace(-3, 3, n + 1, dtype=np.float32)
    x = buffer[1:]
    alone = np.array([_core.apply("sigmoid", x[i : i + 1])[0] for i in range(n)], np.float32)
    np.testing.assert_allclose(_core.apply("sigmoid", x), alone, rtol=3e-7)


@pytest.mark.parametrize("pair", list(itertools.combinations(RUNNABLE_LEVELS, 2)), ids="-".join)
def test_levels_agree_within_a_few_ulp(pair):
    x = sweep("float32")
    before, results = _core.selected_level(), []
    for level in pair:
        _core.select_level(level)
        results.append(_core.apply("tanh", x))
    _core.select_level(before)
    np.testing.assert_allclose(*results, rtol=6e-7)


def test_unknown_function_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown function 'cosh'"):
        _core.apply("cosh", np.zeros(3))


def test_functions_take_strided_arrays_and_refuse_other_dtypes():
    x = np.linspace(-3, 3, 11)[::-2]
    np.testing.assert_allclose(_core.apply("tanh", x), np.tanh(x), rtol=1e-15)
    with pytest.raises(TypeError, match="x must be of dtype float32 or float64; got int64"):
        _core.apply("tanh", np.arange(3))


def test_unknown_level_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match=f"name must be one of {', '.join(_core.LEVELS)}; got 'sse9'"
    ):
        _core.select_level("sse9")


def run_python(code, **environ):
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environ, capture_output=True, text=True
    )


def test_level_that_this_processor_lacks_is_refused():
    best = _core.best_level()
    if best == list(_core.LEVELS)[-1]:
        pytest.skip("this processor runs every level")
    with pytest.raises(ValueError, match=f"name must be at most '{best}' on this processor"):
        _core.select_level(list(_core.LEVELS)[-1])


@pytest.mark.parametrize("level", RUNNABLE_LEVELS)
def test_environment_variable_forces_a_level_at_import(level):
    code = "from fastmlp.engine import _core; print(_core.selected_level())"
    assert run_python(code, FASTMLP_SIMD=level).stdout.strip() == level


def test_wrong_level_in_the_environment_says_what_is_allowed():
    message = f"FASTMLP_SIMD must be one of {', '.join(_core.LEVELS)}; got 'mmx'"
    result = run_python("import fastmlp; print('imported')", FASTMLP_SIMD="mmx")
    assert (result.stdout, result.returncode) == ("imported\n", 0)
    result = run_python("import fastmlp; fastmlp.Network((2, 1))", FASTMLP_SIMD="mmx")
    assert f"EnvironmentVariableError: {message}" in result.stderr and result.returncode != 0
    for command in ("info", "train --data moons --epochs 1"):
        code = f"from fastmlp import cli; raise SystemExit(cli.main({command.split()}))"
        result = run_python(code, FASTMLP_SIMD="mmx")
        assert (result.stderr, result.returncode) == (f"fastmlp: error: {message}\n", 2)


def floating_point_state():
    """Rounding mode and, through subnormals, flush-to-zero of this thread."""
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    tiny = np.array([np.finfo(np.float32).tiny], np.float32)
    return libm.fegetround(), float((tiny / np.float32(2))[0])


@pytest.mark.skipif(os.name != "posix", reason="reads it by C functions of the process")
def test_training_leaves_the_floating_point_state_alone():
    from fastmlp import Network, Trainer

    before = floating_point_state()
    network = Network((3, 4, 2), random_state=0)
    x, y = np.ones((8, 3), np.float32), np.eye(2, dtype=np.float32)[[0, 1] * 4]
    Trainer(network, n_threads=2).fit(x, y, n_epochs=2)
    assert floating_point_state() == before
    assert before[1] > 0
