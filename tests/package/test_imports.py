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
     "_safetensors_header", "_https"},
    {"_model_file", "_model_fields"},
    {"_checks"},
    {"optimizers", "losses"},
    {"_core", "_threads", "initializers", "schedules", "history", "datasets", "scaling",
     "reference"},
    {"network", "_environment", "_reference_engine"},
    {"_saved_network", "_epochs", "_evaluations"},
    {"trainer", "callbacks", "checkpoint", "_identity", "_saved_training", "_checkpoint_folder",
     "_training_run", "_recorder", "_lbfgs", "_summary"},
    {"_estimator_warnings", "_estimator_undo"},
    {"_estimator_parameters", "_estimator_targets", "_estimator_data", "_estimator_weights",
     "_estimator_report"},
    {"_estimator_trainer", "_estimator_validation", "_estimator_callbacks", "_estimator_resume"},
    {"_estimator_epochs"},
    {"_estimator_run"},
    {"_estimator_base", "_to_sklearn"},
    {"_estimator_classifier", "_estimator_regressor"},
    {"estimators"},
    {"_plot_style"},
    {"_plot_panels", "_plot_images", "_plot_live"},
    {"plots", "live", "_tensorboard", "recipes", "_labelled_data", "_report", "_thread_sweep",
     "_plot_threads"},
    {"myann"},
    {"_saved_myann", "_model_parts"},
    {"_saved_estimator"},
    {"persistence"},
    {"onnx_export", "keras_exchange"},
    {"bench", "cnn"},
    {"_cli_options", "_cli_output", "_cli_display", "_cli_signals", "_cli_bench"},
    {"studies"},
    {"_cli_cnn"},
    {"_cli_cnn_data"},
    {"_cli_train", "_cli_cnn_train", "_cli_cnn_show", "_cli_cnn_compare", "_cli_study",
     "_cli_report"},
    {"_cli_cnn_evaluate"},
    {"_cli_threads"},
    {"cli"},
    {"__init__", "__main__"},
]  # fmt: skip
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
LAZY = {"_estimator_callbacks", "_estimator_run", "_estimator_base", "_estimator_classifier",
        "_estimator_regressor", "estimators", "_saved_estimator", "_https"}  # fmt: skip
"""Modules that import heavy packages for their classes, and are loaded when they are wanted."""

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
    "tensorboard",
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


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_only_the_command_line_knows_the_cnn_part(path):
    names = {name.split(".")[1] for name in imported_modules(path) if name.startswith("fastmlp.")}
    assert "cnn" not in names or path.stem.startswith("_cli_cnn")


CNN_MODULES = sorted((PACKAGE / "cnn").glob("*.py"))
ON_KERAS = {"_recorder", "_article_callbacks"}
"""Modules of classes that derive from Keras' own."""


@pytest.mark.parametrize("path", CNN_MODULES, ids=lambda p: f"cnn-{p.stem}")
def test_cnn_modules_import_keras_inside_functions_only(path):
    for name in imported_modules(path, top_level_only=True):
        assert path.stem in ON_KERAS or name.split(".")[0] not in HEAVY
        assert name.removeprefix("fastmlp.cnn.") not in ON_KERAS


def test_import_loads_no_heavy_package():
    code = f"import sys, fastmlp; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
