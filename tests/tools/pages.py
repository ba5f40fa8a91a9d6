"""Pages with examples: their Python blocks run one after the other, and print what the page says.

A block of text directly below a block of Python is what that block prints. As a program

    python tests/tools/pages.py docs/guide/classify.md ...

it puts what is printed now in the place of these blocks.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path

BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def run(page):
    """Run a page's blocks in one namespace, in the current folder: (what it says, what it prints).

    Blocks without text below them print into the void.
    """
    names, outcomes = {"__name__": "__main__"}, []
    for block in BLOCK.finditer(page.read_text()):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            line = page.read_text()[: block.start()].count("\n") + 1
            exec(compile("\n" * line + block["code"], page.name, "exec"), names)
        if block["output"] is not None:
            outcomes.append((block["output"], printed.getvalue()))
    return outcomes


def is_same(said, printed, *, relative=0.1, absolute=0.02):
    """The words are equal, and the numbers nearly: their last digits depend on the processor."""
    if NUMBER.sub("#", said).split() != NUMBER.sub("#", printed).split():
        return False
    pairs = zip(NUMBER.findall(said), NUMBER.findall(printed), strict=True)
    return all(
        abs(float(a) - float(b)) <= max(absolute, relative * abs(float(a))) for a, b in pairs
    )


def rewrite(page):
    """Put what a page's blocks print now below them."""
    outcomes = iter([printed for _, printed in run(page)])

    def with_output(block):
        if block["output"] is None:
            return block[0]
        return f"```python\n{block['code']}```\n\n```text\n{next(outcomes)}```\n"

    page.write_text(BLOCK.sub(with_output, page.read_text()))


if __name__ == "__main__":
    pages = [Path(name).resolve() for name in sys.argv[1:]]
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for each in pages:
            rewrite(each)
