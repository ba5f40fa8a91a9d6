"""Table of the rungs of a search while it runs: in place on a terminal, else a line per rung."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastmlp.estimators.verbose import is_listened_to, is_silenced, logger
from fastmlp.search.brackets import Bracket
from fastmlp.search.tasks import Outcome
from fastmlp.search.tournament import RungResult, mean_score

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

REFRESH_SECONDS = 0.1
LONGEST_TEXT = 60
COLUMNS = ("bracket", "rung", "epochs", "configurations", "done", "best score", "best parameters")


class SearchTable:
    """Shows a tournament; an observer of it.

    Parameters
    ----------
    brackets : sequence of Bracket
    candidates : sequence of mapping
        Parameters of the candidates.
    n_splits : int
    metric : str
    """

    def __init__(
        self,
        brackets: Sequence[Bracket],
        candidates: Sequence[Mapping[str, Any]],
        n_splits: int,
        metric: str,
    ) -> None:
        self.candidates, self.n_splits, self.metric = candidates, n_splits, metric
        self._rows = {
            (i, j): [str(i), str(j), str(rung.n_epochs), str(rung.n_candidates), "", "", ""]
            for i, bracket in enumerate(brackets)
            for j, rung in enumerate(bracket)
        }
        self._live: Live | None = None
        self._last_refresh = -math.inf

    def __enter__(self) -> SearchTable:
        on_terminal = sys.stdout is not None and sys.stdout.isatty()
        if on_terminal and not is_listened_to():
            self._live = _started_live()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.update(self.drawn(), refresh=True)
            self._live.stop()

    def outcome(self, result: RungResult, outcome: Outcome) -> None:
        """Count a task that is done."""
        row = self._rows[result.bracket, result.rung]
        n = len(result.candidates) * self.n_splits
        row[3], row[4] = str(len(result.candidates)), f"{len(result.outcomes)}/{n}"
        now = time.monotonic()
        if self._live is not None and now - self._last_refresh > REFRESH_SECONDS:
            self._last_refresh = now
            self._live.update(self.drawn(), refresh=True)

    def decided(self, result: RungResult) -> None:
        """Show the best candidate of a rung."""
        row = self._rows[result.bracket, result.rung]
        means = {c: mean_score(result, c, self.n_splits, self.metric) for c in result.candidates}
        usable = {candidate: mean for candidate, mean in means.items() if not math.isnan(mean)}
        row[5:] = ["", "all have failed"]
        if usable:
            best = max(usable, key=lambda candidate: (usable[candidate], -candidate))
            row[5:] = [f"{usable[best]:.4f}", text_of(self.candidates[best])]
        if self._live is None:
            show_line(
                f"bracket {row[0]}, rung {row[1]}: {row[3]} configurations, {row[2]} epochs, "
                f"best score {row[5] or 'none'}: {row[6]}"
            )

    def drawn(self) -> Table:
        """Return the table for rich."""
        from rich.table import Table

        table = Table(*COLUMNS, expand=False)
        for column in table.columns[:-1]:
            column.justify = "right"
        for row in self._rows.values():
            is_last = (int(row[0]), int(row[1]) + 1) not in self._rows
            table.add_row(*row, end_section=is_last)
        return table


def text_of(parameters: Mapping[str, Any]) -> str:
    """Return parameters as short text: numbers with 4 digits."""
    parts = [
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in parameters.items()
    ]
    text = ", ".join(parts)
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def show_line(sentence: str) -> None:
    """Print a line, or pass it to the logger "fastmlp" if it has handlers."""
    if is_silenced():
        return
    if is_listened_to():
        logger.info(sentence)
    else:
        print(sentence, flush=True)


def _started_live() -> Live | None:
    """Return a table that can be updated; None without rich, or while another one is shown."""
    try:
        from rich.errors import LiveError
        from rich.live import Live
    except ImportError:
        return None
    live = Live(auto_refresh=False)
    try:
        live.start()
    except LiveError:
        return None
    return live
