"""Calls every public function with odd values for every argument, one at a time.

A call may work, or raise a TypeError or ValueError (or one of the package's own errors, or an
OSError about a file) whose message names the argument. Anything else is a finding: another error, a
message without the name, a call that does not end, standard output closed. Run as a script with a
share, the number of shares and a pattern of subjects; prints the findings as JSON.

New public functions and arguments are found by themselves: `SUBJECTS` has one working call for each
public name, and a test compares its names with what the package's faces show.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import enum
import fractions
import inspect
import io
import json
import os
import re
import signal
import sys
import tempfile
import types
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import optuna
import pyarrow
import pyarrow.parquet
from cases import BrokenRepr
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp import (
    DataFormatError,
    DivergenceError,
    ModelFormatError,
    callbacks,
    data,
    datasets,
    losses,
    optimizers,
    plots,
    search,
)

SECONDS = 300
"""A call that takes longer does not end; importing TensorFlow takes many on a busy machine."""

NOT_FINDINGS = {
    ("n_epochs", "2**31"), ("max_epochs", "2**31"), ("min_epochs", "2**31"),  # allowed, and long
    ("rate", "type"), ("rate", "hostile"), ("loss", "hostile"),  # callables of the user
}  # fmt: skip
"""Arguments and values whose calls are left out."""


class HostileError(RuntimeError):
    """Of the object itself; like the error of a signal handler, it must get through."""


class Hostile:
    """Answers nothing that it is asked."""

    def _refuse(self, *arguments):
        raise HostileError("this object answers nothing")

    __len__ = __iter__ = __bool__ = __eq__ = __float__ = __int__ = __index__ = _refuse
    __array__ = __getitem__ = __fspath__ = __call__ = _refuse
    __hash__ = object.__hash__


class Text(str):
    pass


class Number(enum.IntEnum):
    ONE = 1


def recursive_list():
    values = []
    values.append(values)
    return values


VALUES = {
    "None": lambda: None,
    "True": lambda: True,
    "False": lambda: False,
    "0": lambda: 0,
    "1": lambda: 1,
    "-1": lambda: -1,
    "3": lambda: 3,
    "2**31": lambda: 2**31,
    "2**63": lambda: 2**63,
    "2**70": lambda: 2**70,
    "10**400": lambda: 10**400,
    "0.5": lambda: 0.5,
    "-0.0": lambda: -0.0,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: float("-inf"),
    "1e308": lambda: 1e308,
    "Decimal": lambda: decimal.Decimal("0.5"),
    "Decimal nan": lambda: decimal.Decimal("sNaN"),
    "Fraction": lambda: fractions.Fraction(1, 3),
    "complex": lambda: 1 + 2j,
    "int64": lambda: np.int64(3),
    "uint64": lambda: np.uint64(2**64 - 1),
    "float16": lambda: np.float16(0.5),
    "longdouble": lambda: np.longdouble(0.5),
    "bool_": lambda: np.bool_(True),
    "IntEnum": lambda: Number.ONE,
    "0-d array": lambda: np.array(1),
    "empty array": lambda: np.array([]),
    "array": lambda: np.array([1, 2, 3]),
    "2-d array": lambda: np.ones((3, 2)),
    "3-d array": lambda: np.ones((2, 2, 2)),
    "array of nan": lambda: np.full((6, 4), np.nan),
    "array of objects": lambda: np.array([None, "a", 1.5], dtype=object),
    "array of strings": lambda: np.array(["a", "b"]),
    "array of dates": lambda: np.array(["2020-01-01"], dtype="datetime64[D]"),
    "structured array": lambda: np.zeros(3, dtype=[("a", int), ("b", float)]),
    "masked array": lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    "bytes": lambda: b"abc",
    "bytearray": lambda: bytearray(b"abc"),
    "memoryview": lambda: memoryview(b"abc"),
    "empty string": lambda: "",
    "string": lambda: "abc",
    "null character": lambda: "a\0b",
    "surrogate": lambda: "\ud800",
    "long string": lambda: "x" * 100_000,
    "str subclass": lambda: Text("abc"),
    "empty list": lambda: [],
    "empty tuple": lambda: (),
    "empty dict": lambda: {},
    "list of None": lambda: [None, None],
    "ragged list": lambda: [[1.0, 2.0], [3.0]],
    "recursive list": recursive_list,
    "pair": lambda: (1, 2),
    "set": lambda: {1, 2},
    "dict": lambda: {"a": 1, 2: "b"},
    "range": lambda: range(3),
    "generator": lambda: (i for i in range(3)),
    "function": lambda: lambda *a, **k: None,
    "type": lambda: int,
    "object": object,
    "broken repr": BrokenRepr,
    "hostile": Hostile,
    "Ellipsis": lambda: ...,
    "NotImplemented": lambda: NotImplemented,
    "module": lambda: types,
    "exception": lambda: ValueError("x"),
    "date": lambda: datetime.date(2020, 1, 1),
    "Path": lambda: Path("no/such/file"),
    "stream": io.BytesIO,
}

X = np.random.default_rng(0).random((6, 4))
LABELS = np.array([0, 1, 2, 0, 1, 2])
Y = np.eye(3)[LABELS]


def network():
    return fastmlp.Network((4, 5, 3), random_state=0)


def trainer():
    return fastmlp.Trainer(network(), random_state=0, n_threads=1)


def fitted(estimator):
    return estimator(hidden_layer_sizes=(3,), max_iter=2, solver="sgd").fit(X, LABELS)


def classifier():
    return fitted(fastmlp.MLPClassifier)


def regressor():
    return fitted(fastmlp.MLPRegressor)


def my_ann():
    data = (X, LABELS, X, LABELS)
    with contextlib.redirect_stdout(io.StringIO()):
        return fastmlp.MyANN(
            data,
            n_hidden_layers=1,
            ay_nodes_layers=[0, 3, 0],
            n_nodes_layer_out=3,
            n_size_mini_batch=3,
            n_epochs=1,
        )


def history():
    return trainer().fit(X, Y, n_epochs=2)


def saved():
    path = file("safetensors")
    fastmlp.save(network(), path)
    return path


def fits(callback):
    return trainer().fit(X, Y, n_epochs=2, callbacks=[callback])


def estimator_fit(estimator):
    """scikit-learn's convention: parameters are checked by `fit`, not by the constructor."""

    def construct_and_fit(**parameters):
        parameters.setdefault("hidden_layer_sizes", (3,))
        parameters.setdefault("max_iter", 2)
        return estimator(**parameters).fit(X, LABELS)

    construct_and_fit.__signature__ = inspect.signature(estimator)
    return construct_and_fit


