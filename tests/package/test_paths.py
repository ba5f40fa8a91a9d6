"""Whatever takes a path takes str, bytes and PathLike, and never the number of an open file."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp import Network, Trainer
from fastmlp._checks import check_path

NAMES = {"path", "folder", "out", "cache_dir", "resume", "file", "filename", "directory"}
"""Names of arguments that are paths."""

FACES = ("", ".callbacks", ".datasets", ".plots", ".losses", ".optimizers", ".cnn", ".estimators")


def public_functions():
    """Functions, and methods of classes, that the public faces have, with their names."""
    for face in FACES:
        module = importlib.import_module(f"fastmlp{face}")
        for name in getattr(module, "__all__", None) or dir(module):
            thing = getattr(module, name)
            if name.startswith("_") or not str(getattr(thing, "__module__", "")).startswith("fast"):
                continue
            if inspect.isclass(thing):
                for method, function in inspect.getmembers(thing, callable):
                    if method == "__init__" or not method.startswith("_"):
                        yield f"{name}.{method}", function
            elif callable(thing):
                yield name, thing


def arguments():
    """Public functions and their arguments that are paths by name or annotation."""
    found = {}
    for name, function in public_functions():
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            continue
        for parameter in parameters:
            annotation = str(parameter.annotation)
            if parameter.name in NAMES or "PathLike" in annotation or "StrPath" in annotation:
                found[f"{name}({parameter.name})"] = function
    return found


X, Y = np.eye(4), np.eye(4)[:, :2]
LABELS = np.array([0, 1, 0, 1])


def calls():
    """How each argument is given a value."""
    net = Network((4, 2), random_state=0)

    def ann(**options):
        return fastmlp.MyANN(
            (X, LABELS, X, LABELS), 1, [0, 2, 0], n_nodes_layer_out=0, n_epochs=1,
            b_verbose=False, **options,
        )  # fmt: skip

    def estimator(cls):
        return lambda value: cls(max_iter=1).fit(X, LABELS, resume=value)

    from fastmlp import cnn

    return {
        "Checkpoint.__init__(folder)": fastmlp.Checkpoint,
        "LivePlot.__init__(out)": lambda value: fastmlp.LivePlot(out=value),
        "TensorBoardLog.__init__(folder)": fastmlp.TensorBoardLog,
        "Trainer.fit(resume)": lambda value: Trainer(net).fit(X, Y, resume=value),
        "Trainer.fit_as(resume)": lambda value: Trainer(net).fit_as("a", {}, X, Y, resume=value),
        "MyANN.__init__(resume)": lambda value: ann(resume=value),
        "MyANN.__init__(my_data_set)": lambda value: fastmlp.MyANN(value),
        "MyANN.fit(resume)": lambda value: ann(b_train_on_init=False).fit(resume=value),
        "MyANN.fit_full_cost(resume)": lambda value: ann().fit_full_cost(1, resume=value),
        "MLPClassifier.fit(resume)": estimator(fastmlp.MLPClassifier),
        "MLPRegressor.fit(resume)": estimator(fastmlp.MLPRegressor),
        "save(path)": lambda value: fastmlp.save(net, value),
        "load(path)": fastmlp.load,
        "export_onnx(path)": lambda value: fastmlp.export_onnx(net, value),
        "load(name)": fastmlp.datasets.load,
        "load(cache_dir)": lambda value: fastmlp.datasets.load("digits", cache_dir=value),
        "find(name)": fastmlp.datasets.find,
        "find(cache_dir)": lambda value: fastmlp.datasets.find("mnist", cache_dir=value),
        "load_images(name)": cnn.load_images,
        "load_model(path)": cnn.load_model,
        "CNN.load(path)": cnn.CNN.load,
        "CNN.save(path)": lambda value: cnn.CNN.save(object.__new__(cnn.CNN), value),
    }


NOT_PATHS = {
    "Trainer.train(resume)",  # a flag
    "Network.predict(out)",  # an array
    "ResumeError.__init__(path)",  # part of its sentence
    "MLPClassifier.set_fit_request(resume)",  # metadata routing of scikit-learn
    "MLPRegressor.set_fit_request(resume)",
}


def test_every_public_argument_that_is_a_path_is_called_here():
    assert set(arguments()) - NOT_PATHS <= set(calls())


@pytest.mark.parametrize("value", [True, 1, 2.5, ["a"]], ids=str)
@pytest.mark.parametrize("name", calls())
def test_what_is_no_path_is_a_type_error_and_no_open_file_is_closed(name, value, capfd):
    before = os.fstat(1)
    with pytest.raises(TypeError, match=r"must be a (path \(str, bytes|name, a path or a tuple)"):
        calls()[name](value)
    assert os.fstat(1) == before


@pytest.mark.parametrize("value", ["a", b"a", Path("a")], ids=repr)
def test_text_bytes_and_pathlike_are_one_path(value):
    assert check_path("path", value) == "a"


def test_there_is_one_check():
    """No other file of the package asks what a path is, but where a name may be one."""
    asking = []
    for module in pkgutil.walk_packages(fastmlp.__path__, "fastmlp."):
        spec = importlib.util.find_spec(module.name)
        if spec.origin.endswith(".py") and ".bench" not in module.name:
            text = Path(spec.origin).read_text()
            if "os.fspath(" in text or "isinstance(path, str" in text:
                asking.append(module.name)
    assert asking == []
