"""`calls`: the module of this operating system, `windows` or `posix`."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    from fastmlp.files import windows as calls
else:
    from fastmlp.files import posix as calls

__all__ = ["calls"]
