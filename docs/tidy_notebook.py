"""Make an executed notebook small and quiet, in place.

    jupyter execute --inplace NOTEBOOK.ipynb
    python docs/tidy_notebook.py NOTEBOOK.ipynb

Pictures get a palette, for a quarter of their size. Lines that TensorFlow's libraries write to
stderr while they are loaded are dropped; whatever else stands there remains, for a test to find.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image

COLORS = 24
LOADING = ("I0000", "WARNING: All log messages before absl")
"""How the lines of a library that is loaded begin."""


def with_palette(png: str) -> str:
    """Return a picture, a PNG in base64, with at most COLORS colors."""
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(COLORS, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def is_of_loading(output: dict[str, Any]) -> bool:
    """Whether an output is nothing but lines of libraries that are loaded."""
    if output.get("name") != "stderr":
        return False
    lines = "".join(output["text"]).strip().splitlines()
    return all(line.startswith(LOADING) for line in lines)


def tidy(path: Path) -> None:
    """Rewrite the notebook."""
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        cell["outputs"] = [output for output in cell["outputs"] if not is_of_loading(output)]
        cell["metadata"].pop("execution", None)
        for output in cell["outputs"]:
            if "image/png" in output.get("data", {}):
                output["data"]["image/png"] = with_palette(output["data"]["image/png"])
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        tidy(Path(name))
