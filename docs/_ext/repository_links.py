"""Sphinx: links of Markdown pages to files of the repository.

On GitHub a page may link to any file. On the site a page of the repository that is also one of the
site leads there, and an example to its place in the gallery. Any other file is copied to the site
as a download; a folder is named only.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).parents[2]

PAGES = {
    "README.md": "index",
    "CHANGELOG.md": "project/changelog",
    "CONTRIBUTING.md": "project/contributing",
    "SECURITY.md": "project/security",
    "CODE_OF_CONDUCT.md": "project/conduct",
    "examples/README.md": "gallery/index",
}
"""Files outside docs/, and the pages that show them."""


def page_of(file: Path) -> str | None:
    """Return the page of the site that shows a file of the repository."""
    name = file.relative_to(ROOT).as_posix()
    if name in PAGES:
        return PAGES[name]
    if file.parent == ROOT / "examples" and file.suffix == ".py":
        return f"gallery/{file.stem}"
    return None


class LinkRepositoryFiles(SphinxTransform):
    """Replace what MyST made of links to files: downloads by pages, folders by their names."""

    default_priority = 300

    def apply(self, **_: object) -> None:
        """Change the document in place."""
        folder = Path(self.env.doc2path(self.env.docname)).parent
        kinds = addnodes.download_reference, addnodes.pending_xref
        for link in list(self.document.findall(lambda node: isinstance(node, kinds))):
            of_file = isinstance(link, addnodes.download_reference)
            target = link.get("reftarget", "")
            if not target or not (of_file or link.get("reftype") == "myst"):
                continue
            path = (folder / target).resolve()
            file = path if of_file or path.is_dir() else path.with_name(f"{path.name}.md")
            if not file.is_relative_to(ROOT):
                continue
            page = page_of(file)
            if page:
                link.replace_self(self._to_page(page, link.children))
            elif path.is_dir():
                link.replace_self(nodes.inline("", "", *link.children))

    def _to_page(self, page: str, text: list[nodes.Node]) -> addnodes.pending_xref:
        return addnodes.pending_xref(
            "",
            *text,
            refdomain="std",
            reftype="doc",
            reftarget=f"/{page}",
            refexplicit=True,
            refdoc=self.env.docname,
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(LinkRepositoryFiles)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