def made_and_used(callback):
    """Callbacks are made, and used in a fit if they could be made."""

    def make_and_use(*arguments, **parameters):
        return fits(callback(*arguments, **parameters))

    make_and_use.__signature__ = inspect.signature(callback)
    return make_and_use


def search_fit(kind):
    """Searches check their parameters in `fit`, too."""

    def construct_and_fit(**parameters):
        parameters.setdefault("max_epochs", 2)
        parameters.setdefault("cv", 2)
        parameters.setdefault("estimator", fastmlp.MLPClassifier(hidden_layer_sizes=(2,)))
        parameters.setdefault("param_distributions", {"alpha": [0.1, 0.2]})
        return kind(**parameters).fit(X, LABELS % 2)

    construct_and_fit.__signature__ = inspect.signature(kind)
    return construct_and_fit


def a_search():
    return search.SuccessiveHalvingSearch(
        fastmlp.MLPClassifier(hidden_layer_sizes=(2,)), {"alpha": [0.1, 0.2]}, max_epochs=2, cv=2,
        n_workers=1,
    )  # fmt: skip


def group_models():
    estimator = fastmlp.MLPRegressor(hidden_layer_sizes=(2,), max_iter=2)
    return search.fit_many(estimator, X, LABELS, [0, 0, 0, 1, 1, 1], backend="threads")


def saved_groups():
    path = file("safetensors")
    group_models().save(path)
    return path


def method(make, kind, name):
    """A method of an object that is made anew for every call."""

    def call(**arguments):
        return getattr(make(), name)(**arguments)

    parameters = list(inspect.signature(getattr(kind, name)).parameters.values())[1:]
    call.__signature__ = inspect.Signature(parameters)
    return call


def folder():
    return tempfile.mkdtemp()


def file(ending):
    return str(Path(folder()) / f"model.{ending}")


