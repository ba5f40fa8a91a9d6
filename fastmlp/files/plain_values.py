"""Lossless conversion of parameter values to JSON and back, without references to code.

None, True, False, integers, strings, finite numbers and lists stay as they are. Everything else is
an object with a single name, the type:

=====================  ==========================================================================
``float``              "nan", "inf" or "-inf"
``tuple``              list
``dict``               list of [key, value]
``array``              [dtype, shape, flat list]; numbers, bool, strings of at most 16 MB
``objects``            [shape, flat list]; an array of objects: strings, numbers, bool, None, NaN
``generator``          ``numpy.random.Generator``: state of its bit generator
``random_state``       ``numpy.random.RandomState``: state
=====================  ==========================================================================

NumPy's scalars become Python's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ARRAY_BYTES = 1 << 24
"""Largest array in JSON; one long text among many short ones would make a file's bytes many."""

_BIT_GENERATORS = ("PCG64", "PCG64DXSM", "SFC64", "MT19937", "Philox")
_NUMBERS = re.compile(r"bool|u?int(8|16|32|64)|float(32|64)")
_STRINGS = re.compile(r"U(\d{1,8})")
_OBJECTS = (str, bool, int, float, type(None), np.bool_, np.integer)
"""Types of items in an array of objects; np.float64 is a float, other floats would change."""


def encode(value: Any) -> Any:
    """Encode `value` in a form that `json.dumps` accepts.

    Raises
    ------
    TypeError
        For values of other types: functions, splitters, callbacks, objects of any kind.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, np.ndarray):
        mixed = value.dtype == object and not all(isinstance(item, str) for item in value.flat)
        return {"objects": _encode_objects(value)} if mixed else {"array": _encode_array(value)}
    if isinstance(value, np.random.Generator):
        return {"generator": encode(dict(_known_state(value.bit_generator.state)))}
    if isinstance(value, np.random.RandomState):
        return {"random_state": encode(dict(_known_state(value.get_state(legacy=False))))}
    raise TypeError(f"a {type(value).__name__} cannot be saved")


def decode(value: Any) -> Any:
    """Return the value that was passed to `encode`.

    Raises
    ------
    ValueError, TypeError
        For values that `encode` never returns.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError(f"an object must have one name, that of its type; found {len(value)}")
    ((name, content),) = value.items()
    if name not in _DECODERS:
        raise ValueError(f"{name[:40]!r} is no type of a value; known: {', '.join(_DECODERS)}")
    return _DECODERS[name](content)


def _decode_float(content: Any) -> float:
    if content not in ("nan", "inf", "-inf"):
        raise ValueError("a float must be 'nan', 'inf' or '-inf'")
    return float(content)


def _decode_tuple(content: Any) -> tuple[Any, ...]:
    return tuple(decode(_list(content, "a tuple")))


