"""Description of a run's environment, without paths: versions, processor, kernels, BLAS, threads.

It also builds the environment of child processes, so that all measurements set the same variables.
"""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp._version import __version__
from fastmlp.engine import _core
from fastmlp.engine.blas import find_blas
from fastmlp.engine.level import check_level
from fastmlp.engine.products import PRODUCTS_VARIABLE
from fastmlp.engine.threads import (
    THREAD_VARIABLES,
    cgroup_quota,
    ignored_variables,
    resolve_threads,
    usable_processors,
)

LIBRARIES = {"numpy": "NumPy", "scipy": "SciPy", "sklearn": "scikit-learn"}
SLOWING_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that pin OpenBLAS to the kernels or block sizes of another processor, which can halve
its speed."""

RECORDED_VARIABLES = (*SLOWING_VARIABLES, *THREAD_VARIABLES, "FASTMLP_SIMD", PRODUCTS_VARIABLE)
PRIVATE_VARIABLES = ("FASTMLP_DATA",)
"""Variables recorded only as set or not set, because their values are paths."""

COUNT_VARIABLES = (
    *THREAD_VARIABLES,
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "PJRT_NPROC",
    "NPROC",
)
"""Variables from which BLAS libraries, OpenMP and XLA read a number of threads. Child processes
get the same number in all of them; otherwise they could run with one count and report another."""

SINGLE_THREADED_XLA = "--xla_cpu_multi_thread_eigen=false"


def collect(
    n_threads: int | None = None, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Collect everything that determines the speed and the last bits of this process's results.

    Parameters
    ----------
    n_threads : int or None
        As in :func:`fastmlp.resolve_threads`.
    environ : mapping of str to str
        Environment variables to read.

    Returns
    -------
    dict
        Strings, numbers, None, and dicts and lists of these, ready for JSON:

        - ``versions``: by library.
        - ``processor``, ``system``: names.
        - ``processors``: ``online``, ``usable``, ``affinity`` and ``control_group`` (None without a
          limit).
        - ``simd``: ``selected`` and ``best`` level.
        - ``blas``: facts about the BLAS that SciPy calls, as in `blas_facts`, or None.
        - ``threads``: ``count`` and ``source``.
        - ``variables``: by name; None where not set, True for private ones that are set.
        - ``warnings``: sentences.
    """
    check_level()
    threads = resolve_threads(n_threads, environ)
    return {
        "versions": {
            "fastmlp": __version__,
            "Python": platform.python_version(),
            **{
                label: importlib.import_module(name).__version__
                for name, label in LIBRARIES.items()
            },
        },
        "processor": processor_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": {
            "online": os.cpu_count(),
            "usable": usable_processors(),
            "affinity": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
            "control_group": cgroup_quota(),
        },
        "simd": {"selected": _core.selected_level(), "best": _core.best_level()},
        "blas": blas_facts(find_blas()),
        "threads": {"count": threads.n_threads, "source": threads.source},
        "variables": {
            **{name: environ.get(name) for name in RECORDED_VARIABLES},
            **{name: True if environ.get(name) else None for name in PRIVATE_VARIABLES},
        },
        "warnings": [
            f"{name}={environ[name]} overrides OpenBLAS's detection of this processor "
            "and can halve its speed"
            for name in SLOWING_VARIABLES
            if environ.get(name)
        ]
        + [
            f"{name}={environ[name]} is ignored: not a positive number of threads"
            for name in ignored_variables(environ)
        ],
    }


_collected: ContextVar[dict[str, Any] | None] = ContextVar("_collected", default=None)


@contextmanager
def arithmetic_collected_once() -> Iterator[None]:
    """Let `arithmetic` return the same facts within this block, for describing many models.

    Looking for BLAS among the loaded libraries takes longer than everything else in a small file.
    """
    token = _collected.set(arithmetic())
    try:
        yield
    finally:
        _collected.reset(token)


def arithmetic() -> dict[str, Any]:
    """Collect the facts that the last bits of a result depend on, apart from the input.

    Returns
    -------
    dict
        ``versions`` of fastmlp, NumPy and SciPy, ``processor``, ``system``, ``simd`` (the level in
        use) and ``blas``, as in `collect`.
    """
    import scipy

    known = _collected.get()
    if known is not None:
        return known
    return {
        "versions": {
            "fastmlp": __version__,
            "NumPy": np.__version__,
            "SciPy": scipy.__version__,
        },
        "processor": processor_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "simd": _core.selected_level(),
        "blas": blas_facts(find_blas()),
    }


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo"), *, with_model: bool = False) -> str:
    """Return the first processor's model name, or the architecture if it is unknown.

    Parameters
    ----------
    cpuinfo : Path
        Linux's description of the processors.
    with_model : bool
        Append family and model number if `cpuinfo` has them: cloud machines of different
        generations often share a name.
    """
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    facts: dict[str, str] = {}
    for key, _, value in (line.partition(":") for line in lines):
        if value.strip():
            facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name") or platform.processor() or platform.machine() or "unknown"
    if with_model and "cpu family" in facts and "model" in facts:
        name += f" (family {facts['cpu family']}, model {facts['model']})"
    return name


def blas_facts(libraries: Sequence[Any]) -> dict[str, Any] | None:
    """Return facts about the first of the `libraries` found by `find_blas`; None if it is empty.

    Returns
    -------
    dict or None
        ``library``, ``version``, ``kernels`` (the architecture they were written for) and
        ``threading``, each a string or None.
    """
    if not libraries:
        return None
    found = libraries[0].info()
    return {
        "library": found["internal_api"],
        "version": found["version"],
        "kernels": found.get("architecture"),
        "threading": found.get("threading_layer"),
    }


def loaded_libraries() -> list[dict[str, Any]]:
    """List the currently loaded BLAS and OpenMP libraries with version, kernels and threads.

    They are found by threadpoolctl, which detects shared libraries only: PyTorch's MKL and the
    matrix products of XLA and TensorFlow are linked statically. Empty without threadpoolctl.
    """
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    names = ("user_api", "prefix", "version", "architecture", "num_threads")
    return [{k: pool[k] for k in names if pool.get(k)} for pool in threadpool_info()]


def child_environment(
    n_threads: int, *, as_found: bool, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the environment variables of a child process that uses `n_threads` threads.

    Parameters
    ----------
    n_threads : int
        At least 1; the value of every variable in ``COUNT_VARIABLES``. With 1, XLA is configured
        to compute in the calling thread.
    as_found : bool
        Keep the variables that pin OpenBLAS to another processor; if False, they are removed.
    environ : mapping of str to str
        Environment of the parent; not changed.
    """
    dropped = () if as_found else SLOWING_VARIABLES
    child = {name: value for name, value in environ.items() if name not in dropped}
    child |= dict.fromkeys(COUNT_VARIABLES, str(n_threads))
    if n_threads == 1:
        child["XLA_FLAGS"] = f"{child.get('XLA_FLAGS', '')} {SINGLE_THREADED_XLA}".strip()
    return child
