"""The recorded evaluations of a search by SciPy: its costs and gradients, in order.

SciPy's L-BFGS-B cannot be stopped and resumed. But it is deterministic: from the same starting
point and with the same costs and gradients it takes the same path, to the last bit. So a checkpoint
keeps them all, and a resumed search replays the recorded evaluations without computing them; the
points that SciPy evaluates are compared with those of the first time by a checksum.
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
"""Most bytes of gradients that are recorded."""


def checksum(point: NDArray[np.float64]) -> int:
    """Return 64 bits that identify a point."""
    return int.from_bytes(hashlib.sha256(point.tobytes()).digest()[:8], "little")


@dataclass
class Evaluations:
    """The evaluations of a search so far.

    Attributes
    ----------
    start : ndarray of shape (n_parameters,), float64
        The first point.
    recorded : list of (int, float, ndarray of shape (n_parameters,))
        Checksum of the point, cost, and gradient in the network's dtype.
    """

    start: NDArray[np.float64]
    recorded: list[tuple[int, float, Array]] = field(default_factory=list)

    @property
    def n_bytes(self) -> int:
        """Total bytes of stored gradients."""
        return sum(gradient.nbytes for _, _, gradient in self.recorded[-1:]) * len(self.recorded)

    def add(self, point: NDArray[np.float64], cost: float, gradient: Array) -> None:
        """Record an evaluation."""
        self.recorded.append((checksum(point), cost, gradient.copy()))

    def __iter__(self) -> Iterator[tuple[int, float, Array]]:
        return iter(list(self.recorded))

    def describe(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Fields and arrays of a checkpoint."""
        recorded = list(self.recorded)
        gradients = [gradient for _, _, gradient in recorded]
        return {"n_evaluations": len(recorded)}, {
            "evaluations.start": self.start,
            "evaluations.points": np.array([point for point, _, _ in recorded], np.uint64),
            "evaluations.costs": np.array([cost for _, cost, _ in recorded], np.float64),
            "evaluations.gradients": np.array(gradients).reshape(len(recorded), len(self.start)),
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
