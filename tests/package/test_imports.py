"""Imports: no circles, light ones, and the contracts of pyproject.toml refuse wrong ones.

The direction of imports stands in pyproject.toml, under [tool.importlinter]; `make lint` checks it.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastmlp

PACKAGE = Path(fastmlp.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))

HEAVY = {
    "cloudpickle",
    "dask",
    "distributed",
    "imblearn",
    "jax",
    "joblib",
    "keras",
    "mapie",
    "matplotlib",
    "mlflow",
    "onnx",
    "optuna",
    "pandas",
    "polars",
    "pooch",
    "pyarrow",
    "requests",
    "rich",
    "safetensors",
    "shap",
    "skl2onnx",
    "sklearn",
    "skops",
    "tensorboard",
    "tensorflow",
    "threadpoolctl",
    "torch",
}
LATE = {
    "bench/adapters/": HEAVY,  # each is loaded in the process that times it
    "cnn/backends/": {"jax", "keras", "tensorflow", "torch"},  # the one under Keras is loaded
    "cnn/recorder.py": {"keras"},  # a class derived from one of Keras
    "cnn/articles/batches.py": {"keras"},  # likewise
    "cnn/articles/callbacks.py": {"keras"},  # likewise
    "datasets/https.py": {"requests"},  # likewise; loaded for a download
    "estimators/": {"sklearn"},  # loaded with the first estimator
    "exchange/pipelines/": {"sklearn"},  # loaded with the first Pipeline
    "dask/": {"sklearn"},  # loaded with the first estimator for a cluster
    "search/": {"sklearn"},  # loaded with the first search
    "tables/": {"sklearn"},  # loaded with the first estimator
}
"""Files, or rooms, that may import heavy packages outside functions: they are loaded late."""

LIGHT_ROOMS = [
    "fastmlp",
    "fastmlp.bench",
    "fastmlp.callbacks",
    "fastmlp.cli",
    "fastmlp.cnn",
    "fastmlp.data",
    "fastmlp.plots",
    "fastmlp.studies",
]


def name_of(path):
    """Dotted name of the module in a file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def relative(path):
    return path.relative_to(PACKAGE).as_posix()


FILES = {name_of(path): path for path in MODULES}


def is_type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def statements(tree, *, at_import_only):
    """All nodes; or those that run when the module is imported: none in functions, no types."""
    for node in ast.iter_child_nodes(tree):
        if at_import_only and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            or is_type_checking(node)
        ):
            continue
        yield node
        yield from statements(node, at_import_only=at_import_only)


def imported_modules(path, *, at_import_only=False):
    """Full names of the modules that a file imports, relative names resolved."""
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in statements(ast.parse(path.read_text()), at_import_only=at_import_only):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *filter(None, [base])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in FILES else base


def circles(graph):
    """Return groups of two or more nodes that reach each other, sorted."""

    def reached(start):
        found, waiting = set(), list(graph[start])
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting.extend(graph[node])
        return found

    from_node = {node: reached(node) for node in graph}
    groups = {
        tuple(sorted({node, *(other for other in there if node in from_node[other])}))
        for node, there in from_node.items()
    }
    return sorted(group for group in groups if len(group) > 1)


def test_circles_of_a_graph_are_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"f"}, "f": {"e", "a"}}
    assert circles(graph) == [("b", "c"), ("e", "f")]


def test_no_files_import_each_other_in_a_circle():
    """Also for types alone, and through any number of files."""
    graph = {
        name: {other for other in imported_modules(path) if other in FILES and other != name}
        for name, path in FILES.items()
    }
    assert circles(graph) == []


