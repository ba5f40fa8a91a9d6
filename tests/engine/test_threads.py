"""Who decides the number of threads."""

from __future__ import annotations

import pytest

from fastmlp import resolve_threads
from fastmlp.engine import threads as _threads


@pytest.mark.parametrize(
    "environ, n_threads, source",
    [
        ({"OPENBLAS_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3, "OPENBLAS_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "5"}, 5, "OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "4,2"}, 4, "OMP_NUM_THREADS"),
        ({"OPENBLAS_NUM_THREADS": "0", "OMP_NUM_THREADS": "2"}, 2, "OMP_NUM_THREADS"),
        ({"OPENBLAS_NUM_THREADS": "many"}, None, "usable processors"),
        ({"OPENBLAS_NUM_THREADS": "9999"}, 256, "OPENBLAS_NUM_THREADS"),
        ({}, None, "usable processors"),
    ],
    ids=str,
)
def test_environment_decides_in_the_documented_order(environ, n_threads, source):
    found = resolve_threads(None, environ)
    assert found.source == source
    assert found.n_threads == (n_threads or _threads.usable_processors())


def test_argument_beats_the_environment():
    assert resolve_threads(7, {"OPENBLAS_NUM_THREADS": "3"}).n_threads == 7


@pytest.mark.parametrize(
    "value, error, message",
    [
        (0, ValueError, "n_threads must be from 1 to 256; got 0"),
        (300, ValueError, "n_threads must be from 1 to 256; got 300"),
        (1.5, TypeError, "n_threads must be an integer; got 1.5"),
    ],
)
def test_wrong_thread_counts_are_refused(value, error, message):
    with pytest.raises(error, match=message):
        resolve_threads(value)


@pytest.mark.parametrize(
    "files, expected",
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_control_group_quota_is_respected(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _threads.cgroup_quota(tmp_path) == expected
