"""Learning-rate rules by name: the rate of epoch e, counted from 0, from rate eta0 and decay d.

===============  ==========================================================================
``cumulative``   eta_e = eta_(e-1) / (1 + d e), i.e. eta0 / prod_(k=0..e) (1 + d k) (articles)
``power``        eta_e = eta0 / (1 + d e)
``exponential``  eta_e = eta0 exp(-d e)
``constant``     eta_e = eta0
===============  ==========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float, float, int], float]
"""``(eta0, decay, epoch) -> eta``; decay >= 0."""


def cumulative(eta0: float, decay: float, epoch: int) -> float:
    """eta0 / prod_(k=0..epoch) (1 + decay k): the articles divide the already divided rate."""
    eta = eta0
    for k in range(epoch + 1):
        eta /= 1.0 + decay * k
    return eta


def power(eta0: float, decay: float, epoch: int) -> float:
    """eta0 / (1 + decay epoch)."""
    return eta0 / (1.0 + decay * epoch)


def exponential(eta0: float, decay: float, epoch: int) -> float:
    """eta0 exp(-decay epoch)."""
    return eta0 * math.exp(-decay * epoch)


def constant(eta0: float, decay: float, epoch: int) -> float:
    """eta0, whatever the decay."""
    return eta0


SCHEDULES: dict[str, Schedule] = {
    "cumulative": cumulative,
    "power": power,
    "exponential": exponential,
    "constant": constant,
}
