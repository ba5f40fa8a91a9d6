"""Files that are damaged one place at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastmlp.files import atomic

BITS = tuple(1 << bit for bit in range(8))


def damaged_in_place(
    path: Path, flips: Iterable[int] = BITS, end: int | None = None
) -> Iterator[tuple[int, int]]:
    """Damage the file in one byte, yield (position, flip), mend it, and go on with the next.

    Every byte up to `end` is changed by exclusive or with every one of `flips`.
    """
    content = path.read_bytes()[:end]
    with open(path, "r+b", buffering=0) as file:
        for position, byte in enumerate(content):
            for flip in flips:
                os.pwrite(file.fileno(), bytes([byte ^ flip]), position)
                yield position, flip
            os.pwrite(file.fileno(), bytes([byte]), position)


def fail_in(monkeypatch, step, code, *, after=0):
    """Make a call of the system fail, after it has succeeded some times."""
    real, calls = getattr(os, step), []

    def failing(*args):
        calls.append(args)
        if len(calls) > after:
            raise OSError(code, os.strerror(code))
        return real(*args)

    monkeypatch.setattr(atomic.os, step, failing)
