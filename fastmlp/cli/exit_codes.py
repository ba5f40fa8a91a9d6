"""Exit codes of the commands, and the exception that represents SIGTERM."""

from __future__ import annotations

FINISHED = 0
FAILED = 1
"""Training diverged, or a check failed."""

BAD_INPUT = 2
INTERRUPTED = 130
"""After Ctrl-C."""

BROKEN_PIPE = 141
"""The reader of the output has gone."""

TERMINATED = 143
"""After SIGTERM."""

ENDINGS = {
    FINISHED: "finished",
    FAILED: "diverged",
    BAD_INPUT: "ended by rows that cannot be used",
    INTERRUPTED: "interrupted",
    TERMINATED: "terminated",
}
"""What messages and files call the end of a run, by exit code."""


class Terminated(KeyboardInterrupt):
    """SIGTERM has been received; it ends a command as Ctrl-C does."""


def code_of(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code after Ctrl-C or SIGTERM."""
    return TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED
