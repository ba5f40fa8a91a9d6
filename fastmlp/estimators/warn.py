"""Warnings of the estimators, attributed to the line in the user's code that caused them."""

from __future__ import annotations

import sys
import warnings

from sklearn.exceptions import ConvergenceWarning

from fastmlp._links import help_page
from fastmlp.exceptions import LinearModelWarning, UnscaledInputWarning

EXPLAINED = (ConvergenceWarning, LinearModelWarning, UnscaledInputWarning)
"""Categories whose cause and cure take more than a sentence."""

PACKAGES = ("fastmlp", "sklearn", "joblib")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line outside this package, scikit-learn and joblib.

    The stack is searched because a fixed stack level would not work: scikit-learn's decorators and
    meta-estimators come between a fit and its caller.
    """
    if category in EXPLAINED:
        message = f"{message.rstrip('.')}. What helps: {help_page(category.__name__)}"
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in PACKAGES:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