def test_imports_are_read_in_all_their_forms(tmp_path, monkeypatch):
    for name in ("__init__", "one", "room/__init__", "room/two"):
        path = tmp_path / "top" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    path.write_text(
        "import os.path\nfrom top import one\nfrom .. import one as again\nfrom . import three\n"
        "from top.one import f\nif TYPE_CHECKING:\n    import types\n"
        "class A:\n    import abc\n    def f():\n        import sklearn.base\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / "top")
    monkeypatch.setattr(sys.modules[__name__], "FILES", {"top.one": None, "top.room": None})
    always = ["os.path", "top.one", "top.one", "top.room", "top.one"]
    assert list(imported_modules(path)) == [*always, "types", "abc", "sklearn.base"]
    assert list(imported_modules(path, at_import_only=True)) == [*always, "abc"]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_heavy_packages_are_imported_inside_functions_only(path):
    allowed = set().union(*(v for k, v in LATE.items() if relative(path).startswith(k)))
    imported = {name.split(".")[0] for name in imported_modules(path, at_import_only=True)}
    assert imported & HEAVY <= allowed


@pytest.mark.parametrize("late", LATE)
def test_files_that_may_import_heavy_packages_exist_and_do(late):
    paths = [path for path in MODULES if relative(path).startswith(late)]
    names = {n.split(".")[0] for p in paths for n in imported_modules(p, at_import_only=True)}
    assert names & LATE[late]


def test_import_of_a_room_loads_no_heavy_package():
    """One after the other in one process: what none of them loads, no single one does."""
    code = (
        "import sys, importlib\n"
        f"for room in {LIGHT_ROOMS!r}:\n"
        "    importlib.import_module(room)\n"
        f"    print(room, sorted({HEAVY!r} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines() == [f"{room} []" for room in LIGHT_ROOMS], result.stderr


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_only_the_command_line_and_two_files_of_the_studies_know_the_cnn_part(path):
    names = [name for name in imported_modules(path) if name.startswith("fastmlp.cnn")]
    allowed = ("cnn/", "cli/", "studies/lab/augmented.py", "studies/lab/convolution.py")
    assert not names or relative(path).startswith(allowed)


PUBLIC = [
    "Checkpoint",
    "DataFormatError",
    "DivergenceError",
    "EarlyStopping",
    "EpochCallback",
    "Evaluation",
    "History",
    "LearningRateScheduler",
    "LivePlot",
    "MLPClassifier",
    "MLPRegressor",
    "ModelFormatError",
    "MyANN",
    "Network",
    "ResumeError",
    "TabularClassifier",
    "TabularRegressor",
    "TargetReached",
    "TensorBoardLog",
    "TimeBudget",
    "Trainer",
    "callbacks",
    "data",
    "datasets",
    "export_onnx",
    "from_keras",
    "load",
    "losses",
    "optimizers",
    "plots",
    "resolve_threads",
    "save",
    "to_keras",
]


def test_the_package_lists_its_public_names_and_no_others():
    names = [name for name in dir(fastmlp) if not name.startswith("__")]
    assert names == PUBLIC
    assert all(name.endswith("__") for name in dir(fastmlp) if name.startswith("_"))


def test_the_list_is_the_same_after_all_names_have_been_used():
    names = {name: getattr(fastmlp, name) for name in PUBLIC}
    assert sorted(names) == sorted(set(fastmlp.__all__) - {"__version__"})
    assert [name for name in dir(fastmlp) if not name.startswith("__")] == PUBLIC


def test_estimators_are_found_when_asked_for():
    assert fastmlp.MLPClassifier is fastmlp.estimators.MLPClassifier
    with pytest.raises(AttributeError, match="module 'fastmlp' has no attribute 'MLPTransformer'"):
        fastmlp.MLPTransformer  # noqa: B018


def test_the_face_of_the_callbacks_has_all_of_them():
    names = {
        name
        for name in fastmlp.__all__
        if getattr(getattr(fastmlp, name), "__module__", "").startswith("fastmlp.callbacks")
    }
    assert {"EarlyStopping", "LivePlot", "TensorBoardLog"} <= names
    for name in names:
        assert getattr(fastmlp.callbacks, name) is getattr(fastmlp, name)


PLANTED = {
    "a low room imports a high one": (
        "engine/plan.py",
        "from fastmlp.training.history import History",
        "fastmlp.engine is not allowed to import fastmlp.training:",
    ),
    "for types alone": (
        "network/network.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fastmlp.myann import MyANN",
        "fastmlp.network is not allowed to import fastmlp.myann:",
    ),
    "inside a function": (
        "losses.py",
        "def late():\n    from fastmlp.network.network import Network",
        "fastmlp.losses is not allowed to import fastmlp.network:",
    ),
    "the top level": (
        "plots/style.py",
        "from fastmlp import Trainer",
        "fastmlp.plots.style is not allowed to import fastmlp:",
    ),
    "against the order within a room": (
        "plots/style.py",
        "from fastmlp.plots.panels import draw",
        "fastmlp.plots.style is not allowed to import fastmlp.plots.panels:",
    ),
    "a heavy package where it does not belong": (
        "training/history.py",
        "def table():\n    import sklearn",
        "fastmlp.training.history -> sklearn",
    ),
    "the CNN part": (
        "studies/seeds.py",
        "from fastmlp.cnn.geometry import Geometry",
        "fastmlp.studies.seeds -> fastmlp.cnn.geometry",
    ),
    "a file without a place": (
        "plots/other.py",
        "",
        "- fastmlp.plots.other",
    ),
}
"""File, lines planted at its end, and a sentence of the refusal, by what is wrong."""


@pytest.fixture(scope="module")
def copied_package(tmp_path_factory):
    """A folder with the Python files of the package and the contracts."""
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("no source tree beside the tests")
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(
        PACKAGE, folder / "fastmlp", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint_imports(folder):
    """Run import-linter there; return its exit status and what it prints, on long lines."""
    code = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", code, "--no-cache", "--no-logo"],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(folder), "COLUMNS": "300"},
    )
    return result.returncode, result.stdout + result.stderr


def test_the_package_keeps_its_contracts(copied_package):
    status, printed = lint_imports(copied_package)
    assert status == 0, printed


@pytest.fixture(scope="module")
def refusals(copied_package, tmp_path_factory):
    """What import-linter prints when all of them are planted at once."""
    folder = tmp_path_factory.mktemp("wrong") / "tree"
    shutil.copytree(copied_package, folder)
    for name, lines, _ in PLANTED.values():
        with open(folder / "fastmlp" / name, "a") as file:
            file.write(f"\n{lines}\n")
    status, printed = lint_imports(folder)
    assert status == 1
    return printed


@pytest.mark.parametrize("wrong", PLANTED)
def test_a_wrong_import_is_refused_with_a_sentence(refusals, wrong):
    assert PLANTED[wrong][2] in refusals


def covering_tests():
    """The table of covered_by.json: files of the package without a test file of their own."""
    return json.loads(Path(__file__).with_name("covered_by.json").read_text())


def own_test(path):
    """Where the test file of a module stands."""
    folder, stem = path.relative_to(PACKAGE).parent, path.stem.lstrip("_")
    return Path(__file__).parents[1] / folder / f"test_{stem}.py"


TESTED = [path for path in MODULES if not path.name.startswith("__")]


@pytest.mark.parametrize("path", TESTED, ids=relative)
def test_every_file_has_a_test_file_or_names_the_one_that_covers_it(path):
    other = covering_tests().get(relative(path))
    if own_test(path).exists():
        assert other is None, f"{relative(path)} has a test file now: remove it from the table"
    else:
        assert other is not None, f"{relative(path)} has no test file, and is not in the table"
        assert (Path(__file__).parents[1] / other).exists()


def test_the_table_of_covering_tests_names_files_that_exist():
    assert set(covering_tests()) <= {relative(path) for path in TESTED}


def test_a_fit_without_checkpoints_does_not_even_load_their_room():
    code = (
        "import sys, numpy as np, fastmlp;"
        "fastmlp.Trainer(fastmlp.Network((2, 2))).fit(np.eye(2), np.eye(2));"
        "print('fastmlp.training.checkpoints.keeper' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr
