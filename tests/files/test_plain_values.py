"""Parameters as JSON: what goes in comes out, and nothing else comes out."""

from __future__ import annotations

import contextlib
import json
import math

import numpy as np
import pytest
from any_speed import AT_ANY_SPEED
from cases import name_of
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.files.plain_values import decode, encode

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=15,
)


def through_json(value):
    return decode(json.loads(json.dumps(encode(value), allow_nan=False)))


def types(value):
    if isinstance(value, list | tuple):
        return type(value), [types(item) for item in value]
    if isinstance(value, dict):
        return dict, [(types(k), types(v)) for k, v in value.items()]
    return type(value)


@AT_ANY_SPEED
@given(PLAIN)
def test_plain_values_come_back_with_their_types(value):
    again = through_json(value)
    assert again == value
    assert types(again) == types(value)


def test_nan_and_numpy_scalars():
    assert math.isnan(through_json(math.nan))
    assert through_json(np.float32(0.1)) == float(np.float32(0.1))
    assert through_json({np.int64(3): np.bool_(True)}) == {3: True}


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.array([1.5, np.nan, -np.inf], np.float32),
        np.array(["a", "bcd"]),
        np.array(["x", "y"], object),
        np.array([True, False]),
        np.zeros((0, 3)),
        np.uint8([255]),
    ],
    ids=lambda array: str(array.dtype),
)
def test_arrays_come_back_with_dtype_and_shape(array):
    again = through_json(array)
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM", "SFC64", "MT19937", "Philox"])
def test_generators_come_back_where_they_were(name):
    rng = np.random.Generator(getattr(np.random, name)(5))
    rng.integers(10, dtype=np.uint32, size=3)
    again = through_json(rng)
    assert again.normal(size=5).tolist() == rng.normal(size=5).tolist()
    state = np.random.RandomState(4)
    state.normal()
    assert through_json(state).normal(size=5).tolist() == state.normal(size=5).tolist()


@pytest.mark.parametrize(
    "value",
    [
        len,
        object(),
        {1, 2},
        b"bytes",
        1j,
        [lambda: 0],
        np.array([object()]),
        np.dtype("f4"),
        np.array(["2020"], "datetime64[D]"),
        np.float32,
    ],
    ids=name_of,
)
def test_other_values_cannot_be_saved(value):
    with pytest.raises(TypeError, match="cannot be saved"):
        encode(value)


@pytest.mark.parametrize("name", ["SFC64", "MT19937", "Philox"])
def test_a_state_with_a_shorter_array_is_refused(name):
    text = json.dumps(encode(np.random.Generator(getattr(np.random, name)(5))))
    value = json.loads(text)

    def shorten(place):
        if isinstance(place, dict) and "array" in place:
            dtype, _shape, flat = place["array"]
            place["array"] = [dtype, [len(flat) - 1], flat[1:]]
        for inner in place.values() if isinstance(place, dict) else place:
            if isinstance(inner, dict | list):
                shorten(inner)

    shorten(value)
    assert json.dumps(value) != text
    with pytest.raises(ValueError, match="not built as it should be"):
        decode(value)


@AT_ANY_SPEED
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["float", "tuple", "dict", "array", "generator", "random_state", "eval"]
                ),
                inner,
                max_size=2,
            )
        ),
        max_leaves=10,
    )
)
def test_decoding_anything_gives_a_value_or_one_of_the_documented_errors(value):
    with contextlib.suppress(ValueError, TypeError, LookupError, ArithmeticError):
        decode(value)


def test_arrays_of_mixed_objects_come_back_with_the_types_of_python():
    array = np.array([["a", None, np.nan], [True, np.int64(3), 1.5]], object)
    again = through_json(array)
    assert (again.dtype, again.shape) == (object, (2, 3))
    assert str(again.tolist()) == "[['a', None, nan], [True, 3, 1.5]]"
    assert type(again[1, 1]) is int


@pytest.mark.parametrize(
    "item", [b"a", np.float32(0.1), (1,), np.datetime64("2020-01-01")], ids=str
)
def test_arrays_of_other_objects_are_refused_with_their_types(item):
    array = np.empty(2, object)
    array[:] = ["a", item]
    with pytest.raises(TypeError, match=f"an array with objects of {type(item).__name__} cannot"):
        encode(array)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ([[2], ["a"]], "an array has 1 values, its shape"),
        ([[1]], r"must be \[shape, values\]"),
        ([[1], [[2]]], "values of another type"),
        ([[-1], []], "a shape must be|an array's shape must be"),
        ({}, "an array of objects must be a list"),
    ],
)
def test_arrays_of_objects_that_contradict_themselves_are_refused(content, match):
    with pytest.raises(ValueError, match=match):
        decode({"objects": content})
