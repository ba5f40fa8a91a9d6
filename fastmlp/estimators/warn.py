"""Warnings of the estimators, which name the line of the user's that led to them."""

from __future__ import annotations

import sys
import warnings

PACKAGES = ("fastmlp", "sklearn", "joblib")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line that is neither of this package nor of scikit-learn and joblib.

    Frames are looked at because their number is not known: scikit-learn's decorators and
    meta-estimators come between a fit and its caller.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in PACKAGES:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
