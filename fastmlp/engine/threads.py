"""Number of threads of a run, and which setting determined it."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastmlp._checks import check_integer, shown

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
MAX_THREADS = 256


@dataclass(frozen=True)
class ThreadCount:
    """A number of threads and its source: the argument, a variable, or the usable processors."""

    n_threads: int
    source: str


def cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the processors that the cgroup (v2 or v1) allows, rounded up; None without a limit."""
    try:
        if (root / "cpu.max").exists():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text()
            period = (root / "cpu/cpu.cfs_period_us").read_text()
        if quota == "max" or int(quota) <= 0:
            return None
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        return None


@functools.cache
def _quota_of_this_process() -> int | None:
    """Return the quota, read once: reading it takes longer than predicting a few rows."""
    return cgroup_quota()


def usable_processors() -> int:
    """Return the processors this process may use: affinity, and cgroup quota at the first call."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return min(count, _quota_of_this_process() or count)


def resolve_threads(
    n_threads: int | None = None, environ: Mapping[str, str] = os.environ
) -> ThreadCount:
    """Return the number of threads for a run.

    Parameters
    ----------
    n_threads : int or None
        At least 1; None means the value of the first of ``OPENBLAS_NUM_THREADS`` and
        ``OMP_NUM_THREADS`` that is a positive number, otherwise the number of usable processors.
    environ : mapping of str to str
        The environment variables; those of this process by default.

    Raises
    ------
    ValueError, TypeError
        If `n_threads` is neither None nor an integer from 1 to 256.
    """
    if not isinstance(environ, Mapping):
        raise TypeError(f"environ must be a mapping of str to str; got {shown(environ)}")
    if n_threads is not None:
        check_integer("n_threads", n_threads, minimum=1, maximum=MAX_THREADS)
        return ThreadCount(int(n_threads), "n_threads")
    for name in THREAD_VARIABLES:
        count = _count_in(environ.get(name, ""))
        if count:
            return ThreadCount(min(count, MAX_THREADS), name)
    return ThreadCount(min(usable_processors(), MAX_THREADS), "usable processors")


def _count_in(value: str) -> int:
    """Return the number of threads in a variable's value; 0 if it is not a positive number.

    OMP_NUM_THREADS may list one value per nesting level; the first one counts.
    """
    first = value.split(",")[0].strip()
    return int(first) if first.isdecimal() else 0


def ignored_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names of variables that are set to something other than a positive number."""
    return [n for n in THREAD_VARIABLES if environ.get(n) and not _count_in(environ[n])]
