"""The page about several machines runs as it stands."""

import re
from pathlib import Path

import pytest

import fastmlp

nanny = pytest.importorskip("distributed.nanny")

PAGE = Path(__file__).parents[2] / "docs" / "several-machines.md"


@pytest.fixture
def patient_nannies(monkeypatch):
    """Dask gives a worker nine seconds to end, too few where others use the processors."""
    kill = nanny.Nanny.kill

    async def kill_patiently(self, timeout=5, reason="nanny-kill"):
        await kill(self, timeout=max(timeout, 60), reason=reason)

    monkeypatch.setattr(nanny.Nanny, "kill", kill_patiently)


@pytest.mark.filterwarnings("ignore:.*Port 8787 is already in use")  # by somebody's own cluster
@pytest.mark.usefixtures("patient_nannies")
def test_the_code_of_the_page_runs_and_learns(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(code, PAGE.name, "exec"), names)
    lazy, score = capsys.readouterr().out.splitlines()
    assert lazy.startswith("dask.array<")
    assert float(score) > 0.95
    assert type(names["local"]) is fastmlp.MLPClassifier
    assert names["trainer"].epochs_done == 5
