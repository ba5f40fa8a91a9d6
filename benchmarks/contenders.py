"""The contenders of the benchmark: which adapter, in which variant, on how many threads."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from adapters import Adapter, Data

BASELINE = "fastmlp"
REFERENCE = "fastmlp.reference"
SGEMM_FLOP = 2.0 * 2048**3


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    adapter: file of the package `adapters`.  variant: passed to it.
    requires: packages which have to be importable.
    n_threads: fixed number of threads, or None for the number the user asked for.
    trains: False for a measurement of the machine, which runs once per round, not once per job.
    by_default: whether it runs when the user names no contenders.
    """

    name: str
    adapter: str
    requires: tuple[str, ...]
    variant: str = ""
    n_threads: int | None = None
    trains: bool = True
    by_default: bool = True

    def installed(self) -> bool:
        """Whether all required packages can be found, without importing them."""
        return all(find_spec(package) is not None for package in self.requires)

    def create(self, data: Data, n_threads: int) -> Adapter:
        """Import the library and wrap it."""
        module = import_module(f"adapters.{self.adapter}")
        return module.Contestant(data, n_threads, self.variant)


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("noop", "noop", (), trains=False),
        Contender("sgemm", "sgemm", ("scipy",), trains=False),
        Contender(BASELINE, "fastmlp", ("fastmlp",), "native"),
        Contender(REFERENCE, "fastmlp", ("fastmlp",), "numpy"),
        Contender("sklearn", "sklearn", ("sklearn",)),
        Contender("torch", "torch", ("torch",), "eager"),
        Contender("torch-1", "torch", ("torch",), "eager", n_threads=1),
        Contender("torch-compile", "torch", ("torch",), "compile", by_default=False),
        Contender("jax-step", "jax", ("jax",), "step"),
        Contender("jax-scan", "jax", ("jax",), "scan"),
        Contender("keras", "keras", ("keras", "tensorflow"), "graph"),
        Contender("keras-xla", "keras", ("keras", "tensorflow"), "xla"),
    )
}
