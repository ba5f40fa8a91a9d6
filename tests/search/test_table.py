"""The table of the rungs: lines where there is no terminal, a table in place on one."""

from __future__ import annotations

import io
import logging
import sys

import pytest
from searches import Grower, X, Y, search

LINES = """\
bracket 0, rung 0: 4 configurations, 1 epochs, best score 0.4000: start=0.4
bracket 0, rung 1: 2 configurations, 2 epochs, best score 0.4000: start=0.4
bracket 0, rung 2: 1 configurations, 4 epochs, best score 0.4000: start=0.4
"""


def shown(**parameters):
    space = {"start": [0.1, 0.2, 0.3, 0.4]}
    return search(
        Grower(), space, n_candidates="all", max_epochs=4, factor=2, verbose=1, **parameters
    ).fit(X, Y)


def test_without_a_terminal_every_rung_is_a_line(capsys):
    shown()
    assert capsys.readouterr().out == LINES


def test_a_listening_logger_gets_the_lines(capsys, caplog):
    with caplog.at_level(logging.INFO, "fastmlp"):
        shown()
    assert "".join(f"{record.message}\n" for record in caplog.records) == LINES
    assert capsys.readouterr().out == ""


def test_a_silenced_logger_shows_nothing(capsys):
    logger = logging.getLogger("fastmlp")
    logger.setLevel(logging.WARNING)
    try:
        shown()
    finally:
        logger.setLevel(logging.NOTSET)
    assert capsys.readouterr().out == ""


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def use_terminal(monkeypatch):
    """Make standard output a terminal; no fixture, because the capture begins after these."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(logging.getLogger("fastmlp"), "hasHandlers", lambda: False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return stream


def test_on_a_terminal_the_table_is_updated_in_place(monkeypatch):
    terminal = use_terminal(monkeypatch)
    shown()
    last = terminal.getvalue().split("configurations")[-1]
    rows = [line.replace("│", " ").split() for line in last.splitlines() if "0.4000" in line]
    assert rows == [
        ["0", "0", "1", "4", "8/8", "0.4000", "start=0.4"],
        ["0", "1", "2", "2", "4/4", "0.4000", "start=0.4"],
        ["0", "2", "4", "1", "2/2", "0.4000", "start=0.4"],
    ]


def test_a_rung_without_scores_says_so(capsys):
    with pytest.raises(ValueError, match="every configuration has failed"):
        search(Grower(fails_at=1), {"start": [1]}, n_candidates="all", verbose=1).fit(X, Y)
    assert "best score none: all have failed" in capsys.readouterr().out
