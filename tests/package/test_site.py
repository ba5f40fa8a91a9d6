"""The documentation site: its pages run, nothing public is missing, and links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import tomllib
from pathlib import Path

import pytest
from pages import BLOCK, is_same, run
from sklearn.base import BaseEstimator

import fastmlp
from fastmlp import exceptions
from fastmlp._links import DOCUMENTATION, help_page
from fastmlp.estimators.warn import EXPLAINED, warn

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="no docs beside the tests")

FOLDERS = ("start", "guide", "coming-from")
PAGES = sorted(
    page.relative_to(DOCS).as_posix()
    for page in (DOCS / "index.md", *(page for f in FOLDERS for page in (DOCS / f).glob("*.md")))
    if page.exists()
)
OTHER_LIBRARIES = {"coming-from/keras.md": "keras", "coming-from/pytorch.md": "torch"}
"""Pages that compare with a library which takes many seconds to import."""

ROOMS = (
    "callbacks", "cnn", "cnn.maps", "data", "datasets", "estimators", "exceptions", "exchange",
    "initializers", "losses", "myann", "network", "optimizers", "plots", "reference", "schedules",
    "search", "studies", "tables", "training",
)  # fmt: skip
"""Rooms and single files whose names are public."""

TYPES = {"Array", "BiasTreatment", "CustomFunction", "Initializer", "Inputs", "Masks", "RateRule"}
TYPES |= {"Version", "Weights", "TYPE_CHECKING"}
"""Names for annotations, which need no page."""


NEEDS = {"guide/saving.md": "onnxruntime", "guide/serving.md": "fastapi"}
"""Pages whose examples need a package that fastmlp does not."""


def check(name, tmp_path, monkeypatch):
    page = DOCS / name
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    monkeypatch.chdir(tmp_path)
    for said, printed in run(page):
        assert is_same(said, printed), f"{name} says\n{said}\nand prints\n{printed}"


@pytest.mark.parametrize("name", [name for name in PAGES if name not in OTHER_LIBRARIES])
def test_the_examples_of_a_page_run_and_print_what_it_says(name, tmp_path, monkeypatch):
    check(name, tmp_path, monkeypatch)


@pytest.mark.soak
@pytest.mark.parametrize("name", OTHER_LIBRARIES)
def test_what_a_page_says_about_another_library_is_true(name, tmp_path, monkeypatch):
    pytest.importorskip(OTHER_LIBRARIES[name])
    check(name, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", PAGES)
def test_every_python_block_of_a_page_is_python(name):
    for block in BLOCK.finditer((DOCS / name).read_text()):
        compile(block["code"], name, "exec")


def test_numbers_are_compared_with_a_tolerance_and_words_without():
    assert is_same("accuracy: 0.97 of 450 rows", "accuracy: 0.96 of 450 rows\n")
    assert not is_same("accuracy: 0.97", "accuracy: 0.67")
    assert not is_same("loss: 3.1", "cost: 3.1")
    assert not is_same("1 2", "1")


def extension(name):
    """A file of docs/_ext as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- The reference


def public_names(room):
    """Names that a room or a file of public functions offers, without what it imports itself."""
    module = importlib.import_module(f"fastmlp.{room}")
    is_face = hasattr(module, "__path__")
    for name in dir(module):
        value = getattr(module, name) if name not in getattr(module, "_LAZY", ()) else None
        if name.startswith(("_", "check_")) or inspect.ismodule(value) or name in TYPES:
            continue
        home = getattr(value, "__module__", None)
        is_table = name.isupper() and home is None
        if value is None or is_face or is_table or home == module.__name__:
            yield name


def documented_names(room):
    """Names that the reference's page of a room lists."""
    text = (DOCS / "api" / f"{room.replace('.', '-')}.rst").read_text()
    assert f".. currentmodule:: fastmlp.{room}\n" in text
    return re.findall(r"^   (\w+)$", text, re.MULTILINE)


