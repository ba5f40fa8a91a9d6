"""Devices, threads and memory of TensorFlow: queries and settings."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastmlp._checks import check_flag, check_integer
from fastmlp.cnn.backend import import_tensorflow

ENVIRONMENT = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "CUDA_VISIBLE_DEVICES",
    "KERAS_BACKEND",
)
"""Variables that decide where and how fast TensorFlow computes."""


@dataclass(frozen=True)
class Device:
    """A processor or graphics card that TensorFlow can use.

    Attributes
    ----------
    name : str
        "cpu:0", "gpu:0" and so on, as `choose_device` takes it.
    type : {"CPU", "GPU"}
    memory_bytes : int or None
        None if it is unknown.
    description : str
        The manufacturer's name of the device, if known.
    """

    name: str
    type: str
    memory_bytes: int | None
    description: str

    def __str__(self) -> str:
        memory = "" if self.memory_bytes is None else f", {self.memory_bytes / 2**30:.1f} GiB"
        return f"{self.name}: {self.description}{memory}"


def devices() -> list[Device]:
    """All processors and graphics cards that TensorFlow can use, the processors first."""
    tf = import_tensorflow()
    found = []
    for device_type in ("CPU", "GPU"):
        for i, device in enumerate(tf.config.list_physical_devices(device_type)):
            details = tf.config.experimental.get_device_details(device) or {}
            found.append(
                Device(
                    f"{device_type.lower()}:{i}",
                    device_type,
                    _memory_bytes(device_type, i),
                    str(details.get("device_name", _description(device_type))),
                )
            )
    return found


def choose_device(device: str = "auto") -> str:
    """TensorFlow's name of a device.

    Parameters
    ----------
    device : {"auto", "cpu", "gpu", "gpu:0", ...}
        "auto" is the first graphics card that TensorFlow sees, or the processor.

    Returns
    -------
    str
        For example "/CPU:0".

    Raises
    ------
    ValueError
        For another text, or a graphics card that is not there.
    """
    if not isinstance(device, str) or not re.fullmatch(r"auto|cpu(:0)?|gpu(:\d+)?", device):
        raise ValueError(f"device must be 'auto', 'cpu', 'gpu' or 'gpu:0'; got {device!r}")
    if device.startswith("cpu"):
        return "/CPU:0"
    n_gpus = len(import_tensorflow().config.list_physical_devices("GPU"))
    if device == "auto":
        return "/GPU:0" if n_gpus else "/CPU:0"
    number = int(device.partition(":")[2] or 0)
    if number >= n_gpus:
        seen = f"it sees {n_gpus}" if n_gpus else "it sees none"
        raise ValueError(
            f"device {device!r} needs {number + 1} graphics card(s) that TensorFlow can use, and "
            f"{seen}; the package tensorflow-cpu and a driver that is missing or does not fit have "
            "this effect. device='cpu' runs on the processor, 'auto' takes what there is"
        )
    return f"/GPU:{number}"


def configure(
    *,
    intra_threads: int | None = None,
    inter_threads: int | None = None,
    memory_growth: bool = False,
    memory_limit_mb: int | None = None,
    log_placement: bool = False,
) -> None:
    """Set threads and memory of TensorFlow for this process, before its first computation.

    Parameters
    ----------
    intra_threads, inter_threads : int >= 1 or None
        Threads within one operation, and operations at a time; None leaves TensorFlow's choice.
    memory_growth : bool
        Take a graphics card's memory as it is needed, not all at once.
    memory_limit_mb : int >= 1 or None
        Take at most this much of every graphics card, in MiB; excludes `memory_growth`.
    log_placement : bool
        Print the device of every operation.

    Raises
    ------
    RuntimeError
        If TensorFlow has already computed something.
    """
    tf = import_tensorflow()
    growth = check_flag("memory_growth", memory_growth)
    if growth and memory_limit_mb is not None:
        raise ValueError("memory_growth and memory_limit_mb exclude each other; got both")
    try:
        if intra_threads is not None:
            n = check_integer("intra_threads", intra_threads, minimum=1)
            tf.config.threading.set_intra_op_parallelism_threads(n)
        if inter_threads is not None:
            n = check_integer("inter_threads", inter_threads, minimum=1)
            tf.config.threading.set_inter_op_parallelism_threads(n)
        for gpu in tf.config.list_physical_devices("GPU"):
            _set_memory(tf, gpu, growth, memory_limit_mb)
    except RuntimeError as error:
        raise RuntimeError(
            "threads and memory must be set before TensorFlow computes anything in this process: "
            "call fastmlp.cnn.configure(...) first, or start Python again"
        ) from error
    tf.debugging.set_log_device_placement(check_flag("log_placement", log_placement))


def _set_memory(tf: Any, gpu: Any, growth: bool, limit_mb: int | None) -> None:
    if limit_mb is None:
        tf.config.experimental.set_memory_growth(gpu, growth)
        return
    limit = check_integer("memory_limit_mb", limit_mb, minimum=1)
    tf.config.set_logical_device_configuration(
        gpu, [tf.config.LogicalDeviceConfiguration(memory_limit=limit)]
    )


def report(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Versions, devices, threads and variables, ready for JSON; variables not set are None."""
    tf = import_tensorflow()
    return {
        "tensorflow": tf.__version__,
        "keras": tf.keras.__version__,
        "devices": [str(device) for device in devices()],
        "intra_threads": tf.config.threading.get_intra_op_parallelism_threads() or "automatic",
        "inter_threads": tf.config.threading.get_inter_op_parallelism_threads() or "automatic",
        "built_with_cuda": tf.test.is_built_with_cuda(),
        "variables": {name: environ.get(name) for name in ENVIRONMENT},
    }


def _description(device_type: str) -> str:
    if device_type != "CPU":
        return device_type
    from fastmlp.engine.environment import processor_name

    return processor_name()


def _memory_bytes(device_type: str, number: int) -> int | None:
    """Return the memory of the machine or of the graphics card; None if it is unknown."""
    if device_type == "GPU":
        return _card_memory(number)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _card_memory(number: int) -> int | None:
    """Return the memory of a card from its driver; TensorFlow would have to allocate it first."""
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        failed = (
            driver.cuInit(0)
            or driver.cuDeviceGet(ctypes.byref(device), number)
            or driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
        )
    except (OSError, AttributeError):
        return None
    return None if failed else memory.value
