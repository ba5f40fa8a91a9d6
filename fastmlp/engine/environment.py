"""Facts about where a run happens: versions, processor, kernels, BLAS, threads. No paths."""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp._version import __version__
from fastmlp.engine import _core
from fastmlp.engine import threads as _threads

LIBRARIES = {"numpy": "NumPy", "scipy": "SciPy", "sklearn": "scikit-learn"}
SLOWING_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Pin OpenBLAS to kernels or block sizes of another processor, which can halve its speed."""

RECORDED_VARIABLES = (*SLOWING_VARIABLES, *_threads.THREAD_VARIABLES, "FASTMLP_SIMD")
PRIVATE_VARIABLES = ("FASTMLP_DATA",)
"""Recorded as set or not, without the path they hold."""


def collect(
    n_threads: int | None = None, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Everything that decides how fast, and with which last bits, this process computes.

    Parameters
    ----------
    n_threads : int or None
        As in :func:`fastmlp.resolve_threads`.
    environ : mapping
        Environment variables to look at.

    Returns
    -------
    dict
        Of strings, numbers, None, and dicts and lists of these, ready for JSON:

        - ``versions``: by library.
        - ``processor``, ``system``: names.
        - ``processors``: ``online``, ``usable``, ``affinity`` and ``control_group`` (None without a
          limit).
        - ``simd``: ``selected`` and ``best`` level.
        - ``blas``: what SciPy's BLAS says about itself, or None; ``kernels`` is its architecture.
        - ``threads``: ``count`` and ``source``.
        - ``variables``: value, or None where not set; True for private ones that are set.
        - ``warnings``: sentences.
    """
    threads = _threads.resolve_threads(n_threads, environ)
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
            "usable": _threads.usable_processors(),
            "affinity": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
            "control_group": _threads.cgroup_quota(),
        },
        "simd": {"selected": _core.selected_level(), "best": _core.best_level()},
        "blas": _blas(),
        "threads": {"count": threads.n_threads, "source": threads.source},
        "variables": {
            **{name: environ.get(name) for name in RECORDED_VARIABLES},
            **{name: True if environ.get(name) else None for name in PRIVATE_VARIABLES},
        },
        "warnings": [
            f"{name}={environ[name]} overrides what OpenBLAS knows about this processor "
            "and can halve its speed"
            for name in SLOWING_VARIABLES
            if environ.get(name)
        ]
        + [
            f"{name}={environ[name]} is no positive number of threads and is not used"
            for name in _threads.ignored_variables(environ)
        ],
    }


def arithmetic() -> dict[str, Any]:
    """What the last bits of a result depend on, apart from the numbers that go in.

    Returns
    -------
    dict
        ``versions`` of fastmlp, NumPy and SciPy, ``processor``, ``system``, ``simd`` (the level in
        use) and ``blas``, as in `collect`.
    """
    import scipy

    return {
        "versions": {
            "fastmlp": __version__,
            "NumPy": np.__version__,
            "SciPy": scipy.__version__,
        },
        "processor": processor_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "simd": _core.selected_level(),
        "blas": _blas(),
    }


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Model name of the first processor, or the architecture where it is not told."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def _blas() -> dict[str, Any] | None:
    """The library whose products the engine calls: SciPy's, as the thread guard finds it."""
    libraries = _threads.find_blas()
    if not libraries:
        return None
    found = libraries[0].info()
    return {
        "library": found["internal_api"],
        "version": found["version"],
        "kernels": found.get("architecture"),
        "threading": found.get("threading_layer"),
    }
