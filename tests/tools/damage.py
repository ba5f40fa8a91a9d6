"""Files that are damaged one place at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fastmlp.files import atomic

BITS = tuple(1 << bit for bit in range(8))

BITS_OF_A_BYTE = [1, pytest.param(8, marks=pytest.mark.soak)]
"""How many bits of each byte are flipped, one by one: the soak flips them all."""


def damaged_in_place(
    path: Path, flips: Sequence[int] = BITS, end: int | None = None, n_flips: int | None = None
) -> Iterator[tuple[int, int]]:
    """Damage the file in one byte, yield (position, flip), mend it, and go on with the next.

    Every byte up to `end` is changed by exclusive or with `n_flips` of `flips` (all, without it),
    which are other ones in the next byte, and in the next word of eight.
    """
    content = path.read_bytes()[:end]
    with open(path, "r+b", buffering=0) as file:
        for position, byte in enumerate(content):
            first = position + position // 8
            for number in range(len(flips) if n_flips is None else n_flips):
                flip = flips[(first + number) % len(flips)]
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
