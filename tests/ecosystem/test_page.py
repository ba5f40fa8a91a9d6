"""Every line of code in the table of docs/ecosystem.md runs."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "ecosystem.md"
if not PAGE.exists():
    pytest.skip("no docs beside the tests", allow_module_level=True)
TEXT = PAGE.read_text()
ROWS = dict(re.findall(r"^\| ([^|]+) \|.*\| `(.+)` \|$", TEXT, re.MULTILINE))

NEEDS = {
    "polars": ["polars"],
    "PyArrow": ["pyarrow"],
    "joblib, Dask": ["distributed"],
    "Optuna": ["optuna"],
    "imbalanced-learn": ["imblearn.pipeline"],
    "MAPIE": ["mapie.classification"],
    "SHAP": ["shap"],
    "MLflow": ["mlflow"],
    "skops": ["skops.io"],
    "cloudpickle": ["cloudpickle"],
    "ONNX": ["onnx"],
    "skl2onnx": ["skl2onnx"],
    "Keras": ["keras"],
    "TensorBoard": ["tensorboard"],
}
"""Modules that a line needs besides those that the page's block imports."""

SLOW = {"Keras", "MLflow", "SHAP", "joblib, loky"}
"""Tools that take more than five seconds; other tests of the suite use Keras and loky."""

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of these tools' own tools
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),
    pytest.mark.filterwarnings("ignore::fastmlp.exceptions.UnscaledInputWarning"),
]


def prepare_optuna(names):
    names["trial"] = names["optuna"].trial.FixedTrial({})


def prepare_imbalanced(names):
    from imblearn.over_sampling import SMOTE

    names["SMOTE"] = SMOTE


def prepare_mapie(names):
    from mapie.classification import SplitConformalClassifier

    names["SplitConformalClassifier"] = SplitConformalClassifier


def prepare_mlflow(names):
    names["mlflow"].set_tracking_uri("sqlite:///runs.db")


def prepare_skl2onnx(names):
    names["fastmlp"].exchange.register_skl2onnx()


PREPARE = {
    "Optuna": prepare_optuna,
    "imbalanced-learn": prepare_imbalanced,
    "MAPIE": prepare_mapie,
    "MLflow": prepare_mlflow,
    "skl2onnx": prepare_skl2onnx,
}


def run_line(tool, folder):
    """Run the page's block, then the line of a tool, in an empty folder."""
    os.chdir(folder)
    names = {}
    exec(re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1], names)
    for module in NEEDS.get(tool, []):
        importlib.import_module(module)
        top = module.partition(".")[0]
        names[top] = importlib.import_module(top)
    PREPARE.get(tool, lambda names: None)(names)
    if tool == "joblib, Dask":
        distributed = names["distributed"]
        with (
            distributed.LocalCluster(
                n_workers=1,
                threads_per_worker=2,
                processes=False,
                dashboard_address="127.0.0.1:0",
            ) as cluster,
            distributed.Client(cluster),
        ):
            exec(ROWS[tool], names)
    else:
        exec(ROWS[tool], names)


@pytest.mark.parametrize(
    "tool", [pytest.param(tool, marks=[pytest.mark.soak] * (tool in SLOW)) for tool in ROWS]
)
def test_the_line_of_a_tool_runs(tool, tmp_path, monkeypatch):
    for module in NEEDS.get(tool, []):
        pytest.importorskip(module, reason=f"{module.partition('.')[0]} is not installed")
    monkeypatch.chdir(tmp_path)
    run_line(tool, tmp_path)


def test_all_tools_have_a_line():
    assert set(NEEDS) | SLOW < set(ROWS)
    assert len(ROWS) == 21
