"""Docstrings of public names: their examples run, and their parameters are those of the code."""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
import pkgutil
import re

import numpy as np
import pytest

import fastmlp

FACES = ("", ".callbacks", ".dask", ".data", ".datasets",
         ".estimators", ".exceptions", ".exchange", ".initializers",
         ".losses", ".myann", ".network", ".optimizers", ".plots", ".reference", ".schedules",
         ".search", ".studies", ".tables", ".training", ".cnn", ".cnn.maps")  # fmt: skip


def public_functions():
    """Yield (name, function, docstring) of all public functions, classes and their methods."""
    seen = set()
    for face in FACES:
        module = importlib.import_module(f"fastmlp{face}")
        for name in getattr(module, "__all__", dir(module)):
            if name.startswith(("_", "check_")) or name in getattr(module, "_LAZY", ()):
                continue
            thing = getattr(module, name)
            if not str(getattr(thing, "__module__", "")).startswith("fastmlp") or id(thing) in seen:
                continue
            seen.add(id(thing))
            if inspect.isclass(thing):
                yield f"fastmlp{face}.{name}", thing, thing.__doc__
                for method, function in inspect.getmembers(thing, inspect.isfunction):
                    if not method.startswith("_") and function.__module__.startswith("fastmlp"):
                        yield f"fastmlp{face}.{name}.{method}", function, function.__doc__
            elif inspect.isfunction(thing):
                yield f"fastmlp{face}.{name}", thing, thing.__doc__


def lazy_functions():
    """Yield the names of the package that are imported at first use."""
    for name in fastmlp._LAZY:
        thing = getattr(fastmlp, name)
        if not inspect.isclass(thing):
            yield f"fastmlp.{name}", thing, thing.__doc__


FUNCTIONS = {name: (thing, doc) for name, thing, doc in (*public_functions(), *lazy_functions())}


WITH_EXAMPLES = [name for name, (_, doc) in FUNCTIONS.items() if ">>>" in (doc or "")]


@pytest.mark.parametrize("name", [name for name in WITH_EXAMPLES if ".cnn." not in name])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_example_of_a_docstring_prints_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thing, doc = FUNCTIONS[name]
    room = importlib.import_module(name.rpartition(f".{thing.__qualname__}")[0])
    names = {public: getattr(fastmlp, public) for public in fastmlp.__all__}
    names |= {"fastmlp": fastmlp, "np": np} | vars(room)
    example = doctest.DocTestParser().get_doctest(inspect.cleandoc(doc), names, name, None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    printed = io.StringIO()
    runner.run(example, out=printed.write)
    assert runner.failures == 0, printed.getvalue()


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in WITH_EXAMPLES if ".cnn." in name])
def test_the_example_of_a_docstring_of_the_cnn_part_prints_what_it_says(
    name, tmp_path, monkeypatch
):
    pytest.importorskip("keras")
    test_the_example_of_a_docstring_prints_what_it_says(name, tmp_path, monkeypatch)


def test_examples_are_found():
    assert {"fastmlp.Network", "fastmlp.Network.summary"} <= set(WITH_EXAMPLES)
    assert len(WITH_EXAMPLES) > 15


def described(doc, section="Parameters"):
    """Names that a section of a numpydoc docstring describes; None without the section."""
    found = re.search(
        rf"^{section}\n-+\n(.*?)(?=^\S[^\n]*\n-{{3,}}\n|\Z)",
        inspect.cleandoc(doc),
        re.MULTILINE | re.DOTALL,
    )
    if not found:
        return None
    heads = re.findall(r"^(\S[^\n]*)$", found[1], re.MULTILINE)
    return [name.strip().lstrip("*") for head in heads for name in head.split(" : ")[0].split(",")]


def accepted(thing):
    """Names of the arguments of a function, or of a class's constructor."""
    parameters = inspect.signature(thing).parameters
    return [name for name in parameters if name not in {"self", "cls"}]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_names_have_a_docstring_and_describe_the_arguments_they_have(name):
    thing, doc = FUNCTIONS[name]
    assert doc and doc.strip(), name
    parameters = described(doc)
    if parameters is not None:
        assert sorted(parameters) == sorted(accepted(thing))


ARRAYS = re.compile(r"\bArray\b|NDArray|ndarray|array-like|\barrays?\b|matri(x|ces)|Weights")
SHAPE = re.compile(
    r"shape|\((?:n|\d+|`\w+`|\w+),|\((?:n\w*),?\)|like `?[XyW]|[Ll]ike |scalar|element by element"
)
SECTIONS = ("Parameters", "Attributes", "Returns", "Yields")


def described_arrays(doc):
    """The parts of a docstring's sections whose type is an array."""
    for section in SECTIONS:
        found = re.search(
            rf"^{section}\n-+\n(.*?)(?=^\S[^\n]*\n-{{3,}}\n|\Z)",
            inspect.cleandoc(doc),
            re.MULTILINE | re.DOTALL,
        )
        for item in re.split(r"^(?=\S)", found[1] if found else "", flags=re.MULTILINE):
            head = item.partition("\n")[0]
            kind = head.partition(" : ")[2] or (head if section in ("Returns", "Yields") else "")
            if ARRAYS.search(kind):
                yield item


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_array_of_a_public_name_has_a_shape(name):
    thing, doc = FUNCTIONS[name]
    for item in described_arrays(doc):
        assert SHAPE.search(item), item
    annotations = " ".join(map(str, getattr(thing, "__annotations__", {}).values()))
    is_own = "._" not in thing.__module__  # not a helper that a room imports
    if inspect.isfunction(thing) and is_own and ARRAYS.search(annotations):
        assert SHAPE.search(doc), doc


def test_arrays_without_a_shape_are_seen():
    doc = """Do it.

    Parameters
    ----------
    a : ndarray
        Numbers.
    b : array-like of shape (n,)
    """
    assert [bool(SHAPE.search(item)) for item in described_arrays(doc)] == [False, True]


def test_sections_of_docstrings_are_read():
    doc = """Do it.

    Parameters
    ----------
    a, b : int
        Two numbers: c, d.
    *args : float

    Returns
    -------
    int
    """
    assert described(doc) == ["a", "b", "args"]
    assert described(doc, "Returns") == ["int"]
    assert described("Do it.") is None


def test_public_functions_are_found():
    assert len(FUNCTIONS) > 150
    assert {"fastmlp.Trainer.fit", "fastmlp.save", "fastmlp.cnn.maps.refine"} <= set(FUNCTIONS)


def test_pkgutil_sees_the_rooms_that_are_checked():
    rooms = {module.name for module in pkgutil.iter_modules(fastmlp.__path__)}
    assert {face[1:].partition(".")[0] for face in FACES if face} <= rooms
