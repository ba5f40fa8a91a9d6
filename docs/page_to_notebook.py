"""Make a notebook of a page: its text and Python blocks become cells, which are executed.

    python docs/page_to_notebook.py docs/mathematics.md examples/mathematics.ipynb

The first block is tagged as the cell of parameters.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

MAGIC = "\n\n%matplotlib inline"
"""Added to the block that imports matplotlib."""

BLOCK = re.compile(r"```python\n(.*?)```\n?", re.DOTALL)


def cells_of(page: str) -> list[tuple[str, str]]:
    """Return (kind, source) of all cells, kind "markdown" or "code"; links are as in examples/."""
    cells: list[tuple[str, str]] = []
    for number, part in enumerate(BLOCK.split(page)):
        source = part.strip()
        if number % 2 == 0:
            source = source.replace("](../examples/", "](").replace(
                "](studies/", "](../docs/studies/"
            )
        if source:
            cells.append(("code" if number % 2 else "markdown", source))
    return cells


def make_notebook(page: str) -> object:
    """Return the notebook of a page, not executed."""
    import nbformat

    notebook = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
        }
    )
    makers = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    for number, (kind, source) in enumerate(cells_of(page)):
        cell = makers[kind](source, id=f"cell-{number}")
        if kind == "code" and not any(c.cell_type == "code" for c in notebook.cells):
            cell.metadata["tags"] = ["parameters"]
        if kind == "code" and "import matplotlib" in source:
            cell.source += MAGIC
        notebook.cells.append(cell)
    return notebook


def main(page: str, target: str) -> None:
    """Write the executed notebook."""
    import nbclient
    import nbformat

    notebook = make_notebook(Path(page).read_text())
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":  # warnings about fonts belong to this machine
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
            for output in cell.outputs:
                output.get("data", {}).pop("text/plain", None)
    notebook.metadata.pop("language_info", None)
    Path(target).write_text(nbformat.writes(notebook) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
