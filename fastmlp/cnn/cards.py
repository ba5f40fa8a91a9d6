"""NVIDIA's graphics cards as the machine and the driver see them, whatever library computes."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

SUCCESS, NO_DEVICE, OLD_DRIVER = 0, 100, 803
"""Results of the driver's functions (CUresult)."""

CAPABILITY = (75, 76)
"""Numbers of the attributes with the compute capability, before and after the point."""

NVIDIA = "0x10de"
DISPLAYS = ("0x0300", "0x0302")
"""Classes of PCI devices: graphics cards with and without a connector."""

PLACES = ("dev/nvidia0", "dev/nvidiactl", "usr/lib/wsl/lib/nvidia-smi")
"""What containers, and Linux in Windows, have of a card."""


@dataclass(frozen=True)
class Card:
    """A card that the driver lists.

    Attributes
    ----------
    name : str
    memory_bytes : int
    capability : (int, int)
        Compute capability: (5, 2) for a GTX 960.
    """

    name: str
    memory_bytes: int
    capability: tuple[int, int]


class DriverError(Exception):
    """The driver is missing or does not work; the text says why."""


def driver_cards() -> list[Card]:
    """Cards in the driver's order, without those that CUDA_VISIBLE_DEVICES hides.

    Raises
    ------
    DriverError
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise DriverError(f"NVIDIA's driver is not installed ({error})") from error
    result = driver.cuInit(0)
    if result == NO_DEVICE:
        return []
    if result == OLD_DRIVER:
        raise DriverError(
            "the kernel module of NVIDIA's driver has another version than its library (CUDA error "
            "803): start the machine again"
        )
    count = ctypes.c_int()
    if result != SUCCESS or driver.cuDeviceGetCount(ctypes.byref(count)) != SUCCESS:
        raise DriverError(f"NVIDIA's driver does not start (CUDA error {result}); see nvidia-smi")
    return [_card(driver, number) for number in range(count.value)]


def _card(driver: ctypes.CDLL, number: int) -> Card:
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    name, parts = ctypes.create_string_buffer(256), (ctypes.c_int(), ctypes.c_int())
    results = [
        driver.cuDeviceGet(ctypes.byref(device), number),
        driver.cuDeviceGetName(name, len(name), device),
        driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device),
        *(
            driver.cuDeviceGetAttribute(ctypes.byref(part), attribute, device)
            for part, attribute in zip(parts, CAPABILITY, strict=True)
        ),
    ]
    if any(result != SUCCESS for result in results):
        raise DriverError(f"NVIDIA's driver does not describe card {number}; see nvidia-smi")
    major, minor = (part.value for part in parts)
    return Card(name.value.decode(errors="replace"), memory.value, (major, minor))


def card_in_machine(root: Path = Path("/")) -> bool:
    """Whether the machine has a card of NVIDIA's, with a working driver or without.

    `root` is for tests.
    """
    if any((root / place).exists() for place in PLACES):
        return True
    for device in (root / "sys" / "bus" / "pci" / "devices").glob("*"):
        try:
            vendor, kind = ((device / name).read_text() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor.strip() == NVIDIA and kind.startswith(DISPLAYS):
            return True
    return False
