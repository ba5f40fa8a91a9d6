"""The SIMD level that the environment variable FASTMLP_SIMD asks for."""

from __future__ import annotations

import os

from fastmlp.engine import _core
from fastmlp.exceptions import EnvironmentVariableError

VARIABLE = "FASTMLP_SIMD"

_ASKED_FOR = os.environ.get(VARIABLE) or ""
REFUSED = "" if _core.selected_level() == _ASKED_FOR else _ASKED_FOR
"""The variable's value, if the engine could not take it when it was loaded, but the best level."""


def check_level() -> None:
    """Raise an error if FASTMLP_SIMD has named no level that this processor can run.

    The engine is loaded with the package: an error there would be a traceback from every program,
    the command line included.

    Raises
    ------
    EnvironmentVariableError
        With what is allowed.
    """
    if REFUSED:
        try:
            _core.select_level(REFUSED, argument=VARIABLE)
        except ValueError as error:
            raise EnvironmentVariableError(str(error)) from None