@pytest.mark.parametrize("room", ROOMS)
def test_the_reference_has_every_public_name_of_a_room_once(room):
    listed = documented_names(room)
    assert len(set(listed)) == len(listed)
    omitted = INTERNAL.get(room, set())
    assert set(listed) == set(public_names(room)) - omitted


INTERNAL = {
    "initializers": set(),
    "schedules": {"ONE_CYCLE_END", "ONE_CYCLE_RISE", "ONE_CYCLE_START", "rate_rule"},
}
"""Names without an underscore that other rooms use, and users do not."""


def test_the_names_of_the_package_are_on_the_first_page_of_the_reference():
    text = (DOCS / "api" / "index.rst").read_text()
    pages = set(re.findall(r"^   ([a-z-]+)$", text, re.MULTILINE))
    assert pages == {page.stem for page in (DOCS / "api").glob("*.rst")} - {"index"}
    listed = set(re.findall(r"`~fastmlp\.(?:\w+\.)?(\w+)`", text))
    things = {name for name in fastmlp.__all__ if not inspect.ismodule(getattr(fastmlp, name))}
    assert listed == things - {"__version__"}


def test_every_error_and_warning_has_its_part_with_cause_and_cure():
    text = (DOCS / "guide" / "errors.md").read_text()
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    own = {
        name
        for name, value in vars(exceptions).items()
        if inspect.isclass(value) and value.__module__ == exceptions.__name__
    }
    assert own and own <= set(parts)
    for name in own:
        assert "**Cause.**" in parts[name] and "**Cure.**" in parts[name], name


# --- Versions of names


@pytest.fixture
def versions_added():
    return extension("versions_added")


