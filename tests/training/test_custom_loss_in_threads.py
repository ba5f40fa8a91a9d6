"""Ctrl-C and SIGTERM while a custom loss, which needs the GIL, runs outside of the main thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from fastmlp import Network, Trainer

SECONDS = 60
"""By far enough for a signal, and by far too short for the fits here."""

SCRIPT = """
import signal, sys, threading, time
import numpy as np
from fastmlp import Network, Trainer

signal.signal(signal.SIGINT, signal.default_int_handler)
n_calls = 0

def loss(y, a):
    global n_calls
    n_calls += 1
    if n_calls == 20:
        print("running", flush=True)
    d = a - y
    return (d * d).sum(axis=1) / 2, d

def fit():
    x, y = np.ones((2000, 20), np.float32), np.ones((2000, 3), np.float32)
    network = Network((20, 30, 3), output="identity", random_state=0)
    trainer = Trainer(network, loss=loss, learning_rate=1e-9, batch_size=500, n_threads=2)
    trainer.fit(x, y, n_epochs=10**7)

def in_a_thread():
    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    return thread

def join():
    in_a_thread().join()

def sleep():
    in_a_thread()
    time.sleep(1e6)

def compute():
    in_a_thread()
    while True:
        pass

def train():
    in_a_thread()
    network = Network((20, 30, 3), random_state=0)
    trainer = Trainer(network, learning_rate=1e-9, batch_size=500, n_threads=2)
    trainer.fit(np.ones((2000, 20)), np.ones((2000, 3)), n_epochs=10**7)

def joblib():
    from joblib import Parallel, delayed
    Parallel(n_jobs=2, backend="threading")(delayed(fit)() for _ in range(2))

try:
    locals()[sys.argv[1]]()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def started(main_thread):
    """A process whose main thread does this while another one fits."""
    command = [sys.executable, "-c", SCRIPT, main_thread]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "running\n"
    return process


@pytest.mark.parametrize("main_thread", ["join", "sleep", "compute", "train", "joblib"])
def test_ctrl_c_reaches_the_main_thread_and_the_process_ends(main_thread):
    with started(main_thread) as process:
        try:
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert (out, process.returncode) == ("interrupted\n", 0), errors


@pytest.mark.parametrize("main_thread", ["join", "train"])
def test_sigterm_ends_the_process(main_thread):
    with started(main_thread) as process:
        try:
            process.terminate()
            process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGTERM


def test_ctrl_c_is_noticed_at_the_end_of_a_batch_that_another_worker_shares():
    n_after = []  # calls that end after Ctrl-C
    pressed = threading.Event()

    def loss(y, a):
        time.sleep(0.06)  # longer than the time between two looks
        if pressed.is_set():
            n_after[-1] += 1
        elif threading.current_thread() is not threading.main_thread():
            pressed.set()
            n_after.append(0)
            os.kill(os.getpid(), signal.SIGINT)
        return np.zeros(len(y), y.dtype), a - y

    x, y = np.ones((800, 200), np.float32), np.ones((800, 3), np.float32)
    network = Network((200, 600, 600, 3), output="identity", random_state=0)
    trainer = Trainer(network, loss=loss, learning_rate=1e-9, batch_size=200, n_threads=2)
    plan = trainer.objective.engine.plan(200)
    assert plan.n_workers == 2 and plan.n_rows > plan.chunk_rows
    for _ in range(8):
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(x, y, n_epochs=1000)
        pressed.clear()
    assert max(n_after) <= 1
