"""Devices, threads and memory of the library under Keras: queries and settings."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from fastmlp._checks import check_flag, check_integer, check_number
from fastmlp.cnn.backend import choose_backend, import_keras, library
from fastmlp.cnn.cards import Card, DriverError, card_in_machine, driver_cards

if TYPE_CHECKING:
    from fastmlp.cnn.backends.protocol import Library

ENVIRONMENT = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
    "XLA_PYTHON_CLIENT_MEM_FRACTION",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "KERAS_BACKEND",
)
"""Variables that decide where and how fast the library computes."""

NO_CARD = "this machine has no graphics card of NVIDIA's"


@dataclass(frozen=True)
class Device:
    """A processor or graphics card that the library under Keras can use.

    Attributes
    ----------
    name : str
        "cpu:0", "gpu:0" and so on, as `choose_device` takes it.
    type : {"CPU", "GPU"}
    memory_bytes : int or None
        None if it is unknown.
    description : str
        The manufacturer's name of the device, if known.
    capability : (int, int) or None
        A graphics card's compute capability, if known: (5, 2) for a GTX 960.
    """

    name: str
    type: str
    memory_bytes: int | None
    description: str
    capability: tuple[int, int] | None = None

    def __str__(self) -> str:
        memory = "" if self.memory_bytes is None else f", {self.memory_bytes / 2**30:.1f} GiB"
        return f"{self.name}: {self.description}{memory}"


def devices() -> list[Device]:
    """All processors and graphics cards that the library can use, the processor first."""
    found = library()
    names = found.cards()
    known = _matched(found, len(names))
    return [
        Device("cpu:0", "CPU", _memory_of_machine(), _processor_name()),
        *(
            _card_device(f"gpu:{i}", name, card)
            for i, (name, card) in enumerate(zip(names, known, strict=True))
        ),
    ]


def _card_device(name: str, description: str, card: Card | None) -> Device:
    if card is None:
        return Device(name, "GPU", None, description or "graphics card")
    return Device(name, "GPU", card.memory_bytes, description or card.name, card.capability)


def choose_device(device: str = "auto") -> str:
    """Return the name of a device that is there.

    Parameters
    ----------
    device : {"auto", "cpu", "gpu", "gpu:0", ...}
        "auto" is the first graphics card that the library sees, or the processor.

    Returns
    -------
    str
        "cpu:0", "gpu:0" and so on.

    Raises
    ------
    ValueError
        For another text, or a graphics card that is not there.
    """
    if not isinstance(device, str) or not re.fullmatch(r"auto|cpu(:0)?|gpu(:\d+)?", device):
        raise ValueError(f"device must be 'auto', 'cpu', 'gpu' or 'gpu:0'; got {device!r}")
    found = library()
    if device.startswith("cpu"):
        return "cpu:0"
    n_cards = len(found.cards())
    if device == "auto":
        return "gpu:0" if n_cards else "cpu:0"
    number = int(device.partition(":")[2] or 0)
    if number >= n_cards:
        seen = f"it sees {n_cards}" if n_cards else f"it sees none: {why_no_card()}"
        raise ValueError(
            f"device {device!r} needs {number + 1} graphics card(s) that {found.TITLE} can use, "
            f"and {seen}. device='cpu' runs on the processor, 'auto' takes what there is"
        )
    return f"gpu:{number}"


def model_device(device: str = "auto") -> str:
    """Return the name of the device for a new model; raises what `choose_device` raises.

    Other than there, "auto" is the device on which the library computes at this point: within
    ``tf.device`` or ``keras.device`` that of the scope. Asking for it begins to compute, so
    `configure` comes before.
    """
    name = choose_device(device)
    return library().current_device() if device == "auto" else name


def fits_on_card(device: str, n_bytes: int) -> bool:
    """Whether `device` is a graphics card, and `n_bytes` a quarter of its memory at most.

    Where the memory is not known, it is taken for 4 GiB.
    """
    if device.startswith("cpu"):
        return False
    card = next(found for found in devices() if found.name == device)
    return n_bytes <= (card.memory_bytes or 4 << 30) / 4


def why_no_card() -> str:
    """Why the library sees no graphics card, in a sentence; "" if it sees one.

    The words of the library itself are only asked for where a card and a driver are there and the
    library was built for cards: that may take seconds.
    """
    found = library()
    return "" if found.cards() else _reason(found)


def _reason(found: Library) -> str:
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1"):
        return f"CUDA_VISIBLE_DEVICES is {hidden!r}, which hides all cards"
    try:
        cards = driver_cards()
    except DriverError as error:
        return str(error) if card_in_machine() else NO_CARD
    if not cards:
        shown = "" if hidden is None else f" (CUDA_VISIBLE_DEVICES is {hidden!r})"
        return f"NVIDIA's driver lists no card{shown}" if card_in_machine() else NO_CARD
    if not found.is_built_for_cards():
        return f"this {found.TITLE} was built without support of graphics cards: {found.FOR_CARDS}"
    if all(card.capability < found.LEAST_CAPABILITY for card in cards):
        first, (major, minor) = cards[0], found.LEAST_CAPABILITY
        return (
            f"{first.name} has compute capability {first.capability[0]}.{first.capability[1]}, and "
            f"{found.TITLE} needs {major}.{minor} or newer"
        )
    return f"{found.TITLE} says: {_words(found.TITLE) or 'nothing'}"


@cache
def _words(title: str) -> str:
    """The words of the library with this title; they do not change while it is loaded."""
    return library().words_about_cards()


def configure(
    *,
    intra_threads: int | None = None,
    inter_threads: int | None = None,
    memory_growth: bool | None = None,
    memory_limit_mb: int | None = None,
    memory_share: float | None = None,
    tf32: bool | None = None,
    deterministic: bool | None = None,
    log_placement: bool | None = None,
) -> None:
    """Set threads, memory and arithmetic of the library for this process.

    Threads and memory must be set before its first computation. What is None stays as it is, so
    that a second call keeps the settings of the first.

    Parameters
    ----------
    intra_threads, inter_threads : int >= 1 or None
        Threads within one operation, and operations at a time; not for JAX.
    memory_growth : bool or None
        Take a graphics card's memory as it is needed, not all at once.
    memory_limit_mb : int >= 1 or None
        Take at most this much of every graphics card, in MiB; not for JAX.
    memory_share : float in (0, 1] or None
        Take at most this share of every graphics card's memory; the articles have 0.35. Only one of
        the three settings of memory can be given.
    tf32 : bool or None
        Let graphics cards round the factors of float32 products to 10 bits (TF32), on cards that
        can; None leaves the library's own choice.
    deterministic : bool or None
        Use only algorithms that give the same bits in every run on the same device, at the price of
        speed.
    log_placement : bool or None
        Print the device of every operation; TensorFlow only.

    Raises
    ------
    RuntimeError
        If the library has already computed something.
    ValueError
        For settings that exclude each other, that an earlier call excludes, or that the library
        does not have.
    """
    found = library()
    _check_memory(memory_growth, memory_limit_mb, memory_share)
    within, between = (
        None if n is None else check_integer(name, n, minimum=1)
        for name, n in (("intra_threads", intra_threads), ("inter_threads", inter_threads))
    )
    flags = {"tf32": tf32, "deterministic": deterministic, "log_placement": log_placement}
    given = {name: check_flag(name, flag) for name, flag in flags.items() if flag is not None}
    try:
        found.set_threads(within, between)
        if memory_growth is not None:
            found.set_growth(memory_growth)
        if memory_limit_mb is not None or memory_share is not None:
            found.set_memory_limits(_limits(found, memory_limit_mb, memory_share), memory_share)
        if "deterministic" in given:
            found.set_deterministic(given["deterministic"])
    except RuntimeError as error:
        raise RuntimeError(
            f"threads and memory must be set before {found.TITLE} computes anything in this "
            "process: call fastmlp.cnn.configure(...) first, or start Python again"
        ) from error
    if "tf32" in given:
        found.set_tf32(given["tf32"])
    if "log_placement" in given:
        found.log_placement(given["log_placement"])


def _check_memory(growth: bool | None, limit_mb: int | None, share: float | None) -> None:
    if growth is not None:
        check_flag("memory_growth", growth)
    if limit_mb is not None:
        check_integer("memory_limit_mb", limit_mb, minimum=1)
    if share is not None and check_number("memory_share", share, maximum=1.0) == 0:
        raise ValueError("memory_share must be above 0; got 0")
    given = {"memory_growth": growth or None, "memory_limit_mb": limit_mb, "memory_share": share}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ValueError(f"{' and '.join(names)} exclude each other; got both")


def _limits(found: Library, limit_mb: int | None, share: float | None) -> list[int]:
    """MiB of each card; JAX, which begins to compute when it counts cards, needs none."""
    if choose_backend() == "jax":
        return []
    n_cards = len(found.cards())
    if limit_mb is not None:
        return [limit_mb] * n_cards
    assert share is not None
    known = _matched(found, n_cards)
    if None in known:
        raise ValueError(
            "memory_share needs to know how much memory a card has, and NVIDIA's driver does not "
            "say it here; memory_limit_mb takes a number of MiB"
        )
    return [max(1, int(share * card.memory_bytes / 2**20)) for card in known if card is not None]


def _matched(found: Library, n_cards: int) -> list[Card | None]:
    """The driver's cards that belong to the library's, or None where that is not known."""
    try:
        cards = [c for c in driver_cards() if c.capability >= found.LEAST_CAPABILITY]
    except DriverError:
        cards = []
    return list(cards) if len(cards) == n_cards else [None] * n_cards


def report(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Versions, devices, threads and variables, ready for JSON; variables not set are None."""
    found, name = library(), choose_backend()
    within, between = found.threads()
    return {
        "backend": name,
        name: found.version(),
        "keras": import_keras().__version__,
        "devices": [str(device) for device in devices()],
        "no_card": why_no_card() or None,
        "intra_threads": within or "automatic",
        "inter_threads": between or "automatic",
        "built_with_cuda": found.is_built_for_cards(),
        "variables": {name: environ.get(name) for name in ENVIRONMENT},
    }


def _processor_name() -> str:
    from fastmlp.engine.environment import processor_name

    return processor_name()


def _memory_of_machine() -> int | None:
    """Bytes; None if it is unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
