"""Learning-rate schedules by name: the rate of epoch e = 0 … E - 1, given eta0 and decay d.

===============  ==========================================================================
``cumulative``   eta_e = eta_(e-1) / (1 + d e), i.e. eta0 / prod_(k=0..e) (1 + d k) (articles)
``power``        eta_e = eta0 / (1 + d e)
``exponential``  eta_e = eta0 exp(-d e)
``constant``     eta_e = eta0
``cosine``       eta_e = eta0 (1 + cos(pi e / E)) / 2
``one_cycle``    from eta0 / 25 up to eta0 in the first 30 % of the epochs, then down to
                 eta0 / 250,000, each along half a cosine wave
===============  ==========================================================================

The last two depend on E; after epoch E their rate stays constant. Sources: I. Loshchilov and
F. Hutter, "SGDR: Stochastic gradient descent with warm restarts" (2017), without restarts;
L. N. Smith and N. Topin, "Super-convergence" (2018), with PyTorch's numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol

ONE_CYCLE_RISE = 0.3
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1 / 250_000


class Schedule(Protocol):
    """``(eta0, decay, epoch, n_epochs) -> eta``; decay >= 0."""

    def __call__(self, eta0: float, decay: float, epoch: int, n_epochs: int = 1, /) -> float:
        """Return the learning rate of `epoch`, counted from 0."""


def cumulative(eta0: float, decay: float, epoch: int, n_epochs: int = 1) -> float:
    """Return eta0 / prod_(k=0..epoch) (1 + decay k); the articles divide the previous rate."""
    eta = eta0
    for k in range(epoch + 1):
        eta /= 1.0 + decay * k
    return eta


def power(eta0: float, decay: float, epoch: int, n_epochs: int = 1) -> float:
    """Return eta0 / (1 + decay epoch)."""
    return eta0 / (1.0 + decay * epoch)


def exponential(eta0: float, decay: float, epoch: int, n_epochs: int = 1) -> float:
    """Return eta0 exp(-decay epoch)."""
    return eta0 * math.exp(-decay * epoch)


def constant(eta0: float, decay: float, epoch: int, n_epochs: int = 1) -> float:
    """Return eta0; the decay is not used."""
    return eta0


def cosine(eta0: float, decay: float, epoch: int, n_epochs: int = 1) -> float:
    """Return eta0 (1 + cos(pi epoch / n_epochs)) / 2; the decay is not used."""
    return _half_cosine(eta0, 0.0, epoch / n_epochs)


def one_cycle(eta0: float, decay: float, epoch: int, n_epochs: int = 1) -> float:
    """Return a rate that rises to eta0 and falls to nearly zero; the decay is not used."""
    rise = ONE_CYCLE_RISE * (n_epochs - 1)
    if epoch < rise:
        return _half_cosine(eta0 * ONE_CYCLE_START, eta0, epoch / rise)
    fall = max(n_epochs - 1 - rise, 1.0)
    return _half_cosine(eta0, eta0 * ONE_CYCLE_END, (epoch - rise) / fall)


def _half_cosine(begin: float, end: float, fraction: float) -> float:
    """Interpolate from `begin` at fraction 0 to `end` at 1; constant beyond, flat at both ends."""
    return end + (begin - end) * (1.0 + math.cos(math.pi * min(fraction, 1.0))) / 2.0


def warmed_up(eta: float, warmup: int, epoch: int) -> float:
    """Return `eta` times (epoch + 1) / (warmup + 1) in the first `warmup` epochs, `eta` after."""
    return eta * (epoch + 1) / (warmup + 1) if epoch < warmup else eta


SCHEDULES: dict[str, Schedule] = {
    "cumulative": cumulative,
    "power": power,
    "exponential": exponential,
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
}


RateRule = Callable[[float, int, int], float]
"""``(eta0, epoch, n_epochs) -> eta``: a schedule together with its decay and warm-up."""


def rate_rule(schedule: str, decay: float, warmup: int) -> RateRule | None:
    """Return the rate rule of a schedule with warm-up; None if the rate is always eta0."""
    if schedule == "constant" and warmup == 0:
        return None
    return partial(_scheduled_rate, SCHEDULES[schedule], decay, warmup)


def _scheduled_rate(
    rule: Schedule, decay: float, warmup: int, eta0: float, epoch: int, n_epochs: int
) -> float:
    return warmed_up(rule(eta0, decay, epoch, n_epochs), warmup, epoch)