SUBJECTS = {
    "Network": (fastmlp.Network, lambda: {"sizes": (4, 5, 3)}),
    "Network.initialize": (method(network, fastmlp.Network, "initialize"), dict),
    "Network.predict": (method(network, fastmlp.Network, "predict"), lambda: {"X": X}),
    "Network.set_weights": (method(network, fastmlp.Network, "set_weights"),
                            lambda: {"weights": network().weights}),
    "Network.transform": (method(network, fastmlp.Network, "transform"), lambda: {"X": X}),
    "Network.summary": (method(network, fastmlp.Network, "summary"), dict),
    "Network.views": (method(network, fastmlp.Network, "views"),
                      lambda: {"flat": network().parameters}),
    "Trainer": (fastmlp.Trainer, lambda: {"network": network()}),
    "Trainer.fit": (method(trainer, fastmlp.Trainer, "fit"), lambda: {"X": X, "Y": Y}),
    "Trainer.evaluate": (method(trainer, fastmlp.Trainer, "evaluate"), lambda: {"X": X, "Y": Y}),
    "Trainer.set_weights": (method(trainer, fastmlp.Trainer, "set_weights"),
                            lambda: {"weights": network().parameters}),
    "Trainer.settings": (method(trainer, fastmlp.Trainer, "settings"), lambda: {"n_epochs": 1}),
    "MLPClassifier": (estimator_fit(fastmlp.MLPClassifier), dict),
    "MLPRegressor": (estimator_fit(fastmlp.MLPRegressor), dict),
    "MyANN": (fastmlp.MyANN, lambda: {
        "my_data_set": (X, LABELS, X, LABELS), "ay_nodes_layers": [0, 3, 0], "n_nodes_layer_out": 3,
        "n_size_mini_batch": 3}),
    "MyANN.fit": (method(my_ann, fastmlp.MyANN, "fit"), dict),
    "MyANN.fit_full_cost": (method(my_ann, fastmlp.MyANN, "fit_full_cost"),
                            lambda: {"n_epochs": 1}),
    "MyANN.look_into_mini_batch": (method(my_ann, fastmlp.MyANN, "look_into_mini_batch"), dict),
    "MyANN.plot_misclassified": (method(my_ann, fastmlp.MyANN, "plot_misclassified"), dict),
    "MyANN.predict": (method(my_ann, fastmlp.MyANN, "predict"), lambda: {"X": X}),
    "MyANN.predict_proba": (method(my_ann, fastmlp.MyANN, "predict_proba"), lambda: {"X": X}),
    "MyANN.reset": (method(my_ann, fastmlp.MyANN, "reset"), dict),
    "MyANN.score": (method(my_ann, fastmlp.MyANN, "score"), lambda: {"X": X, "y": LABELS}),
    "Checkpoint": (made_and_used(fastmlp.Checkpoint), lambda: {"folder": folder()}),
    "EarlyStopping": (made_and_used(fastmlp.EarlyStopping), lambda: {"monitor": "error"}),
    "LearningRateScheduler": (made_and_used(fastmlp.LearningRateScheduler),
                              lambda: {"rate": lambda epoch, rate: rate}),
    "LivePlot": (made_and_used(fastmlp.LivePlot), lambda: {"out": file("png")}),
    "MLflowLog": (callbacks.MLflowLog, lambda: {"run_id": "0"}),
    "OptunaPruning": (made_and_used(callbacks.OptunaPruning), lambda: {
        "trial": optuna.trial.FixedTrial({}), "monitor": "error"}),
    "TargetReached": (made_and_used(fastmlp.TargetReached), lambda: {"target": 0.1}),
    "TensorBoardLog": (made_and_used(fastmlp.TensorBoardLog), lambda: {"folder": folder()}),
    "TimeBudget": (made_and_used(fastmlp.TimeBudget), lambda: {"budget": 10}),
    "export_onnx": (fastmlp.export_onnx, lambda: {"model": network(), "path": file("onnx")}),
    "load": (fastmlp.load, lambda: {"path": saved()}),
    "save": (fastmlp.save, lambda: {"model": network(), "path": file("safetensors")}),
    "resolve_threads": (fastmlp.resolve_threads, dict),
    "losses.CustomLoss": (losses.CustomLoss, lambda: {"own": lambda y, a: (a, a)}),
    "losses.Huber": (losses.Huber, dict),
    "losses.Quantile": (losses.Quantile, dict),
    "optimizers.Adam": (optimizers.Adam, dict),
    "optimizers.AdamW": (optimizers.AdamW, dict),
    "optimizers.RMSprop": (optimizers.RMSprop, dict),
    "optimizers.SGD": (optimizers.SGD, dict),
    "datasets.find": (datasets.find, lambda: {"name": "mnist", "cache_dir": folder()}),
    "datasets.load": (datasets.load, lambda: {"name": "digits", "cache_dir": folder(),
                                              "download": False}),
    "search.SuccessiveHalvingSearch": (search_fit(search.SuccessiveHalvingSearch), dict),
    "search.HyperbandSearch": (search_fit(search.HyperbandSearch), dict),
    "SuccessiveHalvingSearch.fit": (
        method(a_search, search.SuccessiveHalvingSearch, "fit"), lambda: {"X": X, "y": LABELS % 2}),
    "HyperbandSearch.fit": (
        method(a_search, search.HyperbandSearch, "fit"), lambda: {"X": X, "y": LABELS % 2}),
    "search.fit_many": (search.fit_many, lambda: {
        "estimator": fastmlp.MLPRegressor(hidden_layer_sizes=(2,), max_iter=2), "X": X, "y": LABELS,
        "groups": [0, 0, 0, 1, 1, 1], "backend": "threads"}),
    "GroupModels.predict": (
        method(group_models, search.GroupModels, "predict"),
        lambda: {"X": X, "groups": [0, 0, 0, 1, 1, 1]}),
    "GroupModels.save": (
        method(group_models, search.GroupModels, "save"), lambda: {"path": file("safetensors")}),
    "GroupModels.load": (search.GroupModels.load, lambda: {"path": saved_groups()}),
    "plots.plot_search": (plots.plot_search, lambda: {
        "search": a_search().fit(X, LABELS % 2)}),
    "plots.plot_confusion_matrix": (plots.plot_confusion_matrix, lambda: {
        "y_true": LABELS, "y_pred": LABELS, "labels": [0, 1, 2]}),
    "plots.plot_misclassified": (plots.plot_misclassified, lambda: {
        "X": X, "y_true": LABELS, "y_pred": LABELS[::-1], "outputs": Y, "image_shape": (2, 2)}),
}  # fmt: skip
SUBJECTS |= {
    f"plots.{name}": (getattr(plots, name), lambda: {"history": history()})
    for name in ("plot_accuracy", "plot_costs", "plot_errors", "plot_reg_share", "plot_run")
}
SUBJECTS |= {
    f"plots.{name}": (getattr(plots, name), lambda: {
        "classifier": classifier(), "X": X, "y": LABELS, "resolution": 4})
    for name in ("decision_surface", "decision_surface_3d")
}  # fmt: skip
for _class, _make in {"MLPClassifier": classifier, "MLPRegressor": regressor}.items():
    SUBJECTS |= {
        f"{_class}.{name}": (method(_make, getattr(fastmlp, _class), name), base)
        for name, base in {
            "fit": lambda: {"X": X, "y": LABELS},
            "hidden_outputs": lambda: {"X": X},
            "partial_fit": lambda: {"X": X, "y": LABELS},
            "predict": lambda: {"X": X},
            "score": lambda: {"X": X, "y": LABELS},
        }.items()
    }
