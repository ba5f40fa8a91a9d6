"""Exit codes of the command ``fastmlp``."""

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
