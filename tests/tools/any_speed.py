"""Settings of hypothesis for machines on which other programs run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

AT_ANY_SPEED = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
"""An example may take long; and fixtures of a function are left as they are by every example."""
