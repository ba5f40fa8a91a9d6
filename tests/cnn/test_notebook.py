"""The notebook runs from top to bottom, with small settings in the place of its own."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from cnn_data import bars, needs_keras
from processes import PATIENCE_SECONDS

import fastmlp

NOTEBOOK = Path(__file__).parents[2] / "examples" / "cnn_mnist.ipynb"
SETTINGS = """
from fastmlp.cnn import maps
maps.find_oips.__kwdefaults__.update(maps=range(12), n_climbers=1)  # of 64, and 2
DATA = {path!r}
N_TRAIN, N_TEST = 150, 60
EPOCHS = 1
N_STARTS = 20
"""


@pytest.mark.soak
@needs_keras
def test_notebook_runs_with_small_settings(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="nbformat is missing")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is missing")
    pytest.importorskip("ipykernel", reason="ipykernel is missing")
    if not NOTEBOOK.exists():
        pytest.skip("no examples beside the tests")
    arrays = {}
    for part, n in (("train", 160), ("test", 60)):
        images, labels = bars(n, 28)
        arrays[f"x_{part}"] = np.clip(images[..., 0] * 60 + 60, 0, 255).astype(np.uint8)
        arrays[f"y_{part}"] = np.where(labels == 2, 4, labels)  # the notebook looks at fours
    np.savez(tmp_path / "bars.npz", **arrays)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    parameters.source = SETTINGS.format(path=str(tmp_path / "bars.npz"))
    root = str(Path(fastmlp.__file__).parent.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    client = nbclient.NotebookClient(notebook, timeout=PATIENCE_SECONDS, kernel_name="python3")
    client.execute(cwd=str(tmp_path))
    pictures = sum(
        "image/png" in output.get("data", {})
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )
    assert pictures >= 10
    text = str([cell.get("outputs") for cell in notebook.cells])
    assert "test accuracy of the MLP on the features" in text