SUBJECTS["MLPRegressor.calibrate"] = (
    method(
        lambda: fitted(lambda **given: fastmlp.MLPRegressor("quantile", **given)),
        fastmlp.MLPRegressor,
        "calibrate",
    ),
    lambda: {"X": X, "y": LABELS},
)
for _name in ("predict_proba", "predict_log_proba"):
    SUBJECTS[f"MLPClassifier.{_name}"] = (
        method(classifier, fastmlp.MLPClassifier, _name),
        lambda: {"X": X},
    )


def tabular_fit(estimator):
    """As `estimator_fit`, of one short member."""

    def construct_and_fit(**parameters):
        parameters = {"n_members": 1, "network": {"max_epochs": 1}} | parameters
        return estimator(**parameters).fit(X, LABELS)

    construct_and_fit.__signature__ = inspect.signature(estimator)
    return construct_and_fit


for _class in (fastmlp.TabularClassifier, fastmlp.TabularRegressor):
    SUBJECTS |= {_class.__name__: (tabular_fit(_class), dict)}

    def _tabular(kind=_class):
        return tabular_fit(kind)()

    for _name, _base in {
        "fit": lambda: {"X": X, "y": LABELS},
        "predict": lambda: {"X": X},
        "score": lambda: {"X": X, "y": LABELS},
        "plot_history": dict,
    }.items():
        SUBJECTS[f"{_class.__name__}.{_name}"] = (
            method(_tabular, _class, _name),
            _base,
        )


def tabular_classifier():
    return tabular_fit(fastmlp.TabularClassifier)(validation=0.5)


def tabular_regressor():
    return tabular_fit(fastmlp.TabularRegressor)(validation=0.5)


