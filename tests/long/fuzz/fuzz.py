"""Fuzz one reader with atheris.

    python tests/long/fuzz/fuzz.py TARGET [options of libFuzzer] [FOLDER]

New inputs go into FOLDER, if there is one; the kept corpus is read alone. To take finds over:

    python tests/long/fuzz/fuzz.py npz -max_total_time=600 /tmp/found
    python tests/long/fuzz/fuzz.py npz -set_cover_merge=1 tests/long/fuzz/corpus/npz /tmp/found

The second command adds to the corpus the inputs of /tmp/found that reach something new.
"""

from __future__ import annotations

import resource
import sys
import tracemalloc

import atheris

with atheris.instrument_imports(include=["fastmlp", "zipfile", "gzip"]):
    import targets


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        sys.exit(f"{__doc__}\nTARGET is one of {', '.join(targets.TARGETS)}")
    name, options = sys.argv[1], sys.argv[2:]
    corpus = targets.CORPUS / name
    folders = [option for option in options if not option.startswith("-")]
    if not any("merge=1" in option for option in options):
        folders.append(str(corpus))
    itself = f"{sys.executable} {__file__} {name}"  # a merge starts it again, through the shell
    arguments = [
        itself,
        f"-max_len={targets.MOST_BYTES}",
        "-timeout=20",
        f"-rss_limit_mb={2048 + peak_megabytes()}",
        *(option for option in options if option.startswith("-")),
        *folders,
    ]
    tracemalloc.start()
    atheris.Setup(arguments, lambda data: void(targets.run(name, data)))
    atheris.Fuzz()


def peak_megabytes() -> int:
    """Peak memory so far: a process begins with that of the one that started it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def void(_: object) -> None:
    """A fuzz target returns nothing."""


if __name__ == "__main__":
    main()