def _decode_dict(content: Any) -> dict[Any, Any]:
    pairs = [_list(pair, "a dict's entry") for pair in _list(content, "a dict")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("a dict's entries must be a key and a value")
    result = {decode(key): decode(item) for key, item in pairs}
    if len(result) < len(pairs):
        raise ValueError("a dict has a key twice")
    return result


def _list(content: Any, where: str) -> list[Any]:
    if not isinstance(content, list):
        raise ValueError(f"{where} must be a list")
    return content


def _encode_objects(array: NDArray[Any]) -> list[Any]:
    """Encode an array of objects; NumPy's numbers among them are read back as Python's."""
    strange = {type(item) for item in array.flat if not isinstance(item, _OBJECTS)}
    if strange:
        names = ", ".join(sorted(type_.__name__ for type_ in strange))
        raise TypeError(f"an array with objects of {names} cannot be saved")
    return [list(array.shape), [encode(item) for item in array.flat]]


def _decode_objects(content: Any) -> NDArray[Any]:
    parts = _list(content, "an array of objects")
    if len(parts) != 2:
        raise ValueError("an array of objects must be [shape, values]")
    shape, flat = _decode_shape(parts[0]), decode(_list(parts[1], "values"))
    if math.prod(shape) != len(flat):
        raise ValueError(f"an array has {len(flat)} values, its shape {shape}")
    _check_items(flat, (str, bool, int, float, type(None)), "objects")
    array = np.empty(len(flat), object)
    array[:] = flat
    return array.reshape(shape)


def _decode_shape(content: Any) -> list[int]:
    shape = _list(content, "a shape")
    if not all(type(size) is int and 0 <= size < 2**31 for size in shape) or len(shape) > 8:
        raise ValueError("an array's shape must be at most eight integers from 0 to 2^31")
    return shape


def _encode_array(array: NDArray[Any]) -> list[Any]:
    if array.nbytes > MAX_ARRAY_BYTES:
        raise TypeError(f"an array of {array.nbytes} bytes cannot be saved: too large")
    flat = array.ravel().tolist()
    if array.dtype == object:
        return ["object", list(array.shape), flat]
    name = f"U{array.dtype.itemsize // 4}" if array.dtype.kind == "U" else array.dtype.name
    if not (_STRINGS.fullmatch(name) or _NUMBERS.fullmatch(name)):
        raise TypeError(f"an array of {array.dtype} cannot be saved")
    return [name, list(array.shape), encode(flat)]


def _decode_array(content: Any) -> NDArray[Any]:
    parts = _list(content, "an array")
    if len(parts) != 3 or not isinstance(parts[0], str):
        raise ValueError("an array must be [dtype, shape, values]")
    name, shape, flat = parts[0], _decode_shape(parts[1]), decode(_list(parts[2], "values"))
    if math.prod(shape) != len(flat):
        raise ValueError(f"an array has {len(flat)} values, its shape {shape}")
    if (strings := _STRINGS.fullmatch(name)) and 4 * int(strings[1]) * len(flat) > MAX_ARRAY_BYTES:
        raise ValueError(f"an array of {len(flat)} strings of {strings[1]} characters is too large")
    if strings or name == "object":
        _check_items(flat, (str,), name)
    elif _NUMBERS.fullmatch(name):
        _check_items(flat, _ITEMS[np.dtype(name).kind], name)
    else:
        raise ValueError(f"an array must not be of {name[:40]!r}")
    with np.errstate(over="ignore"):
        array = np.array(flat, name)
    same = array.tolist() == flat
    if array.dtype.kind == "f":  # NaN is no reason to differ
        same = np.array_equal(array.astype(np.float64), np.array(flat, np.float64), equal_nan=True)
    if not same:
        raise ValueError(f"an array has values that are no {name}")
    return array.reshape(shape)


_ITEMS: dict[str, tuple[type, ...]] = {"b": (bool,), "i": (int,), "u": (int,), "f": (float, int)}


def _check_items(flat: list[Any], types: tuple[type, ...], name: str) -> None:
    if not all(type(item) in types for item in flat):
        raise ValueError(f"an array of {name} has values of another type")


def _known_state(state: Any) -> Mapping[str, Any]:
    """Return the state of a bit generator, which must be one of NumPy's."""
    if state.get("bit_generator") not in _BIT_GENERATORS:
        raise TypeError(f"a {state.get('bit_generator')} generator cannot be saved")
    return state  # type: ignore[no-any-return]


def _decode_state(content: Any, template: Any) -> dict[str, Any]:
    """Return a state after checking that it has the structure of a real one.

    NumPy checks neither the sizes of a state's arrays nor that positions lie inside its buffers.
    """
    state = decode(content)
    if not isinstance(state, dict) or state.get("bit_generator") not in _BIT_GENERATORS:
        raise ValueError(f"a generator must be one of {', '.join(_BIT_GENERATORS)}")
    _check_alike(state, template(getattr(np.random, state["bit_generator"])(0)))
    if state["bit_generator"] == "MT19937":
        _check_position(state["state"]["pos"], 624)
    if state["bit_generator"] == "Philox":
        _check_position(state["buffer_pos"], 4)
    return state


def _check_alike(value: Any, template: Any) -> None:
    """Raise an error unless names, types, array shapes and dtypes are the same."""
    alike = type(value) is type(template)
    if alike and isinstance(value, dict):
        alike = list(value) == list(template)
    if alike and isinstance(value, np.ndarray):
        alike = (value.dtype, value.shape) == (template.dtype, template.shape)
    if alike and type(value) is int:
        alike = 0 <= value < 2**128
    if not alike:
        raise ValueError("a generator's state is not built as it should be")
    if isinstance(value, dict):
        for name in value:
            _check_alike(value[name], template[name])


def _check_position(position: int, last: int) -> None:
    if position > last:
        raise ValueError(f"a generator's position must be from 0 to {last}")


def _decode_generator(content: Any) -> np.random.Generator:
    state = _decode_state(content, lambda bit_generator: bit_generator.state)
    bit_generator = getattr(np.random, state["bit_generator"])(0)
    bit_generator.state = state
    return np.random.Generator(bit_generator)


def _decode_random_state(content: Any) -> np.random.RandomState:
    state = _decode_state(content, _legacy_state)
    random_state = np.random.RandomState(getattr(np.random, state["bit_generator"])(0))
    random_state.set_state(state)
    return random_state


def _legacy_state(bit_generator: Any) -> Any:
    return np.random.RandomState(bit_generator).get_state(legacy=False)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "float": _decode_float,
    "tuple": _decode_tuple,
    "dict": _decode_dict,
    "array": _decode_array,
    "objects": _decode_objects,
    "generator": _decode_generator,
    "random_state": _decode_random_state,
}
