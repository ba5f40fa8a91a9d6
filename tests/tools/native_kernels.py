"""Single kernels for Python: the library of tests/engine/native through ctypes.

Names, order and arguments come from src/kernels.h and src/fastmlp.h, so that a new kernel is there
at once, and a test can ask whether all have been tested.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
CANARY = 1234567.0
"""In output buffers where nothing may be written."""

VECTOR = 16
"""Kernels may read, and where kernels.h says so write, up to the next multiple of it."""

TYPES: dict[str, Any] = {
    "void": None,
    "int": ctypes.c_int,
    "double": ctypes.c_double,
    "ptrdiff_t": ctypes.c_ssize_t,
    "uint64_t": ctypes.c_uint64,
}


def round_up(n: int) -> int:
    return -(-n // VECTOR) * VECTOR


def read_header(name: str) -> str:
    return re.sub(r"/\*.*?\*/", "", (ROOT / "src" / name).read_text(), flags=re.DOTALL)


def read_prototypes() -> dict[str, tuple[Any, list[Any]]]:
    """Result and argument types of every kernel, in the order of the table."""
    prototypes = {}
    for result, name, text in re.findall(
        r"KERNEL\((\w+), (\w+), ([^)]*)\)", read_header("kernels.h")
    ):
        arguments = [ctypes.c_void_p if "*" in a else TYPES[a.split()[0]] for a in text.split(",")]
        prototypes[name] = (TYPES[result], arguments)
    return prototypes


def read_struct(name: str) -> type[ctypes.Structure]:
    """A struct of doubles and ints."""
    (body,) = re.findall(rf"typedef struct \{{([^}}]*)\}} {name};", read_header("fastmlp.h"))
    fields = []
    for kind, names in re.findall(r"(double|int) ([^;]*);", body):
        fields += [(field.strip(), getattr(ctypes, f"c_{kind}")) for field in names.split(",")]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


def read_enum(name: str) -> dict[str, int]:
    (body,) = re.findall(rf"enum {name} \{{([^}}]*)\}}", read_header("fastmlp.h"))
    return {name: code for code, name in enumerate(re.findall(r"\w+", body))}


def pointer(argument: Any) -> Any:
    """For ctypes: the address of an array's first element or of a struct, a number, or NULL."""
    if isinstance(argument, np.ndarray):
        return argument.ctypes.data
    return ctypes.addressof(argument) if isinstance(argument, ctypes.Structure) else argument


class Kernels:
    """The kernels of one SIMD level and precision as methods; arrays stand for pointers."""

    def __init__(self, library: Path, level: int, dtype: str) -> None:
        loaded = ctypes.CDLL(str(library))
        loaded.kernel_table.restype = ctypes.POINTER(ctypes.c_void_p)
        self.dtype = np.dtype(dtype)
        self.epsilon = float(np.finfo(dtype).eps)
        self.lanes = (16 << level) // self.dtype.itemsize
        table = loaded.kernel_table(level, 8 * self.dtype.itemsize)
        for i, (name, (result, arguments)) in enumerate(read_prototypes().items()):
            function = ctypes.CFUNCTYPE(result, *arguments)(table[i])
            setattr(self, name, self._method(function))

    @staticmethod
    def _method(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: function(*map(pointer, arguments))


class Sheet:
    """A matrix in the middle of a buffer: rows `stride` apart, margins around, all full of `fill`.

    Calling a sheet gives the matrix's first element, for a kernel. It lies one number after a cache
    line: aligned to numbers and to no vector.

    Attributes
    ----------
    matrix, wide : views of the buffer, (n_rows, n_cols) and (n_rows, stride)
    """

    def __init__(
        self, values: Any, dtype: Any, *, stride: int | None = None, fill: float = np.nan
    ) -> None:
        values = np.atleast_2d(values)
        n_rows, self.n_cols = values.shape
        self.stride, self.fill = stride or round_up(self.n_cols) + VECTOR, fill
        self.buffer = np.full(n_rows * self.stride + 6 * VECTOR, fill, dtype)
        begin = VECTOR + (-self.buffer.ctypes.data % 64) // self.buffer.itemsize + 1
        self.body = self.buffer[begin:]
        self.wide = self.body[: n_rows * self.stride].reshape(n_rows, self.stride)
        self.matrix = self.wide[:, : self.n_cols]
        self.matrix[...] = values

    def __call__(self) -> np.ndarray:
        return self.body

    def assert_holds(
        self,
        expected: Any,
        *,
        rtol: float = 0.0,
        atol: float = 0.0,
        written: int = 0,
        case: Any = "",
    ) -> None:
        """The matrix is `expected`, and around it nothing has changed.

        Columns up to number `written` may hold anything. The sheet is used up.
        """
        np.testing.assert_allclose(
            self.matrix, np.atleast_2d(expected), rtol=rtol, atol=atol, err_msg=str(case)
        )
        self.wide[:, : max(self.n_cols, written)] = self.fill
        np.testing.assert_array_equal(self.buffer, self.fill, f"written outside; {case}")
