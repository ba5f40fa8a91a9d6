"""Whatever a public function is given: a typed error that names the argument, or it works."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import odd_values
import pytest

import fastmlp
from fastmlp import callbacks, data, datasets, losses, optimizers, plots, search

N_SHARES = 23
"""Of all cases; a prime, so that every share meets every value and every argument."""

WITHOUT_A_CALL = {
    "DataFormatError", "DivergenceError", "ModelFormatError", "ResumeError",  # raised, not called
    "Evaluation", "History", "EpochCallback",  # made by the package, or derived from
    "from_keras", "to_keras",  # of Keras' objects; tests/exchange/test_keras.py
}  # fmt: skip
"""Public names that take no arguments of a user, and why."""

UNCHECKED_METHODS = {
    "Trainer.fit_as", "Trainer.train", "Trainer.draw_epoch",
    "Trainer.note_steps", "Trainer.note_epoch",  # between rooms of the package
    "GroupModels.get",  # of every mapping
    "get_params", "set_params", "set_callbacks", "get_metadata_routing",  # scikit-learn's
}  # fmt: skip


OTHERS, ESTIMATORS, TABLES = "(?!MLP|Tabular)", "MLP", "Tabular"


def findings(share, n_shares, subjects):
    command = [sys.executable, odd_values.__file__, str(share), str(n_shares), subjects]
    folder = Path(odd_values.__file__).parent
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


def test_a_share_of_all_odd_values_is_refused_by_name_or_works():
    assert findings(0, N_SHARES, OTHERS) == []


@pytest.mark.soak
@pytest.mark.parametrize(
    "subjects", [OTHERS, ESTIMATORS, TABLES], ids=["others", "estimators", "tables"]
)
@pytest.mark.parametrize("share", range(1, N_SHARES))
def test_all_odd_values_are_refused_by_name_or_work(share, subjects):
    assert findings(share, N_SHARES, subjects) == []


def test_a_share_of_all_odd_values_is_refused_by_the_estimators_or_works():
    assert findings(0, N_SHARES, ESTIMATORS) == []


def test_a_share_of_all_odd_values_is_refused_by_the_estimators_for_tables_or_works():
    assert findings(0, N_SHARES, TABLES) == []


def test_every_public_name_has_a_call():
    names = set(fastmlp.__all__) - {"__version__"}
    modules = {name for name in names if inspect.ismodule(getattr(fastmlp, name))}
    assert names - modules - WITHOUT_A_CALL <= set(odd_values.SUBJECTS)
    for module, prefix in ((plots, "plots."), (datasets, "datasets.")):
        functions = {n for n in dir(module) if inspect.isfunction(getattr(module, n))}
        assert {prefix + name for name in functions} <= set(odd_values.SUBJECTS)
    made_by_functions = {
        "ConcatenatedSource",
        "OneHotSource",
        "ScaledSource",
        "SplitSource",
        "WindowSizeSource",
        "WindowSource",
    }
    shown = {n for n in dir(data) if callable(getattr(data, n))}
    shown -= made_by_functions | {"Source", "SourceRows"}  # derived from, or returned
    assert {f"data.{name}" for name in shown} <= set(odd_values.SUBJECTS)
    for kind in (losses.Huber, losses.Quantile, losses.CustomLoss):
        assert f"losses.{kind.__name__}" in odd_values.SUBJECTS
    for kind in optimizers.OPTIMIZERS.values():
        assert f"optimizers.{kind.__name__}" in odd_values.SUBJECTS
    assert {f"search.{name}" for name in dir(search) if name[0].isupper()} <= {
        *odd_values.SUBJECTS,
        "search.GroupModels",  # made by fit_many
    }
    assert "search.fit_many" in odd_values.SUBJECTS
    kinds = {n for n in dir(callbacks) if inspect.isclass(getattr(callbacks, n))}
    assert kinds - {"Callback", "Training"} - WITHOUT_A_CALL <= set(odd_values.SUBJECTS)


@pytest.mark.parametrize("kind", [
    fastmlp.Network, fastmlp.Trainer, fastmlp.MyANN, fastmlp.MLPClassifier, fastmlp.MLPRegressor,
    fastmlp.TabularClassifier, fastmlp.TabularRegressor,
    search.GroupModels,
])  # fmt: skip
def test_every_public_method_with_arguments_has_a_call(kind):
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        taken = [p for p in inspect.signature(method).parameters if p != "self"]
        subject = f"{kind.__name__}.{name}"
        if name.startswith("_") or not taken or name.endswith("_request"):
            continue
        if name not in UNCHECKED_METHODS and subject not in UNCHECKED_METHODS:
            assert subject in odd_values.SUBJECTS


def test_a_call_that_should_work_and_does_not_is_an_error(monkeypatch, tmp_path):
    """Otherwise the odd values would never be reached."""

    def call(n_epochs=1):
        raise KeyError("broken")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)
    monkeypatch.setattr(odd_values.signal, "signal", lambda *_: None)
    monkeypatch.setattr(odd_values.tempfile, "mkdtemp", lambda: tmp_path)
    monkeypatch.setitem(odd_values.SUBJECTS, "planted", (call, dict))
    with pytest.raises(KeyError, match="broken"):
        odd_values.run(0, 1, "planted")


@pytest.mark.parametrize("error, expected", [
    (ValueError("n_epochs must be at least 0"), None),
    (ValueError("must be at least 0"), "ValueError without the name: must be at least 0"),
    (AttributeError("n_epochs"), "AttributeError: n_epochs"),
    (None, None),
])  # fmt: skip
def test_a_finding_is_another_error_or_a_message_without_the_name(monkeypatch, error, expected):
    def call(n_epochs):
        if error is not None:
            raise error

    monkeypatch.setitem(odd_values.SUBJECTS, "planted", (call, dict))
    assert odd_values.finding("planted", "n_epochs", "None") == expected
