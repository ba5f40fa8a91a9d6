"""What an optimizer from outside has been told: the costs and gradients of a search, in order.

SciPy's L-BFGS-B cannot be stopped and taken up again. But it is deterministic: begun at the same
point and told the same costs and gradients it goes the same way, to the last bit. So a checkpoint
keeps them all, and a resumed search hears them again without computing them; the points that it
asks for are compared with those of the first time by a checksum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Arrays, Fields

MAX_BYTES = 1 << 29
"""Most bytes of gradients that are remembered."""


def checksum(point: NDArray[np.float64]) -> int:
    """64 bits of a point."""
    return int.from_bytes(hashlib.sha256(point.tobytes()).digest()[:8], "little")


@dataclass
class Evaluations:
    """The evaluations of a search so far.

    Attributes
    ----------
    start : ndarray of shape (n_parameters,), float64
        The first point.
    told : list of (int, float, ndarray of shape (n_parameters,))
        Checksum of the point, cost, and gradient in the network's dtype.
    """

    start: NDArray[np.float64]
    told: list[tuple[int, float, Array]] = field(default_factory=list)

    @property
    def n_bytes(self) -> int:
        """Of the gradients."""
        return sum(gradient.nbytes for _, _, gradient in self.told[-1:]) * len(self.told)

    def add(self, point: NDArray[np.float64], cost: float, gradient: Array) -> None:
        """Remember an evaluation."""
        self.told.append((checksum(point), cost, gradient.copy()))

    def __iter__(self) -> Iterator[tuple[int, float, Array]]:
        return iter(list(self.told))

    def describe(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Fields and arrays of a checkpoint."""
        told = list(self.told)
        gradients = [gradient for _, _, gradient in told]
        return {"n_evaluations": len(told)}, {
            "evaluations.start": self.start,
            "evaluations.points": np.array([point for point, _, _ in told], np.uint64),
            "evaluations.costs": np.array([cost for _, cost, _ in told], np.float64),
            "evaluations.gradients": np.array(gradients).reshape(len(told), len(self.start)),
        }

    @classmethod
    def restore(
        cls, fields: Fields, arrays: Arrays, n_parameters: int, dtype: np.dtype[Any]
    ) -> Evaluations:
        """The inverse of `describe`."""
        n = fields.count("n_evaluations")
        fields.end()
        if n == 0:
            dtype = np.dtype(np.float64)
        start = arrays.take("evaluations.start", np.dtype(np.float64), (n_parameters,))
        points = arrays.take("evaluations.points", np.dtype(np.uint64), (n,))
        costs = arrays.take("evaluations.costs", np.dtype(np.float64), (n,), finite=False)
        gradients = arrays.take("evaluations.gradients", dtype, (n, n_parameters), finite=False)
        if n > 0 and not (np.isfinite(costs[0]) and np.isfinite(gradients[0]).all()):
            raise ModelFormatError("the first cost and gradient must be finite")
        return cls(start, list(zip(points.tolist(), costs.tolist(), gradients, strict=True)))
