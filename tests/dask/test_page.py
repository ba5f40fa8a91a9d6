"""The page about several machines runs as it stands."""

import re
from pathlib import Path

import fastmlp

PAGE = Path(__file__).parents[2] / "docs" / "several-machines.md"


def test_the_code_of_the_page_runs_and_learns(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(code, PAGE.name, "exec"), names)
    lazy, score = capsys.readouterr().out.splitlines()
    assert lazy.startswith("dask.array<")
    assert float(score) > 0.95
    assert type(names["local"]) is fastmlp.MLPClassifier
    assert names["trainer"].epochs_done == 5
