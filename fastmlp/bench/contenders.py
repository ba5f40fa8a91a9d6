"""The contenders of the benchmark: which adapter, in which variant, on how many threads."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from fastmlp.bench.adapters.contract import Adapter
from fastmlp.bench.adapters.job import Data

BASELINE = "fastmlp"
REFERENCE = "fastmlp.reference"
FLOOR = "noop"
PEAK = "sgemm"
FMA = "fma"
MACHINE_FLOP = 2.0 * 2048**3
"""Operations of an epoch of either measurement of the machine."""

TRAIN, PREDICT, ENSEMBLE, ESTIMATOR = "train", "predict", "ensemble", "estimator"


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    adapter: file of the package `adapters`.  variant: passed to it.
    requires: packages which have to be importable.
    kinds: of the jobs it can do, but for estimators; none for a measurement of the machine, which
    runs once per round.
    n_threads: fixed number of threads, or None for the number the user asked for.
    by_default: whether it runs when the user names no contenders.
    estimators: the module of its MLPClassifier and MLPRegressor, where it has these.
    """

    name: str
    adapter: str
    requires: tuple[str, ...]
    kinds: tuple[str, ...]
    variant: str = ""
    n_threads: int | None = None
    by_default: bool = True
    estimators: str = ""

    def does(self, kind: str) -> bool:
        """Return whether it can do jobs of a kind."""
        return bool(self.estimators) if kind == ESTIMATOR else kind in self.kinds

    def installed(self) -> bool:
        """Return whether all required packages can be found, without importing them."""
        return all(find_spec(package) is not None for package in self.requires)

    def create(self, data: Data, n_threads: int, kind: str = TRAIN) -> Adapter:
        """Import the library and wrap it for jobs of a kind."""
        name, variant = self.adapter, self.variant
        if kind == ESTIMATOR:
            name, variant = ESTIMATOR, self.estimators
        module = import_module(f"{__package__}.adapters.{name}")
        adapter: Adapter = module.Contestant(data, n_threads, variant)
        return adapter


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender(FLOOR, "noop", (), (TRAIN, PREDICT, ENSEMBLE)),
        Contender(FMA, "fma", (), ()),
        Contender(PEAK, "sgemm", (), ()),
        Contender(
            BASELINE, "fastmlp", (), (TRAIN, PREDICT, ENSEMBLE), "native", estimators="fastmlp"
        ),
        Contender(REFERENCE, "fastmlp", (), (TRAIN, PREDICT), "numpy"),
        Contender(
            "sklearn",
            "sklearn",
            ("sklearn",),
            (TRAIN, PREDICT, ENSEMBLE),
            estimators="sklearn.neural_network",
        ),
        Contender("torch", "torch", ("torch",), (TRAIN, PREDICT, ENSEMBLE), "eager"),
        Contender("torch-1", "torch", ("torch",), (TRAIN, PREDICT), "eager", n_threads=1),
        Contender(
            "torch-compile", "torch", ("torch",), (TRAIN, PREDICT), "compile", by_default=False
        ),
        Contender("jax-step", "jax", ("jax",), (TRAIN,), "step"),
        Contender("jax-scan", "jax", ("jax",), (TRAIN, PREDICT, ENSEMBLE), "scan"),
        Contender("keras", "keras", ("keras", "tensorflow"), (TRAIN, PREDICT), "graph"),
        Contender("keras-xla", "keras", ("keras", "tensorflow"), (TRAIN, PREDICT), "xla"),
    )
}
QUICK_CONTENDERS = (FMA, PEAK, BASELINE, REFERENCE, "sklearn", "torch", "jax-scan", "keras")


def listing(width: int = 79) -> str:
    """Return the names of all contenders, for the help text."""
    text = f"contenders: {', '.join(CONTENDERS)}; 'all' selects them all"
    return textwrap.fill(text, width, subsequent_indent="  ", break_on_hyphens=False)


def select(names: Iterable[str]) -> tuple[Contender, ...]:
    """Contenders by name, or "all", each once."""
    selected: dict[str, Contender] = {}
    for name in names:
        if name == "all":
            selected |= CONTENDERS
        elif name in CONTENDERS:
            selected[name] = CONTENDERS[name]
        else:
            raise ValueError(
                f"unknown contender {name!r}; contenders are {', '.join(CONTENDERS)} and all"
            )
    return tuple(selected.values())
