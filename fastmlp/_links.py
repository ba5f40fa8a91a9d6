"""Addresses of the documentation, which notebooks, errors and warnings lead to."""

from __future__ import annotations

from typing import ClassVar

DOCUMENTATION = "https://fastmlp.readthedocs.io/en/stable"
"""Where the site of the newest release is, as in `[project.urls]`."""


def help_page(name: str) -> str:
    """Return the address of what an error or a warning means, and what helps."""
    return f"{DOCUMENTATION}/guide/errors.html#{name.lower()}"


class Documented:
    """Base class, before scikit-learn's, of estimators whose HTML links to their page here."""

    _doc_link_module: ClassVar[str] = "fastmlp"
    _doc_link_template: ClassVar[str] = (
        f"{DOCUMENTATION}/api/generated/{{estimator_module}}.{{estimator_name}}.html"
    )
