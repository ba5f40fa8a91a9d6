"""Checks of declared sizes, shared by IDX and npz files."""

from __future__ import annotations

import math

import pytest

from fastmlp.datasets.untrusted import MAX_ARRAY_BYTES, check_cap, check_ratio, check_shape
from fastmlp.exceptions import DataFormatError

MIB = 1 << 20


def test_check_shape_names_the_axis_and_what_it_found() -> None:
    check_shape((1, 2**32), "here")
    with pytest.raises(DataFormatError, match=r"^here: .* along axis 1, found -3$"):
        check_shape((5, -3), "here")
    with pytest.raises(DataFormatError, match=r"along axis 0, found a number beyond 64 bits"):
        check_shape((2**20_000,), "here")


def test_check_ratio_lets_a_hundredfold_and_a_mebibyte_pass() -> None:
    check_ratio(100 * 5000 + MIB, 5000, "here")
    with pytest.raises(DataFormatError, match=r"^here: refused as a decompression bomb"):
        check_ratio(100 * 5000 + MIB + 1, 5000, "here")


def test_check_cap_applies_to_any_compression() -> None:
    check_cap(MAX_ARRAY_BYTES, "here")
    with pytest.raises(DataFormatError, match=r"^here: refused: declares \d+ bytes"):
        check_ratio(math.prod((2**16, 2**17)), 2**33, "here")
