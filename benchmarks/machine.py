"""Where a number was measured: processor, threads, BLAS, environment, memory. No paths."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
XLA_THREAD_VARIABLES = ("PJRT_NPROC", "NPROC")
RECORDED_VARIABLES = (
    *BLAS_OVERRIDES,
    *THREAD_VARIABLES,
    *XLA_THREAD_VARIABLES,
    "XLA_FLAGS",
    "FASTMLP_SIMD",
    "FASTMLP_NUM_THREADS",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "OMP_PROC_BIND",
    "OMP_WAIT_POLICY",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_XLA_FLAGS",
)
STATUS, PEAK_RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def describe() -> dict:
    """Processor, processors usable by this process, Python, system, load, environment.

    load_average: runnable processes over the last minute, this one included; None on Windows.
    """
    return {
        "processor": _processor(),
        "usable_processors": usable_processors(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "environment": {k: os.environ[k] for k in RECORDED_VARIABLES if k in os.environ},
    }


def _processor() -> str:
    """Model name, with family and model number where Linux tells them."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(
        (part.strip() for part in line.split(":", 1)) for line in text.splitlines() if ":" in line
    )
    name = facts.get("model name", platform.machine())
    if "cpu family" in facts:
        name += f" (family {facts['cpu family']}, model {facts['model']})"
    return name


def usable_processors() -> int:
    """Processors this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def child_environment(n_threads: int, as_found: bool) -> dict[str, str]:
    """This process's environment, with n_threads for every library that listens.

    Unless `as_found`, variables that pin OpenBLAS to kernels for another processor are removed.
    """
    environment = dict(os.environ)
    if not as_found:
        for name in BLAS_OVERRIDES:
            environment.pop(name, None)
    environment.update(dict.fromkeys((*THREAD_VARIABLES, *XLA_THREAD_VARIABLES), str(n_threads)))
    if n_threads == 1:
        flags = environment.get("XLA_FLAGS", "")
        environment["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    return environment


def blas_libraries() -> list[dict]:
    """BLAS and OpenMP libraries loaded now, with version, kernels and threads.

    Found by threadpoolctl, which sees shared libraries only: PyTorch's MKL and XLA's and
    TensorFlow's own products are inside their libraries. Empty without threadpoolctl.
    """
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    names = ("user_api", "prefix", "version", "architecture", "num_threads")
    return [{k: pool[k] for k in names if pool.get(k)} for pool in threadpool_info()]


def reset_peak_memory() -> None:
    """Let the peak of resident memory start again from now, where Linux allows it."""
    with suppress(OSError):
        PEAK_RESET.write_text("5")


def resident_bytes() -> int:
    """Resident memory of this process now; the peak so far where only that is known."""
    return _status_bytes("VmRSS") or _peak_by_getrusage()


def peak_resident_bytes() -> int:
    """Largest resident memory since the start or since `reset_peak_memory`.

    VmHWM rather than ru_maxrss, which a child inherits from its parent and nothing resets.
    """
    return _status_bytes("VmHWM") or _peak_by_getrusage()


def _status_bytes(field: str) -> int:
    """A field of /proc/self/status in bytes, 0 where there is none."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith(field + ":")), 0)


def _peak_by_getrusage() -> int:
    """ru_maxrss in bytes (macOS counts bytes, others KiB), 0 where there is no such call."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
