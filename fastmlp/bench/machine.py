"""Description of the machine, without paths: processor, threads, BLAS, environment, memory."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from pathlib import Path
from time import process_time
from typing import Any

from fastmlp.engine import _core
from fastmlp.engine.environment import COUNT_VARIABLES, SLOWING_VARIABLES, processor_name
from fastmlp.engine.threads import usable_processors as usable_processors

RECORDED_VARIABLES = (
    *SLOWING_VARIABLES,
    *COUNT_VARIABLES,
    "XLA_FLAGS",
    "FASTMLP_SIMD",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "OMP_PROC_BIND",
    "OMP_WAIT_POLICY",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_XLA_FLAGS",
)
PEAK_RESET = Path("/proc/self/clear_refs")


def describe() -> dict[str, Any]:
    """Processor, SIMD level of fastmlp, usable processors, Python, system, load, environment.

    load_average: runnable processes over the last minute, this one included; None on Windows.
    """
    return {
        "processor": processor_name(with_model=True),
        "simd_level": _core.selected_level(),
        "usable_processors": usable_processors(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "environment": {k: os.environ[k] for k in RECORDED_VARIABLES if k in os.environ},
    }


def reset_peak_memory() -> None:
    """Reset the peak of resident memory, if Linux allows it."""
    with suppress(OSError):
        PEAK_RESET.write_text("5")


def resident_bytes() -> int:
    """Return the current resident memory of this process, or the peak if only that is known."""
    return _status_bytes("VmRSS") or _peak_by_getrusage()


def peak_resident_bytes() -> int:
    """Return the peak resident memory since `reset_peak_memory` (or the start), with children.

    VmHWM rather than ru_maxrss, which a child inherits from its parent and nothing resets. The
    peaks of living child processes (joblib's) are added, though they need not have coincided.
    """
    own = _status_bytes("VmHWM") or _peak_by_getrusage()
    return own + sum(_status_bytes("VmHWM", pid) for pid in _descendants("self"))


def processor_seconds() -> float:
    """Processor time of this process and, on Linux, of its living children."""
    return process_time() + sum(map(_processor_seconds_of, _descendants("self")))


def _descendants(pid: str) -> list[str]:
    """Living children of a process, and theirs; empty where Linux does not list them."""
    found = []
    for path in Path("/proc", pid, "task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text().split():
                found += [child, *_descendants(child)]
    return found


def _processor_seconds_of(pid: str) -> float:
    """User and system time of another process, 0 if it is gone."""
    try:
        # The name of the program, in parentheses, may contain spaces.
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status_bytes(field: str, pid: str = "self") -> int:
    """Return a field of /proc/PID/status in bytes, 0 if it is missing."""
    try:
        lines = Path("/proc", pid, "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith(field + ":")), 0)


def _peak_by_getrusage() -> int:
    """Return ru_maxrss in bytes (macOS counts bytes, others KiB), 0 if it is unavailable."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
