"""benchmarks/predictions.py: what it times, and what it writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from processes import PATIENCE_SECONDS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "predictions.py"
if not SCRIPT.exists():
    pytest.skip("no benchmarks beside the tests", allow_module_level=True)


def test_every_contender_is_timed_for_every_number_of_rows(tmp_path):
    path = tmp_path / "result.json"
    command = [sys.executable, SCRIPT, "--networks", "4-8-1", "20-9-3", "--rows", "1", "20"]
    done = subprocess.run(
        [*command, "--rounds", "1", "--json", path],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads(path.read_text())["results"]
    assert [(each["network"], each["rows"]) for each in results] == [
        ("4-8-1", 1), ("4-8-1", 20), ("20-9-3", 1), ("20-9-3", 20),
    ]  # fmt: skip
    for each in results:
        assert {"fastmlp", "predictor", "NumPy", "scikit-learn"} <= set(each["seconds"])
        assert all(0 < seconds < 10 for seconds in each["seconds"].values())
    assert len(done.stdout.splitlines()) == 5
