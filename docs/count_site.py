"""Counts what a built site has: `python docs/count_site.py build/docs/html`."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

DOCS = Path(__file__).parent
EXAMPLE_FOLDERS = ("start", "guide", "coming-from")
"""Folders of pages whose blocks the tests run, as in tests/package/test_site.py."""


def count(site: Path) -> dict[str, int]:
    """Return the numbers of pages, links and examples by their names."""
    found: Counter[str] = Counter()
    for page in sorted(site.rglob("*.html")):
        name = page.relative_to(site).as_posix()
        if name.startswith(("_modules/", "_static/")):
            continue
        text = page.read_text(encoding="utf-8")
        body = re.search(r"<article\b.*?</article>", text, re.DOTALL)
        links = re.findall(r'<a class="([^"]*)"', body[0] if body else "")
        found["pages"] += 1
        found["pages of the reference"] += name.startswith("api/generated/")
        found["links within the site"] += sum("internal" in kinds.split() for kinds in links)
        found["pictures"] += len(re.findall(r"<img\b", body[0] if body else ""))
    pages = [DOCS / "index.md", DOCS / "ecosystem.md"]
    pages += [page for folder in EXAMPLE_FOLDERS for page in (DOCS / folder).glob("*.md")]
    blocks = (len(re.findall(r"^```python$", page.read_text(), re.MULTILINE)) for page in pages)
    found["blocks of code on pages, run by the tests"] = sum(blocks)
    found["scripts of the gallery, run by the build"] = len(
        list((DOCS / "../examples").glob("*.py"))
    )
    return dict(found)


def main(site: str) -> None:
    """Print the numbers as a table."""
    for name, number in count(Path(site)).items():
        print(f"| {name} | {number:,} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
