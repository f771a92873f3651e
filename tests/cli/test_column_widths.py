"""Tables keep words whole wherever the terminal has room for them."""

from __future__ import annotations

import io
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.cli.column_widths import column_widths
from bigan_cli.cli.terminal import Terminal

WORDS = st.text("abc", min_size=1, max_size=12)
CELLS = st.lists(WORDS, max_size=8).map(" ".join)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5), st.integers(42, 200))
def test_every_word_has_room(rows, room):
    widths = column_widths(("a", "b", "c"), rows, room)
    assert sum(widths) <= room
    for place, width in enumerate(widths):
        words = [word for row in rows for word in row[place].split()]
        assert width >= max(map(len, words), default=0)


def test_a_path_gives_way_to_words():
    widths = column_widths(("name", "path"), [("validation", "x" * 300)], 40)
    assert widths == [10, 30]


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_no_word_is_broken_on_a_terminal(columns, monkeypatch):
    screen = _Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    text = "images that set the location and scale of every component, the validation images"
    terminal = Terminal(color=False)
    terminal.table(("option", "type", "meaning"), [("validation_portion", "number", text)] * 3)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())  # the bold heading
    assert all(len(line.rstrip()) <= columns for line in shown.splitlines())
    for word in (*text.split(), "validation_portion"):
        assert word in shown
