"""Sphinx: members that are documented here, and names that lead to the reference.

Pages are Markdown that is also read on GitHub, so they write `MLPClassifier` as code; on the site a
public name of the package in code is a link to its page.
"""

from __future__ import annotations

import inspect
import re

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

import fastmlp

_CALL = re.compile(r"^(?:fastmlp\.)?([A-Za-z_][\w.]*)(\(.*\))?$", re.DOTALL)


def address(text: str) -> str | None:
    """Return the full name of what a piece of code names, None where it is none of ours."""
    found = _CALL.match(text)
    if not found:
        return None
    name = found[1]
    first, _, rest = name.partition(".")
    if first not in fastmlp.__all__ or first.startswith("_"):
        return None
    value: object = fastmlp
    for part in name.split("."):
        value = getattr(value, part, None)
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return None
    owner = getattr(fastmlp, first)
    if inspect.isclass(owner):
        return f"{owner.__module__}.{name}"
    if inspect.isfunction(value) and not rest:
        return PUBLISHED.get(name)
    return f"fastmlp.{name}"


PUBLISHED = {
    "export_onnx": "fastmlp.exchange.export_onnx",
    "from_keras": "fastmlp.exchange.from_keras",
    "load": "fastmlp.exchange.load",
    "save": "fastmlp.exchange.save",
    "to_keras": "fastmlp.exchange.to_keras",
    "resolve_threads": "fastmlp.resolve_threads",
}
"""Functions of the top level, and where the reference has them."""


class LinkPublicNames(SphinxTransform):
    """Put a cross-reference around code that names something public, outside of headings."""

    default_priority = 400

    def apply(self, **_: object) -> None:
        """Change the document in place."""
        if self.env.docname.startswith(("api/", "gallery/")):
            return
        for literal in list(self.document.findall(nodes.literal)):
            target = None if self._is_elsewhere(literal) else address(literal.astext())
            if target is not None:
                link = addnodes.pending_xref(
                    "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True
                )
                literal.replace_self(link)
                link += literal

    def _is_elsewhere(self, literal: nodes.literal) -> bool:
        """Tell whether code is in a heading or a link, or names something of another library.

        On pages for those who come from it, that is the first column of a table.
        """
        node = literal.parent
        while node is not None:
            if isinstance(node, nodes.title | nodes.reference):
                return True
            first = isinstance(node, nodes.entry) and node.parent.index(node) == 0
            if first and self.env.docname.startswith("coming-from/"):
                return True
            node = node.parent
        return False


def resolve_top_level(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, contents: nodes.Element
) -> nodes.Element | None:
    """Lead a reference to `fastmlp.Network`, or to `Network` alone, to the room it is in."""
    target = address(node.get("reftarget", "")) if node.get("refdomain") == "py" else None
    if target is None:
        return None
    domain = env.domains.python_domain
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contents)


def skip_foreign(
    app: Sphinx, what: str, name: str, thing: object, skip: bool, options: object
) -> bool | None:
    """Leave out members that a class inherits from other libraries, and those without words."""
    function = inspect.unwrap(thing.fget if isinstance(thing, property) else thing)  # type: ignore[arg-type]
    module = (getattr(function, "__module__", None) or "").partition(".")[0]
    foreign = module in FOREIGN or getattr(function, "__objclass__", None) in (tuple, dict)
    return True if foreign else None


FOREIGN = ("collections", "keras", "sklearn", "typing")
"""Libraries from which public classes inherit methods."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all three."""
    app.add_transform(LinkPublicNames)
    app.connect("missing-reference", resolve_top_level)
    app.connect("autodoc-skip-member", skip_foreign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