def test_the_names_of_every_release_are_stored(versions_added):
    """Of a release that has a date in the changelog; the command is in the extension."""
    heads = re.findall(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads
    assert {v for v, date in heads if date != "unreleased"} == set(versions_added.released())


def test_names_are_found_with_their_members(versions_added):
    names = versions_added.current_names()
    assert {"fastmlp.estimators.MLPClassifier", "fastmlp.network.Network.summary"} <= set(names)
    assert len(names) > 500


def test_a_name_has_the_first_version_whose_list_has_it(versions_added, tmp_path, monkeypatch):
    (tmp_path / "0.2.0.txt").write_text("a.b\na.c\n")
    (tmp_path / "0.10.0.txt").write_text("a.b\na.c\na.d\n")
    monkeypatch.setattr(versions_added, "LISTS", tmp_path)
    found = {name: versions_added.since(name) for name in ("a.b", "a.d", "a.e")}
    assert found == {"a.b": "0.2.0", "a.d": "0.10.0", "a.e": fastmlp.__version__}


def test_members_show_a_version_only_where_it_is_not_that_of_their_class(
    versions_added, tmp_path, monkeypatch
):
    (tmp_path / "0.0.1.txt").write_text("a.Class\na.Class.old\n")
    monkeypatch.setattr(versions_added, "LISTS", tmp_path)

    def shown(what, name):
        lines = []
        versions_added.add_version(None, what, name, None, None, lines)
        return " ".join(lines).strip()

    assert shown("class", "a.Class") == ".. versionadded:: 0.0.1"
    assert shown("method", "a.Class.old") == ""
    assert shown("method", "a.Class.new") == f".. versionadded:: {fastmlp.__version__}"
    assert shown("module", "a") == ""


# --- Links and the tree of pages


def test_the_address_of_the_site_stands_in_the_metadata_and_in_the_check_of_a_release():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Documentation"] == DOCUMENTATION
    assert all(url.startswith(DOCUMENTATION) for url in project["urls"].values())
    release = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert f"{DOCUMENTATION.replace('stable', 'latest')}/objects.inv" in release


def estimators():
    """All public classes with scikit-learn's interface."""
    for room in ("estimators", "search", "tables"):
        for name in documented_names(room):
            value = getattr(importlib.import_module(f"fastmlp.{room}"), name)
            if inspect.isclass(value) and issubclass(value, BaseEstimator):
                yield value


@pytest.mark.parametrize("kind", list(estimators()), ids=lambda kind: kind.__name__)
def test_the_html_of_an_estimator_links_to_a_page_of_the_reference(kind):
    required = [
        p
        for p in inspect.signature(kind).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    link = kind(*[fastmlp.MLPClassifier()] * len(required))._get_doc_link()
    room, name = kind.__module__, kind.__name__
    assert link == f"{DOCUMENTATION}/api/generated/{room}.{name}.html"
    assert name in documented_names(room.removeprefix("fastmlp."))


@pytest.mark.parametrize("category", EXPLAINED)
def test_warnings_that_need_more_than_a_sentence_lead_to_their_part(category):
    with pytest.warns(category, match="too slow. What helps: ") as caught:
        warn("too slow.", category)
    address = str(caught[0].message).removeprefix("too slow. What helps: ")
    check_help(address, category.__name__)


@pytest.mark.parametrize("name", ["DivergenceError", "ResumeError"])
def test_notes_of_errors_lead_to_their_part(name):
    check_help(help_page(name), name)


def check_help(address, name):
    page, _, part = address.removeprefix(f"{DOCUMENTATION}/").partition("#")
    text = (DOCS / page).with_suffix(".md").read_text()
    assert f"\n## {name}\n" in text
    assert part == name.lower()  # as Sphinx makes it of the heading


def contents():
    return extension("contents").CONTENTS


def test_every_page_is_in_the_tree_once():
    listed = ["index"]
    for parent, pages in contents().items():
        folder = (DOCS / parent).parent
        listed += [(folder / page).resolve().relative_to(DOCS).as_posix() for page in pages]
    assert len(listed) == len(set(listed))
    found = {page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md")}
    generated = {"gallery/index", "api/index"}
    assert set(listed) - generated == {page for page in found if not page.startswith("gallery/")}


def test_formulas_of_the_pages_become_mathml():
    convert = pytest.importorskip("latex2mathml.converter", reason="no site is built here").convert
    formulas = {
        formula
        for page in DOCS.rglob("*.md")
        for formula in re.findall(
            r"\$\$(.+?)\$\$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.DOTALL
        )
    }
    assert len(formulas) > 5
    for formula in formulas:
        assert "\\" not in re.sub(r"<[^>]+>", "", convert(formula)), formula


def test_a_built_site_is_counted(tmp_path):
    spec = importlib.util.spec_from_file_location("count_site", DOCS / "count_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "api" / "generated").mkdir(parents=True)
    (tmp_path / "_modules").mkdir()
    link = '<a class="reference internal" href="#">x</a>'
    (tmp_path / "index.html").write_text(f"{link}<article role=main>{link}<img src='x'></article>")
    (tmp_path / "api" / "generated" / "a.html").write_text(f"<article>{link}{link}</article>")
    (tmp_path / "_modules" / "b.html").write_text(f"<article>{link}</article>")
    found = module.count(tmp_path)
    assert found["pages"] == 2
    assert found["pages of the reference"] == 1
    assert found["links within the site"] == 3
    assert found["pictures"] == 1


def test_no_page_has_the_name_of_one_that_sphinx_makes():
    """It would be overwritten without a warning."""
    names = {page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md")}
    assert not names & {"search", "genindex", "modindex", "py-modindex"}


def test_every_example_has_a_title_and_a_place_in_the_gallery():
    tree = ast.parse((DOCS / "_ext" / "gallery.py").read_text())
    (order,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER"
    )
    scripts = {path.stem: path for path in (ROOT / "examples").glob("*.py")}
    assert sorted(order) == sorted(scripts)
    for name, path in scripts.items():
        title, line = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[:2]
        assert line == "=" * len(title), f"{name}: the docstring begins with a title, underlined"


@pytest.mark.parametrize("name", PAGES)
def test_links_of_a_page_lead_to_files_of_the_repository(name):
    page = DOCS / name
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("http"):
            path = target.partition("#")[0]
            assert (page.parent / path).exists(), f"{name}: {target}"
