"""The table of mutants still fits the sources; `make mutants` shows that the tests kill each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "long" / "mutants"))
from table import Mutant, mutants  # noqa: E402

if not (ROOT / "src").exists():
    pytest.skip("no source tree beside the tests", allow_module_level=True)
MUTANTS = list(mutants())


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.file}: {m.name}")
def test_a_mutant_can_be_applied_and_changes_the_file(mutant):
    text = (ROOT / mutant.file).read_text()
    assert mutant.applied(text) != text


def test_there_are_enough_and_all_different_mutants():
    assert len({(m.file, m.old, m.new, m.place) for m in MUTANTS}) == len(MUTANTS) >= 40
    assert len({(m.file, m.name) for m in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize(
    ("place", "result"), [(1, "x b a b"), (2, "a b x b"), (3, None), (None, None)]
)
def test_a_mutant_changes_the_place_it_names(place, result):
    mutant = Mutant("file", "name", "a", "x", place)
    if result is None:
        with pytest.raises(ValueError, match="file, name: the text stands there 2 times"):
            mutant.applied("a b a b")
    else:
        assert mutant.applied("a b a b") == result


def test_a_stanza_that_is_no_mutant_is_refused():
    (mutant,) = mutants("# comment\n\nsrc/a.c #2: wrong\n-one\n- two\n+three\n")
    assert mutant == Mutant("src/a.c", "wrong", "one\n two", "three", 2)
    for table in ("src/a.c\n-one\n", "src/a.c: name\n one\n"):
        with pytest.raises(ValueError, match=r"no mutant: 'src/a\.c"):
            list(mutants(table))
