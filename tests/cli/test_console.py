"""The terminal: which stream, how much, in colour or not, and how values are written."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.cli.terminal import Terminal
from bigan_cli.errors import BiganError
from bigan_cli.formatting import count, human_size, human_time


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_terminal(monkeypatch):
    """Put terminals in place of the streams named; return both streams."""

    def put(*names: str) -> tuple[io.StringIO, io.StringIO]:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, Tty() if name in names else io.StringIO())
        return sys.stdout, sys.stderr

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    return put


class TestStreams:
    def test_results_and_messages_part(self, capsys):
        terminal = Terminal(verbose=True)
        terminal.result("path")
        terminal.note("noted")
        terminal.detail("in detail")
        terminal.warn("careful")
        terminal.fail(BiganError("broken", "mend it"))
        assert capsys.readouterr() == (
            "path\n",
            "noted\nin detail\nwarning: careful\nerror: broken\nhint: mend it\n",
        )

    def test_quiet_keeps_results_warnings_and_errors(self, capsys):
        terminal = Terminal(quiet=True, verbose=True)
        terminal.result("path")
        terminal.note("noted")
        terminal.detail("in detail")
        terminal.warn("careful")
        terminal.fail(BiganError("broken"))
        assert capsys.readouterr() == ("path\n", "warning: careful\nerror: broken\n")

    def test_details_are_asked_for(self, capsys):
        Terminal().detail("in detail")
        assert capsys.readouterr().err == ""

    def test_results_are_printed_as_they_are(self, on_terminal):
        out, _ = on_terminal("stdout")
        text = "a/[red]b[/red]/ 1.50 :smile: " + "long " * 100
        Terminal().result(text)
        assert out.getvalue() == text + "\n"

    def test_a_name_the_encoding_lacks_is_escaped(self, monkeypatch):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
        Terminal().result("größe-\udcff.png")
        sys.stdout.flush()
        assert raw.getvalue() == b"gr\\xf6\\xdfe-\\udcff.png\n"

    def test_a_file_name_does_not_steer_the_terminal(self, capsys):
        Terminal().warn("skipped \x1b[2Jbad\x07.png")
        assert capsys.readouterr().err == "warning: skipped \\x1b[2Jbad\\x07.png\n"

    def test_nor_does_one_in_a_result_or_a_table(self, on_terminal, monkeypatch):
        monkeypatch.setenv("TERM", "dumb")
        out, _ = on_terminal("stdout")
        Terminal().result("bad\x9b2J\r.png")
        Terminal().table(("name",), [("bad\x1b[2J.png",)])
        assert "bad\\x9b2J\\x0d.png\n" in out.getvalue()
        assert "bad\\x1b[2J.png" in out.getvalue()

    def test_a_pipe_gets_a_result_as_it_is(self, capsys):
        Terminal().result("bad\x1b[2J.png")
        assert capsys.readouterr().out == "bad\x1b[2J.png\n"


class TestColour:
    def fails_in_colour(self, err: io.StringIO, **options: bool) -> bool:
        Terminal(**options).fail(BiganError("broken"))
        assert "error:" in err.getvalue()
        return "\x1b[" in err.getvalue()

    def test_on_a_terminal(self, on_terminal):
        assert self.fails_in_colour(on_terminal("stderr")[1])

    def test_each_stream_is_judged_by_itself(self, on_terminal):
        assert not self.fails_in_colour(on_terminal("stdout")[1])

    def test_the_option_wins(self, on_terminal, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        assert not self.fails_in_colour(on_terminal("stderr")[1], color=False)

    @pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
    def test_the_environment_says_no(self, on_terminal, monkeypatch, name, value):
        monkeypatch.setenv(name, value)
        assert not self.fails_in_colour(on_terminal("stderr")[1])

    def test_an_empty_no_color_says_nothing(self, on_terminal, monkeypatch):
        monkeypatch.setenv("NO_COLOR", "")
        assert self.fails_in_colour(on_terminal("stderr")[1])

    def test_colour_can_be_forced_into_a_pipe(self, on_terminal, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        assert self.fails_in_colour(on_terminal()[1])

    def test_a_continuous_integration_log_is_no_terminal(self, on_terminal, monkeypatch):
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        assert not self.fails_in_colour(on_terminal()[1])


class TestProgress:
    def drawn(self, err: io.StringIO, **options: bool) -> str:
        with Terminal(**options).progress() as progress:
            task = progress.add_task("learning [x]", total=3)
            progress.advance(task, 2)
        return err.getvalue()

    def test_drawn_on_a_terminal(self, on_terminal):
        _, err = on_terminal("stderr")
        assert Terminal().interactive
        drawn = self.drawn(err)
        assert "learning [x]" in drawn
        assert "2/3" in drawn

    @pytest.mark.parametrize("force", ["FORCE_COLOR", "TTY_COMPATIBLE", "GITHUB_ACTIONS"])
    def test_never_off_a_terminal(self, on_terminal, monkeypatch, force):
        monkeypatch.setenv(force, "1")
        _, err = on_terminal("stdout")
        assert not Terminal().interactive
        assert self.drawn(err) == ""

    @pytest.mark.parametrize("options", [{"show_progress": False}, {"quiet": True}])
    def test_not_when_unwanted(self, on_terminal, options):
        _, err = on_terminal("stdout", "stderr")
        assert self.drawn(err, **options) == ""

    def test_not_on_a_dumb_terminal(self, on_terminal, monkeypatch):
        monkeypatch.setenv("TERM", "dumb")
        _, err = on_terminal("stdout", "stderr")
        assert self.drawn(err) == ""

    def test_not_in_a_notebook_which_keeps_every_frame_but_has_colours(
        self, on_terminal, monkeypatch
    ):
        monkeypatch.setenv("JPY_PARENT_PID", "1")
        _, err = on_terminal("stdout", "stderr")
        assert self.drawn(err) == ""
        Terminal().fail(BiganError("broken"))
        assert "\x1b[1;31merror:" in err.getvalue()


class TestTable:
    def test_tab_separated_off_a_terminal(self, capsys):
        Terminal().table(("name", "size"), [("a\tb\nc", 1), (None, 2.5)])
        assert capsys.readouterr().out == "name\tsize\na b c\t1\n\t2.5\n"

    def test_drawn_on_a_terminal(self, on_terminal, monkeypatch):
        monkeypatch.setenv("COLUMNS", "100")
        out, _ = on_terminal("stdout")
        Terminal().table(("name", "size"), [("[x]", 1)])
        assert "[x]" in out.getvalue()
        assert "\t" not in out.getvalue()
        assert "\x1b[" in out.getvalue()

    def test_drawn_without_colour(self, on_terminal, monkeypatch):
        monkeypatch.setenv("COLUMNS", "100")
        out, _ = on_terminal("stdout")
        Terminal(color=False).table(("name",), [("x",)])
        assert "\x1b[3" not in out.getvalue()


class TestJson:
    def test_one_document_with_its_schema(self, capsys):
        Terminal().json({"auroc": np.float32(0.5), "path": Path("a/b"), "n": np.int64(3)})
        out = capsys.readouterr().out
        assert out.endswith("}\n")
        assert json.loads(out) == {"schema": 1, "auroc": 0.5, "path": "a/b", "n": 3}

    def test_what_json_lacks_becomes_null(self, capsys):
        Terminal().json({"a": [math.nan, math.inf], "b": np.array([1.0, -math.inf])})
        assert json.loads(capsys.readouterr().out) == {
            "schema": 1,
            "a": [None, None],
            "b": [1.0, None],
        }

    @given(
        st.dictionaries(
            st.text(),
            st.recursive(
                st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=8,
            ),
        ).filter(lambda value: "schema" not in value)
    )
    def test_any_value_is_strict_json(self, value):
        stream, sys_stdout = io.StringIO(), sys.stdout
        sys.stdout = stream
        try:
            Terminal().json(value)
        finally:
            sys.stdout = sys_stdout

        def refuse(constant: str) -> None:
            raise AssertionError(constant)

        read = json.loads(stream.getvalue(), parse_constant=refuse)
        assert set(read) == {"schema", *value}


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (99_951, "100 kB"),
        (999_600, "1.0 MB"),
        (2_140_000_000, "2.1 GB"),
        (3 * 10**15, "3000 TB"),
    ],
)
def test_human_size(size, text):
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.6, "1m 00s"),
        (185, "3m 05s"),
        (3599.6, "1h 00m"),
        (7620, "2h 07m"),
    ],
)
def test_human_time(seconds, text):
    assert human_time(seconds) == text


def test_count():
    assert count(1, "image") == "1 image"
    assert count(1797, "image") == "1,797 images"
    assert count(0, "class", "classes") == "0 classes"
