"""A process that has everything imported and forks others, which may be killed at any moment.

The tests talk to it with `ForkServer`; run as a script it serves. A request is a line of JSON;
the answer is the child's process id. An empty line asks how it ended: until then a dead child keeps
its process id, so that no other process is killed in its place.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time

from processes import is_running

LENGTH = struct.Struct("<qq")


class ForkServer:
    """Starts and kills children."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def start(self, **request):
        """Begin a job; its process id."""
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def ended(self):
        """Wait for the child: its exit status, negative for a signal."""
        print(file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def run(self, **request):
        """A job from begin to end."""
        self.start(**request)
        return self.ended()

    def kill_after(self, seconds, *, when=lambda: True, **request):
        """Kill a job a time after `when()`; its exit status, which is 0 where it was faster.

        Waiting for what a job has done, and not for a clock alone, makes kills hit the same places
        on a busy machine as on an idle one.
        """
        pid = self.start(**request)
        while not when() and is_running(pid):
            time.sleep(0.001)
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        return self.ended()


def serve():
    import numpy as np
    import safetensors.numpy  # noqa: F401
    import scipy.optimize
    import scipy.sparse  # noqa: F401
    import training_jobs

    import fastmlp
    from fastmlp.engine import environment as _environment

    _environment.arithmetic()
    fastmlp.MLPClassifier, fastmlp.MLPRegressor  # noqa: B018
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run_child(request, training_jobs, np)
        print(pid, flush=True)
        sys.stdin.readline()
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def run_child(request, training_jobs, np):
    """Do a job and end."""
    code = 1
    try:
        os.close(0)
        if "fault" in request:
            plan_death(*request["fault"])
        if "diary" in request:
            keep_diary(request["diary"])
        if request.get("looks_often"):
            look_after_every_batch()
        job = training_jobs.JOBS[request["job"]]
        arguments = {name: request[name] for name in ("every",) if name in request}
        result = job(request["folder"], request["resume"], request["n_threads"], **arguments)
        if "result" in request:
            np.savez(request["result"], **result)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def plan_death(step, count):
    """Be killed in the call number `count` of a function of the system."""
    from fastmlp.files import atomic as _atomic_file

    real = getattr(os, step)
    left = [count]

    def deadly(*args, **options):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)

    setattr(_atomic_file.os, step, deadly)


def look_after_every_batch():
    """Save within epochs too, which are over here before somebody looks at the clock."""
    from fastmlp.training.checkpoints.keeper import Keeper

    Keeper.batches_to_go = lambda run, epoch: 1


def keep_diary(path):
    """Write the numbers of the last save that began and that ended into a file, as they do."""
    from fastmlp.training.checkpoints import keeper
    from fastmlp.training.checkpoints.folder import checkpoint_numbers

    real = keeper.write_next
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)

    def write_next(folder, *args):
        ended = max(checkpoint_numbers(folder), default=0)
        os.pwrite(descriptor, LENGTH.pack(ended + 1, ended), 0)
        written = real(folder, *args)
        os.pwrite(descriptor, LENGTH.pack(ended + 1, ended + 1), 0)
        return written

    keeper.write_next = write_next


def read_diary(path):
    """(began, ended); a kill in between makes them differ."""
    with open(path, "rb") as file:
        return LENGTH.unpack(file.read().ljust(LENGTH.size, b"\0"))


if __name__ == "__main__":
    serve()
