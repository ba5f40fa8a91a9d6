"""The notebooks run from top to bottom, with small settings in the place of their own."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import runpy
from pathlib import Path

import pytest
from processes import PATIENCE_SECONDS

import fastmlp

EXAMPLES = Path(__file__).parents[2] / "examples"
SETTINGS = {
    "mlp_mnist": "DATA = 'digits'\nN_TRAIN = 500\nEPOCHS = 3",
    "moons": "EPOCHS = 20\nRESOLUTION = 0.3",
    "mathematics": "SIZES = (3, 3, 2, 2)\nSAMPLES = 4\nSEED = 2",
}
SAYS = {
    "mlp_mnist": "largest difference of the gradients",
    "moons": "reference: [",
    "mathematics": "largest difference to a step of the engine",
    "cnn_mnist": "test accuracy of the MLP on the features",  # is run by tests/cnn
}


@pytest.mark.parametrize("name", SETTINGS)
def test_notebook_runs_with_small_settings(name, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="nbformat is missing")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is missing")
    pytest.importorskip("ipykernel", reason="ipykernel is missing")
    if not EXAMPLES.exists():
        pytest.skip("no examples beside the tests")
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    (parameters,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    parameters.source = SETTINGS[name]
    root = str(Path(fastmlp.__file__).parent.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    client = nbclient.NotebookClient(notebook, timeout=PATIENCE_SECONDS, kernel_name="python3")
    client.execute(cwd=str(tmp_path))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert SAYS[name] in str(outputs)


@pytest.mark.parametrize("name", SAYS)
def test_stored_notebook_shows_its_figures_and_is_small(name):
    path = EXAMPLES / f"{name}.ipynb"
    if not path.exists():
        pytest.skip("no examples beside the tests")
    assert path.stat().st_size < 300_000
    cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data"}
    assert {output["name"] for output in outputs if "name" in output} == {"stdout"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert SAYS[name] in str(outputs)


def test_the_notebook_on_mathematics_is_its_page():
    """`python docs/page_to_notebook.py docs/mathematics.md examples/mathematics.ipynb`."""
    page = EXAMPLES.parent / "docs" / "mathematics.md"
    if not page.exists():
        pytest.skip("no docs beside the tests")
    tool = runpy.run_path(str(page.with_name("page_to_notebook.py")))
    stored = json.loads((EXAMPLES / "mathematics.ipynb").read_text())["cells"]
    found = [(c["cell_type"], "".join(c["source"]).replace(tool["MAGIC"], "")) for c in stored]
    assert found == tool["cells_of"](page.read_text())
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_tidied_notebook_keeps_its_pictures_and_all_but_the_lines_of_loading(tmp_path):
    """`python docs/tidy_notebook.py NOTEBOOK.ipynb`."""
    page = EXAMPLES.parent / "docs" / "tidy_notebook.py"
    if not page.exists():
        pytest.skip("no docs beside the tests")
    image = pytest.importorskip("PIL.Image", reason="Pillow is missing")
    many = image.effect_noise((60, 40), 80).convert("RGB")
    buffer = io.BytesIO()
    many.save(buffer, "png")
    picture = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"image/png": base64.b64encode(buffer.getvalue()).decode()},
    }
    said = [
        {"output_type": "stream", "name": name, "text": [line]}
        for name, line in (
            ("stderr", "I0000 00:00:17 port.cc:153] oneDNN custom operations are on.\n"),
            ("stderr", "a warning\n"),
            ("stdout", "I0000 of one's own\n"),
        )
    ]
    cell = {"cell_type": "code", "metadata": {}, "source": [], "outputs": [*said, picture]}
    path = tmp_path / "some.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown"}, cell]}))
    runpy.run_path(str(page))["tidy"](path)
    *texts, tidied = json.loads(path.read_text())["cells"][1]["outputs"]
    assert [text["text"] for text in texts] == [["a warning\n"], ["I0000 of one's own\n"]]
    small = image.open(io.BytesIO(base64.b64decode(tidied["data"]["image/png"])))
    assert small.size == many.size and len(small.convert("RGB").getcolors()) <= 24
