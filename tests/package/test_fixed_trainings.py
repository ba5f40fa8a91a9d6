"""The bits of ten fixed training runs do not depend on the number of threads."""

from __future__ import annotations

import json

import fixed_trainings
import numpy as np


def test_one_thread_and_two_give_the_same_bits(capsys):
    results = []
    for n_threads in ("1", "2"):
        fixed_trainings.main(["--n-threads", n_threads])
        results.append(json.loads(capsys.readouterr().out))
    assert results[0] == results[1]


def test_all_ten_runs_end_with_different_weights():
    # Equal hashes of two different runs would mean that an option is ignored.
    hashes = fixed_trainings.hashes(2)
    assert len(hashes) == len(set(hashes.values())) == 10


def test_the_hash_tells_dtype_shape_and_sign_apart():
    zeros = np.zeros(4)
    different = [zeros, zeros.astype("float32"), zeros.reshape(2, 2), -zeros]
    assert len({fixed_trainings.sha256([array]) for array in different}) == 4
