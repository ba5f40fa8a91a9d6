"""Run a search that can be killed: in a folder, and its results to a file at the end.

    python tests/tools/killed_search.py FOLDER RESULTS BACKEND [N_OUTCOMES]

With N_OUTCOMES it stops for ever before it writes one more outcome to the folder than these.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from searches import X, Y, results, search, weights

from fastmlp.search.folder import SearchFolder


def stop_after(n_outcomes):
    """Wait to be killed when so many outcomes are in the folder."""
    write, seen = SearchFolder.outcome, []

    def outcome(self, result, one):
        if len(seen) == n_outcomes:
            threading.Event().wait()
        write(self, result, one)
        seen.append(one)

    SearchFolder.outcome = outcome


def summary(found):
    """What two searches must share, as JSON: scores, parameters, and the weights of the best."""
    table = {name: list(map(repr, column)) for name, column in results(found).items()}
    return json.dumps([table, [part.hex() for part in weights(found)]])


if __name__ == "__main__":
    folder, output, backend, *n_outcomes = sys.argv[1:]
    if n_outcomes:
        stop_after(int(n_outcomes[0]))
    text = summary(search(folder=folder, backend=backend).fit(X, Y))
    Path(output).write_text(text)
