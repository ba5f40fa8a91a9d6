"""The fuzz targets run over their kept corpora, and (soak) with atheris for two minutes each."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz"
SECONDS = os.environ.get("FASTMLP_FUZZ_SECONDS", "120")


def load_targets():
    spec = importlib.util.spec_from_file_location("fuzz_targets", FUZZ / "targets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


targets = load_targets()


def corpus(name):
    return [path.read_bytes() for path in sorted((targets.CORPUS / name).iterdir())]


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("name", targets.TARGETS)
def test_a_reader_takes_or_refuses_its_corpus_within_its_memory(name, traced):
    inputs = corpus(name)
    taken = [targets.run(name, content) for content in inputs]
    assert 0 < sum(taken) < len(taken) <= 200
    assert max(map(len, inputs)) < 1 << 13  # a corpus is for reading too


@pytest.mark.parametrize("name", targets.TARGETS)
def test_a_reader_takes_or_refuses_mutations_of_its_corpus(name):
    rng = random.Random(name)
    for content in corpus(name):
        for _ in range(4):
            mutated = bytearray(content)
            for _ in range(rng.randint(1, 4)):
                begin = rng.randrange(len(mutated) + 1)
                end = begin + rng.choice((0, 1, 1, 1, 4, 16))
                mutated[begin:end] = rng.randbytes(rng.choice((0, 1, 1, 1, 4)))
            targets.run(name, bytes(mutated))


def test_every_folder_of_the_corpus_has_a_target():
    assert {path.name for path in targets.CORPUS.iterdir()} == set(targets.TARGETS)


def test_an_exception_that_is_not_documented_is_a_find(monkeypatch):
    def fail(data):
        raise KeyError("lost")

    monkeypatch.setitem(targets.TARGETS, "idx", (fail, ValueError))
    with pytest.raises(KeyError, match="lost"):
        targets.run("idx", b"")


def test_memory_beyond_the_promise_is_a_find(monkeypatch, traced):
    def take_much(data):
        bytearray(targets.EXTRA_BYTES + 2 * len(data) + 4096)

    monkeypatch.setitem(targets.TARGETS, "idx", (take_much, ValueError))
    with pytest.raises(AssertionError, match="bytes for a file of 3"):
        targets.run("idx", b"abc")


@pytest.mark.soak
@pytest.mark.parametrize("name", targets.TARGETS)
def test_two_minutes_of_fuzzing_find_nothing(name, tmp_path):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    (tmp_path / "found").mkdir()
    command = [sys.executable, FUZZ / "fuzz.py", name, f"-max_total_time={SECONDS}",
               f"-artifact_prefix={tmp_path}/", tmp_path / "found"]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"[-5000:]
    assert "Done " in result.stderr
