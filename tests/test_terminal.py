"""Text for a terminal: tables, rows, the status line, and when rich may draw."""

from __future__ import annotations

import io
import sys

import pytest

from fastmlp._terminal import RowPrinter, StatusLine, rich_console, text_table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_of_a_table_are_as_wide_as_their_longest_cell():
    rows = [("fastmlp", "1.5"), ("x", "12345678")]
    assert text_table(("name", "ms"), rows) == [
        "name            ms",
        "fastmlp        1.5",
        "x         12345678",
    ]


def test_other_columns_can_be_left_aligned_and_no_line_ends_with_spaces():
    assert text_table(("a", "b"), [("1", "long"), ("22", "")], left=(1,)) == [
        " a   b",
        " 1   long",
        "22",
    ]


def test_rows_are_right_aligned_below_the_names_of_their_columns():
    stream = io.StringIO()
    printer = RowPrinter(("epoch", "cost"), (7, 6), stream)
    printer.header()
    printer.row(("1/2", "0.5"))
    assert stream.getvalue() == "  epoch  cost\n    1/2   0.5\n"


def test_a_row_needs_a_cell_for_every_column():
    with pytest.raises(ValueError, match="argument 2 is longer"):
        RowPrinter(("a", "b"), (3, 3), io.StringIO()).row(("1",))


def test_a_status_line_replaces_itself_on_a_terminal_and_is_silent_elsewhere():
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        status = StatusLine(stream)
        status.show("half")
        status.clear()
    assert terminal.getvalue() == "\r\033[Khalf\r\033[K"
    assert file.getvalue() == ""


def test_rich_draws_on_terminals_that_can_move_the_cursor(monkeypatch):
    pytest.importorskip("rich")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    assert rich_console(terminal).file is terminal
    assert rich_console(io.StringIO()) is None
    monkeypatch.setenv("TERM", "dumb")
    assert rich_console(Terminal()) is None
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert rich_console(Terminal()) is None
