"""What imports what: the direction of dependencies in docs/design.md, and light imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastmlp

PACKAGE = Path(fastmlp.__file__).parent

LAYERS = [
    {"exceptions", "_sparse", "_plan", "_plateau", "_idx", "_npz", "_atomic_file", "_plain_values",
     "_safetensors_header"},
    {"_model_file", "_model_fields"},
    {"_checks"},
    {"optimizers", "losses"},
    {"_core", "_threads", "initializers", "schedules", "history", "datasets", "scaling",
     "reference"},
    {"network", "_environment"},
    {"_saved_network"},
    {"trainer", "callbacks", "_lbfgs", "_summary"},
    {"_estimator_parameters", "_estimator_targets", "_estimator_data", "_estimator_weights",
     "_estimator_report"},
    {"_estimator_trainer", "_estimator_validation", "_estimator_callbacks"},
    {"_estimator_epochs"},
    {"_estimator_run"},
    {"_estimator_base", "_to_sklearn"},
    {"_estimator_classifier", "_estimator_regressor"},
    {"estimators"},
    {"_plot_style"},
    {"_plot_panels", "_plot_images"},
    {"plots", "recipes", "_labelled_data", "_report", "_thread_sweep", "_plot_threads"},
    {"myann"},
    {"_saved_myann", "_model_parts"},
    {"_saved_estimator"},
    {"persistence"},
    {"onnx_export", "keras_exchange"},
    {"bench"},
    {"_cli_options", "_cli_output", "_cli_display", "_cli_bench"},
    {"studies"},
    {"_cli_train", "_cli_study", "_cli_report"},
    {"_cli_threads"},
    {"cli"},
    {"__init__", "__main__"},
]  # fmt: skip
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
LAZY = {"_estimator_callbacks", "_estimator_run", "_estimator_base", "_estimator_classifier",
        "_estimator_regressor", "estimators", "_saved_estimator"}  # fmt: skip
"""Modules that import scikit-learn for its classes, and are loaded when an estimator is wanted."""

HEAVY = (
    "sklearn",
    "matplotlib",
    "tensorflow",
    "rich",
    "pooch",
    "requests",
    "threadpoolctl",
    "safetensors",
    "onnx",
    "keras",
)


def imported_modules(path, *, top_level_only=False):
    """Names of fastmlp modules (and others with their full name) that a file imports."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "fastmlp":
            yield from (f"fastmlp.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


MODULES = sorted(PACKAGE.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_module_imports_nothing_above_its_layer(path):
    assert path.stem in LEVEL, f"put {path.stem} into a layer"
    for name in imported_modules(path):
        if name.startswith("fastmlp."):
            other = name.split(".")[1]
            if other in LEVEL:  # names like fastmlp.__version__ are not modules
                assert LEVEL[other] <= LEVEL[path.stem], f"{path.stem} imports {other}"


@pytest.mark.parametrize("path", [p for p in MODULES if p.stem not in LAZY], ids=lambda p: p.stem)
def test_heavy_packages_are_imported_inside_functions_only(path):
    for name in imported_modules(path, top_level_only=True):
        assert name.split(".")[0] not in HEAVY


@pytest.mark.parametrize("path", [p for p in MODULES if p.stem not in LAZY], ids=lambda p: p.stem)
def test_nothing_else_loads_the_lazy_modules(path):
    names = {name.removeprefix("fastmlp.") for name in imported_modules(path, top_level_only=True)}
    assert not names & LAZY


def test_estimators_are_listed_and_found_when_asked_for():
    assert {"MLPClassifier", "MLPRegressor", "Trainer", "save", "load"} <= set(dir(fastmlp))
    assert fastmlp.MLPClassifier is fastmlp.estimators.MLPClassifier
    with pytest.raises(AttributeError, match="module 'fastmlp' has no attribute 'MLPTransformer'"):
        fastmlp.MLPTransformer  # noqa: B018


def test_import_loads_no_heavy_package():
    code = f"import sys, fastmlp; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
