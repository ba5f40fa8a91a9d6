"""Who computes the matrix products: the package's own kernels or BLAS."""

from __future__ import annotations

import os
from collections.abc import Mapping

from fastmlp._checks import check_choice
from fastmlp.exceptions import EnvironmentVariableError

PRODUCTS = ("auto", "blas", "own")
"""What was measured to be faster, which today is "own" for every layer, or one by name."""

PRODUCTS_VARIABLE = "FASTMLP_PRODUCTS"


def resolve_products(products: str = "auto", environ: Mapping[str, str] = os.environ) -> str:
    """Return who computes the products of a run: the argument, or for "auto" the variable.

    Parameters
    ----------
    products : {"auto", "blas", "own"}
    environ : mapping of str to str
        Where ``FASTMLP_PRODUCTS`` is read; not set or empty, it means "auto".

    Returns
    -------
    str

    Raises
    ------
    ValueError
        Naming the argument.
    EnvironmentVariableError
        Naming the variable.
    """
    check_choice("products", products, PRODUCTS)
    if products != "auto":
        return products
    try:
        return check_choice(PRODUCTS_VARIABLE, environ.get(PRODUCTS_VARIABLE) or "auto", PRODUCTS)
    except ValueError as error:
        raise EnvironmentVariableError(str(error)) from None
