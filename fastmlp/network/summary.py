"""A network as a table: layers, shapes, parameters, operations and memory."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import pairwise

from fastmlp.network.network import Network

HEADER = ("layer", "output", "activation", "parameters", "FLOP per row")


@dataclass(frozen=True)
class LayerSummary:
    """One layer after the input.

    Attributes
    ----------
    name : str
    n_in, n_out : int
    function : str
    """

    name: str
    n_in: int
    n_out: int
    function: str

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return self.n_out * (self.n_in + 1)

    @property
    def flop(self) -> int:
        """Floating-point operations of a prediction per row: 2 n_in n_out for product and bias."""
        return 2 * self.n_in * self.n_out


@dataclass(frozen=True)
class Summary:
    """A network's layers and what they cost; prints as a table, also in a notebook.

    Attributes
    ----------
    n_features : int
    layers : tuple of LayerSummary
    dtype : str
    itemsize : int
        Bytes per number.
    """

    n_features: int
    layers: tuple[LayerSummary, ...]
    dtype: str
    itemsize: int

    @classmethod
    def of(cls, network: Network) -> Summary:
        """The summary of a network."""
        pairs, functions = list(pairwise(network.sizes)), network.functions
        names = [f"hidden {i + 1}" for i in range(len(pairs) - 1)] + ["output"]
        layers = tuple(
            LayerSummary(name, n_in, n_out, function)
            for name, (n_in, n_out), function in zip(names, pairs, functions, strict=True)
        )
        return cls(network.sizes[0], layers, str(network.dtype), network.dtype.itemsize)

    @property
    def n_parameters(self) -> int:
        """Weights and biases of all layers."""
        return sum(layer.n_parameters for layer in self.layers)

    @property
    def flop(self) -> int:
        """Floating-point operations of a prediction per row; a training step needs three times."""
        return sum(layer.flop for layer in self.layers)

    @property
    def n_bytes(self) -> int:
        """Memory of the parameters."""
        return self.n_parameters * self.itemsize

    def rows(self) -> list[tuple[str, ...]]:
        """The table's rows as text, without header and sums."""
        rows: list[tuple[str, ...]] = [("input", str(self.n_features), "", "", "")]
        for layer in self.layers:
            rows.append(
                (layer.name, str(layer.n_out), layer.function, f"{layer.n_parameters:,}",
                 f"{layer.flop:,}")
            )  # fmt: skip
        return rows

    def footer(self) -> str:
        """The sums in a sentence."""
        return (
            f"{self.n_parameters:,} {self.dtype} parameters, {_bytes(self.n_bytes)}; "
            f"{self.flop:,} FLOP to predict a row"
        )

    def __str__(self) -> str:
        table = [HEADER, *self.rows()]
        widths = [max(len(row[i]) for row in table) for i in range(len(HEADER))]
        lines = [
            "  ".join(
                cell.rjust(width) if i in (1, 3, 4) else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([*lines, self.footer()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        head = "".join(f"<th>{escape(name)}</th>" for name in HEADER)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows()
        )
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
            f"<caption>{escape(self.footer())}</caption></table>"
        )


def _bytes(n_bytes: int) -> str:
    """A number of bytes in a unit that suits it."""
    size, unit = float(n_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
