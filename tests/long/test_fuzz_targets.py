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
from audit import audited

FUZZ = Path(__file__).parent / "fuzz"
SECONDS = os.environ.get("FASTMLP_FUZZ_SECONDS", "120")


sys.path.append(str(FUZZ))
import targets  # noqa: E402


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
    assert max(map(len, inputs)) < 1 << 14  # a corpus is for reading too


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


def test_no_reader_runs_imports_writes_or_calls_anything(tmp_path):
    for name, target in targets.TARGETS.items():
        (tmp_path / name).mkdir()
        for i, content in enumerate(corpus(name)):
            kind = "honest" if targets.run(name, content) else "hostile"
            (tmp_path / name / f"{kind}-{i:03}").write_bytes(target.as_file(content))
    results = audited(tmp_path)
    assert len(results) > 100
    assert set(results) == {"taken", "refused"}


def test_the_audit_sees_what_it_forbids():
    acts = (
        "compile('1', '', 'eval')",
        "import this",
        "exec('1')",
        "os.mkdir('/')",
        "open(os.devnull, 'ab')",
        "subprocess.run(['true'])",
        "socket.socket()",
        "pickle.loads(b'cos\\nsystem\\n.')",
    )
    code = "import contextlib, io, os, pickle, socket, subprocess\nfrom audit import watch\n"
    for act in acts:
        code += f"seen, end = watch()\nwith contextlib.suppress(OSError):\n    {act}\nend()\n"
        code += f"assert seen, {act!r}\n"
    code += "seen, end = watch()\nopen(os.devnull).read()\nend()\nassert seen == []"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=FUZZ.parents[1] / "tools", capture_output=True
    )
    assert run.returncode == 0, run.stderr.decode()


def test_every_folder_of_the_corpus_has_a_target():
    assert {path.name for path in targets.CORPUS.iterdir()} == set(targets.TARGETS)


def test_an_exception_that_is_not_documented_is_a_find(monkeypatch):
    def fail(path):
        raise KeyError("lost")

    monkeypatch.setitem(targets.TARGETS, "idx", targets.Target(fail, ValueError))
    with pytest.raises(KeyError, match="lost"):
        targets.run("idx", b"")


def test_memory_beyond_the_promise_is_a_find(monkeypatch, traced):
    def take_much(path):
        bytearray(targets.EXTRA_BYTES + 2 * len(b"abc") + 4096)

    monkeypatch.setitem(targets.TARGETS, "idx", targets.Target(take_much, ValueError))
    with pytest.raises(AssertionError, match="bytes for a file of 3"):
        targets.run("idx", b"abc")


@pytest.mark.soak
@pytest.mark.parametrize("name", targets.TARGETS)
def test_two_minutes_of_fuzzing_find_nothing(name, tmp_path):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    (tmp_path / "found").mkdir()
    command = [
        sys.executable,
        FUZZ / "fuzz.py",
        name,
        f"-max_total_time={SECONDS}",
        f"-artifact_prefix={tmp_path}/",
        tmp_path / "found",
    ]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"[-5000:]
    assert "Done " in result.stderr
