"""Lowest and highest values of regression targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_iterable, check_number, shown

Floats = NDArray[np.float64]


def read_bounds(bounds: Any) -> tuple[float, float]:
    """Return the lowest and the highest allowed value; infinity for none.

    Parameters
    ----------
    bounds : (float or None, float or None) or None

    Raises
    ------
    ValueError, TypeError
        Naming `bounds`.
    """
    if bounds is None:
        return -np.inf, np.inf
    pair = check_iterable("bounds", bounds, "two numbers, or None for no bound")
    if len(pair) != 2:
        raise ValueError(f"bounds must be a pair (lowest, highest); got {shown(bounds)}")
    low, high = (
        unbounded if value is None else check_number(f"bounds[{i}]", value, minimum=-np.inf)
        for i, (value, unbounded) in enumerate(zip(pair, (-np.inf, np.inf), strict=True))
    )
    if low >= high:
        raise ValueError(f"bounds must increase; got {shown(bounds)}")
    return low, high


def check_within(name: str, columns: NDArray[Any], bounds: Any) -> None:
    """Raise ValueError if a target (n, n_targets) called `name` is outside the bounds."""
    low, high = read_bounds(bounds)
    lowest, highest = columns.min(), columns.max()
    for word, limit, inside in (("least", low, lowest >= low), ("most", high, highest <= high)):
        if not inside:
            raise ValueError(
                f"{name} must be at {word} {limit:g}, as bounds={shown(bounds)} has it; got values "
                f"from {lowest:g} to {highest:g}"
            )


def bounded_output(bounds: Any) -> tuple[str, float, int]:
    """Return the output function f, and a and s of the prediction ``a + s c f(z)``, for some c > 0.

    With two bounds f is the sigmoid, a the lower one and c their distance; with one it is the
    exponential function, a the bound, and s the side of it.
    """
    low, high = read_bounds(bounds)
    if np.isfinite(low) and np.isfinite(high):
        return "sigmoid", low, 1
    return ("exponential", low, 1) if np.isfinite(low) else ("exponential", high, -1)
