"""What calls of fastmlp end in when the n-th allocation of memory fails; a program of its own.

    LD_PRELOAD=LIBRARY python failed_allocations.py LIBRARY OWN FIRST LAST [CALL ...]

LIBRARY is failing_malloc.c as a shared library. OWN is 1 to count the extension's own allocations
alone, 0 for those of the whole process, with PYTHONMALLOC=malloc all of its objects included. Every
n from FIRST to LAST has a forked child, for every CALL (all without). Prints a line of JSON each.
"""

from __future__ import annotations

import copy
import ctypes
import faulthandler
import functools
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np

import fastmlp
from fastmlp import MLPClassifier, Network, Trainer
from fastmlp.engine import _core

warnings.simplefilter("ignore")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 20)).astype(np.float32)
LABELS = np.arange(200) % 3
Y = np.eye(3, dtype=np.float32)[LABELS]
NETWORK = Network((20, 30, 3), output="softmax", random_state=0)
FOLDER = Path(tempfile.mkdtemp())


def fit():
    network = Network((20, 30, 3), output="softmax", random_state=0)
    Trainer(network, batch_size=50, random_state=0, n_threads=2).fit(X, Y, n_epochs=2)
    return network.parameters


def classify():
    model = MLPClassifier(hidden_layer_sizes=(5,), max_iter=2, random_state=0, n_threads=2)
    return model.fit(X, LABELS).predict_proba(X)


def custom_loss(y, a):
    return ((a - y) ** 2).sum(axis=1) / 2, a - y


def fit_custom_loss():
    network = Network((20, 30, 3), output="identity", random_state=0)
    Trainer(network, loss=custom_loss, batch_size=50, random_state=0, n_threads=2).fit(X, Y)
    return network.parameters


def save():
    fastmlp.save(NETWORK, FOLDER / f"{os.getpid()}.safetensors")
    data = (FOLDER / f"{os.getpid()}.safetensors").read_bytes()
    return np.frombuffer(data, np.uint8)


CALLS = {
    "network": lambda: Network((20, 30, 3), output="softmax", random_state=0).parameters,
    "engine": lambda: np.array(_core.Engine(
        NETWORK.sizes, NETWORK.functions, fastmlp.losses.Loss("cross_entropy"), np.float32, 2
    ).sizes),
    # A copy has no memory that an earlier call has left.
    "predict 1": lambda: copy.deepcopy(NETWORK).predict(X[:1]),
    "predict 9": lambda: copy.deepcopy(NETWORK).predict(X[:9]),
    "predict 200": lambda: copy.deepcopy(NETWORK).predict(X),
    "fit": fit,
    "fit custom loss": fit_custom_loss,
    "classifier": classify,
    "save": save,
    "load": lambda: fastmlp.load(FOLDER / "saved.safetensors").parameters,
}  # fmt: skip


def outcome(call, expected, arm, disarm):
    """What happens to a call in this process, and where: the same call must work afterwards."""
    result = error = None
    arm()
    try:
        result = call()
    except BaseException as raised:
        error = raised
    n_left = disarm()
    if error is None and n_left:
        return "not reached", "", ""
    if error is None and not same(result, expected):
        return "wrong result", "", ""
    if not same(call(), expected):
        return "wrong result of the next call", "", ""
    if error is None:
        return "success", "", ""
    text = "".join(traceback.format_exception(error))
    frames = traceback.extract_tb(error.__traceback__)
    return type(error).__name__, frames[-1].filename, text


def same(result, expected):
    return result.shape == expected.shape and (result == expected).all()


def in_child(*arguments):
    """The same in a forked child: what it wrote, or how it died."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os.close(reader)
        faulthandler.enable(writer)
        try:
            answer = outcome(*arguments)
        except BaseException as error:  # of the next call
            answer = "error of the next call", "", "".join(traceback.format_exception(error))
        os.write(writer, json.dumps(answer).encode()[:60_000])
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        written = file.read()
    _, status = os.waitpid(child, 0)
    if status != 0 or not written:
        text = written.decode()
        place = re.search(r'File "([^"]*)"', text)  # the innermost comes first
        return f"died of {os.waitstatus_to_exitcode(status)}", place[1] if place else "", text
    return json.loads(written)


def extension():
    """First and last address of the code of the extension."""
    ranges = [
        [int(end, 16) for end in line.split()[0].split("-")]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if line.endswith(_core.__file__)
    ]
    return min(r[0] for r in ranges), max(r[1] for r in ranges)


def main(library, own, first, last, *names):
    shim = ctypes.CDLL(library)
    shim.fail_allocation.argtypes = ctypes.c_long, ctypes.c_size_t, ctypes.c_size_t
    shim.fail_no_more.restype = ctypes.c_long
    limits = extension() if own == "1" else (0, 0)
    fastmlp.save(NETWORK, FOLDER / "saved.safetensors")
    for name in names or CALLS:
        call = CALLS[name]
        expected = call().copy()
        call()
        for n in range(int(first), int(last) + 1):
            arm = functools.partial(shim.fail_allocation, n, *limits)
            kind, place, text = in_child(call, expected, arm, shim.fail_no_more)
            line = {"call": name, "n": n, "outcome": kind, "place": place, "text": text}
            print(json.dumps(line), flush=True)
            if kind == "not reached":
                break
    shutil.rmtree(FOLDER)


if __name__ == "__main__":
    main(*sys.argv[1:])