SUBJECTS |= {
    "TabularClassifier.predict_proba": (
        method(tabular_classifier, fastmlp.TabularClassifier, "predict_proba"),
        lambda: {"X": X},
    ),
    "TabularRegressor.predict_interval": (
        method(tabular_regressor, fastmlp.TabularRegressor, "predict_interval"),
        lambda: {"X": X},
    ),
    "TabularClassifier.plot_importances": (
        method(tabular_classifier, fastmlp.TabularClassifier, "plot_importances"),
        dict,
    ),
    "TabularRegressor.plot_importances": (
        method(tabular_regressor, fastmlp.TabularRegressor, "plot_importances"),
        dict,
    ),
}

TABLE = pyarrow.table({"a": X[:, 0], "b": X[:, 1], "y": LABELS})


def parquet_file():
    path = file("parquet")
    pyarrow.parquet.write_table(TABLE, path)
    return path


def labelled_rows():
    return data.ArraySource(X, LABELS)


class Rows:
    """An object with slices."""

    def __len__(self):
        return len(X)

    def __getitem__(self, rows):
        return X[rows]


SUBJECTS |= {
    "data.ArraySource": (data.ArraySource, lambda: {"X": X, "y": LABELS}),
    "data.ArrowSource": (data.ArrowSource, lambda: {"data": TABLE, "target": "y"}),
    "data.ParquetSource": (data.ParquetSource, lambda: {"paths": parquet_file(), "target": "y"}),
    "data.SequenceSource": (data.SequenceSource, lambda: {"rows": Rows(), "y": LABELS}),
    "data.concatenate": (data.concatenate, lambda: {"sources": [labelled_rows()]}),
    "data.find_classes": (data.find_classes, lambda: {"source": labelled_rows()}),
    "data.fit_scaler": (data.fit_scaler, lambda: {"source": labelled_rows()}),
    "data.one_hot": (data.one_hot, lambda: {"source": labelled_rows()}),
    "data.predict": (data.predict, lambda: {"network": network(), "source": labelled_rows()}),
    "data.scaled": (data.scaled, lambda: {
        "source": labelled_rows(), "scaler": StandardScaler().fit(X)}),
    "data.split": (data.split, lambda: {"source": labelled_rows()}),
    "data.with_window": (data.with_window, lambda: {
        "source": labelled_rows(), "window_rows": 2}),
    "data.windows": (data.windows, lambda: {"series": X, "width": 2}),
}  # fmt: skip

ALLOWED = TypeError, ValueError, OSError, ImportError, HostileError

NAMING_ANYWAY = OSError, HostileError, DivergenceError, ModelFormatError, DataFormatError
"""Errors about a file, a diverged run, or of the object itself."""


def arguments(name):
    """Names of a subject's arguments."""
    parameters = inspect.signature(SUBJECTS[name][0]).parameters.values()
    variable = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return [p.name for p in parameters if p.kind not in variable]


class TooLong(Exception):
    pass


def ring(*_):
    raise TooLong(f"no end after {SECONDS} s")


def named(argument, error):
    """Whether the message names the argument, in singular or plural, or the file."""
    if isinstance(
        error, OSError | HostileError | DivergenceError | ModelFormatError | DataFormatError
    ):
        return True
    text = str(error)
    return re.search(rf"(?<![a-zA-Z]){re.escape(argument)}(?![a-zA-Z])", text) is not None


def finding(name, argument, value):
    """What is wrong with one call; None if nothing is."""
    call, base = SUBJECTS[name]
    keywords = base() | {argument: VALUES[value]()}
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            call(**keywords)
    except ALLOWED as error:
        if not named(argument, error):
            return f"{type(error).__name__} without the name: {error}"[:300]
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300]
    finally:
        signal.alarm(0)
        plots_open = sys.modules.get("matplotlib.pyplot")
        if plots_open is not None:
            plots_open.close("all")
    try:
        os.fstat(1)
    except OSError:
        return "standard output is closed"
    return None


def cases():
    named = [(s, a) for s in SUBJECTS for a in arguments(s)]
    return [(s, a, v) for s, a in named for v in VALUES if (a, v) not in NOT_FINDINGS]


def run(share, n_shares, only=""):
    """Findings of every n-th case, beginning with `share`, of subjects that match `only`.

    Raises what a working call raises: beyond that the odd values would never be reached.
    """
    import resource

    signal.signal(signal.SIGALRM, ring)
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
    os.chdir(tempfile.mkdtemp())
    for name, (call, base) in SUBJECTS.items():
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            if re.match(only, name):
                call(**base())
    found = []
    for case in [c for c in cases() if re.match(only, c[0])][share::n_shares]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrong = finding(*case)
        if wrong is not None:
            found.append([*case, wrong])
    return found


if __name__ == "__main__":
    output = os.fdopen(os.dup(1), "w")
    json.dump(run(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]), output)
    output.close()
