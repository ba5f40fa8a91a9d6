"""Images and surfaces in a result's JSON: one byte per value, compressed."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVELS = 255


def pack(values: ArrayLike, low: float, high: float) -> dict[str, Any]:
    """An array of any shape, cut at `low` and `high`, to 1/255 of that range.

    Returns
    -------
    dict
        ``shape``, ``low``, ``high`` and ``bytes`` (string), for `unpack`.
    """
    array = np.asarray(values, float)
    scaled = np.rint((np.clip(array, low, high) - low) / (high - low) * LEVELS).astype(np.uint8)
    text = base64.b85encode(zlib.compress(scaled.tobytes(), 9)).decode()
    return {"shape": list(array.shape), "low": low, "high": high, "bytes": text}


def unpack(packed: dict[str, Any]) -> NDArray[np.float64]:
    """The array that was packed, float64, to 1/510 of its range.

    Raises
    ------
    ValueError
        If the bytes are damaged, or do not fill the shape.
    """
    try:
        content = zlib.decompress(base64.b85decode(packed["bytes"]))
    except zlib.error as error:
        raise ValueError(f"bytes are damaged: {error}") from error
    low, high = packed["low"], packed["high"]
    scaled = np.frombuffer(content, np.uint8).reshape(packed["shape"])
    values: NDArray[np.float64] = low + scaled * ((high - low) / LEVELS)
    return values
