"""Count the files of fastmlp that five ordinary calls enter, and how often they change the file.

    python tests/tools/trips.py                  table: at the start, wanted, measured
    python tests/tools/trips.py --files TRIP     the files of one trip, in order of entry
    python tests/tools/trips.py --json           the counts, for tests/package/test_trips.py

A file is entered when one of its functions is called. A change of file is a call into a file other
than that of the call before it; the first call changes nothing. What runs while a module is
imported does not count, nor do compiled functions.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import FrameType

import numpy as np

import fastmlp

PACKAGE = Path(fastmlp.__file__).parent


class Steps:
    """Files of the package, relative to its folder, one for each call of a function in order."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self._importing = 0

    def profile(self, frame: FrameType, event: str, _: object) -> None:
        """Take note of a call; the signature is that of sys.setprofile."""
        name = frame.f_code.co_filename
        if name == "<frozen importlib._bootstrap>" and frame.f_code.co_name == "_find_and_load":
            self._importing += {"call": 1, "return": -1}.get(event, 0)
        elif event == "call" and not self._importing and name.startswith(f"{PACKAGE}{os.sep}"):
            self.files.append(Path(name).relative_to(PACKAGE).as_posix())

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Record the calls of this thread, and of threads that are started meanwhile."""
        threading.setprofile(self.profile)
        sys.setprofile(self.profile)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    @property
    def entered(self) -> list[str]:
        """The files in order of their first call, each once."""
        return list(dict.fromkeys(self.files))

    @property
    def n_changes(self) -> int:
        """Number of calls into a file other than that of the call before."""
        return sum(before != file for before, file in pairwise(self.files))

    @property
    def n_plan_calls(self) -> int:
        """Number of calls into the planner."""
        return sum(name in ("engine/plan.py", "_plan.py") for name in self.files)


def rows(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 inputs (n_rows, 64) and one-hot float32 targets (n_rows, 10)."""
    rng = np.random.default_rng(0)
    labels = np.arange(n_rows) % 10
    return rng.normal(size=(n_rows, 64)).astype("float32"), np.eye(10, dtype="float32")[labels]


def trainer_fit() -> Callable[[], object]:
    """Return a fit of one epoch with four batches; nothing is saved."""
    inputs, targets = rows(400)
    trainer = fastmlp.Trainer(
        fastmlp.Network([64, 30, 10], random_state=0), batch_size=100, n_threads=1, random_state=0
    )
    return lambda: trainer.fit(inputs, targets, n_epochs=1)


def classifier() -> fastmlp.MLPClassifier:
    """Return a classifier for one epoch, not fitted."""
    return fastmlp.MLPClassifier((30,), max_iter=1, random_state=0, n_threads=1)


def classifier_fit() -> Callable[[], object]:
    """Return a classifier's fit of one epoch."""
    inputs, targets = rows(400)
    model, labels = classifier(), targets.argmax(1)
    return lambda: model.fit(inputs, labels)


def load() -> Callable[[], object]:
    """Return the loading of a saved classifier."""
    fitted = classifier_fit()()
    handle, path = tempfile.mkstemp(suffix=".safetensors")
    os.close(handle)
    fastmlp.save(fitted, path)

    def loading() -> None:
        fastmlp.load(path)
        Path(path).unlink()

    return loading


def command() -> Callable[[], object]:
    """Return the command fastmlp train --data digits --epochs 1, in this process."""
    from fastmlp.cli import main as module

    # The face of the room exports the function under the name of its module.
    main = module if callable(module) else module.main
    return lambda: main(["train", "--data", "digits", "--epochs", "1"])


def predict() -> Callable[[], object]:
    """Return a network's prediction of 200 rows."""
    inputs, _ = rows(200)
    network = fastmlp.Network([64, 30, 10], random_state=0)
    return lambda: network.predict(inputs)


TRIPS: dict[str, tuple[Callable[[], Callable[[], object]], tuple[int, int], int | None]] = {
    "Trainer.fit": (trainer_fit, (13, 46), 7),
    "MLPClassifier.fit": (classifier_fit, (28, 220), 16),
    "load": (load, (20, 236), 10),
    "train": (command, (32, 189), 18),
    "Network.predict": (predict, (5, 8), None),
}
"""Preparation, (files, changes of file) at the start, and files wanted, by name of the trip."""

PLAN_CALLS_AT_START = 47
"""Calls into the planner of a prediction of 200 rows, before the plan was kept."""


def measure(name: str) -> Steps:
    """Run a trip and return what it entered."""
    steps = Steps()
    printed = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch does not converge
        run = TRIPS[name][0]()
        with (
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            steps.recorded(),
        ):
            run()
    return steps


def counts() -> dict[str, dict[str, int]]:
    """Run all trips; return numbers of files, changes of file and calls into the planner."""
    result = {}
    for name in TRIPS:
        steps = measure(name)
        result[name] = {
            "files": len(steps.entered),
            "changes": steps.n_changes,
            "plan_calls": steps.n_plan_calls,
        }
    return result


def print_table(measured: dict[str, dict[str, int]]) -> None:
    """Print what was counted at the start, what is wanted, and what is measured."""
    print(f"{'':18} {'files':^24} {'changes of file':^16} {'planner':>8}")
    print(f"{'trip':18} {'start':>7} {'wanted':>7} {'now':>8} {'start':>8} {'now':>7} {'now':>8}")
    for name, (_, start, wanted) in TRIPS.items():
        now = measured[name]
        print(
            f"{name:18} {start[0]:7} {wanted or '':>7} {now['files']:8} {start[1]:8} "
            f"{now['changes']:7} {now['plan_calls']:8}"
        )
    print(
        f"\nA prediction of 200 rows called the planner {PLAN_CALLS_AT_START} times at the start."
    )


def print_files(name: str) -> None:
    """Print the files of a trip in order of entry, with the number of calls into each."""
    steps = measure(name)
    calls = Counter(steps.files)
    for path in steps.entered:
        print(f"{calls[path]:6}  {path}")


def main(arguments: list[str] | None = None) -> None:
    """Print the table, the files of one trip, or the counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", choices=TRIPS, metavar="TRIP", help=f"one of {list(TRIPS)}")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    options = parser.parse_args(arguments)
    if options.files:
        print_files(options.files)
    elif options.json:
        json.dump(counts(), sys.stdout, indent=2)
    else:
        print_table(counts())


if __name__ == "__main__":
    main()
