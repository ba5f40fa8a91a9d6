"""Summary table of a network: layers, shapes, parameters, operations and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

from fastmlp._terminal import text_table

HEADER = ("layer", "output shape", "activation", "parameters", "FLOP per row")
TEXT_COLUMNS = (0, 2)
"""Indices of the columns that hold words, not numbers."""


@dataclass(frozen=True)
class LayerSummary:
    """Summary of one layer after the input.

    Attributes
    ----------
    name : str
        "hidden 1", "hidden 2", ..., "output".
    n_in, n_out : int
        Widths of the previous layer and of this one.
    function : str
        Name of the activation function.
    """

    __module__ = "fastmlp.network"  # the public address, so that pickles survive moves

    name: str
    n_in: int
    n_out: int
    function: str

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return self.n_out * (self.n_in + 1)

    @property
    def flop(self) -> int:
        """Floating-point operations to predict a row: 2 n_in n_out for product and bias."""
        return 2 * self.n_in * self.n_out


@dataclass(frozen=True)
class Summary:
    """Layers of a network and their cost, displayed as a table (HTML in notebooks).

    Attributes
    ----------
    n_features : int
        Width of the input.
    layers : tuple of LayerSummary
        The layers after the input.
    dtype : str
        Type of the parameters.
    itemsize : int
        Bytes per parameter.
    """

    __module__ = "fastmlp.network"  # the public address, so that pickles survive moves

    n_features: int
    layers: tuple[LayerSummary, ...]
    dtype: str
    itemsize: int

    @classmethod
    def of(
        cls, sizes: Sequence[int], dtype: np.dtype[Any], functions: Sequence[str] | None = None
    ) -> Summary:
        """Return the summary of a network with these layer widths.

        Parameters
        ----------
        sizes : sequence of int
            Widths of all layers.
        dtype : dtype
            Type of the parameters.
        functions : sequence of str or None
            Function of every layer after the input; None leaves this column empty.
        """
        pairs = list(pairwise(sizes))
        functions = [""] * len(pairs) if functions is None else functions
        names = [f"hidden {i + 1}" for i in range(len(pairs) - 1)] + ["output"]
        layers = tuple(
            LayerSummary(name, n_in, n_out, function)
            for name, (n_in, n_out), function in zip(names, pairs, functions, strict=True)
        )
        return cls(sizes[0], layers, str(dtype), dtype.itemsize)

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases of all layers."""
        return sum(layer.n_parameters for layer in self.layers)

    @property
    def flop(self) -> int:
        """Floating-point operations to predict a row; a training step needs three times as many."""
        return sum(layer.flop for layer in self.layers)

    @property
    def n_bytes(self) -> int:
        """Memory used by the parameters, in bytes."""
        return self.n_parameters * self.itemsize

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of the table as strings, without header and totals."""
        rows: list[tuple[str, ...]] = [("input", f"(n, {self.n_features})", "", "", "")]
        for layer in self.layers:
            rows.append(
                (
                    layer.name,
                    f"(n, {layer.n_out})",
                    layer.function,
                    f"{layer.n_parameters:,}",
                    f"{layer.flop:,}",
                )
            )
        return rows

    def footer(self) -> str:
        """Return the totals as a sentence."""
        return (
            f"{self.n_parameters:,} {self.dtype} parameters, {format_bytes(self.n_bytes)}; "
            f"{self.flop:,} FLOP to predict a row"
        )

    def __str__(self) -> str:
        header, *lines = text_table(HEADER, self.rows(), TEXT_COLUMNS)
        return "\n".join([header, "-" * len(header), *lines, self.footer()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        head = "".join(f"<th>{escape(name)}</th>" for name in HEADER)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows()
        )
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
            f"<caption>{escape(self.footer())}</caption></table>"
        )


def format_bytes(n_bytes: int) -> str:
    """Return a number of bytes as text with a suitable unit, such as "224.2 KiB"."""
    size, unit = float(n_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
