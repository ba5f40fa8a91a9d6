"""Types that signatures of the whole package use."""

from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
"""An array of float32 or float64."""

RandomState = int | np.random.Generator | None
"""A seed, a generator, or None for one that the system seeds."""

StrPath = str | bytes | PathLike[str] | PathLike[bytes]
"""A path; an integer is none, because the system would take it for an open file."""
