"""The terminal: results on standard output, everything else on standard error.

Nothing is imported from rich until a table or a progress bar is drawn on a real terminal.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from bigan_cli.cli.column_widths import column_widths
from bigan_cli.cli.flags import as_flags
from bigan_cli.errors import BiganError, ConfigError
from bigan_cli.formatting import CONTROL_ESCAPES, count, json_document

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.progress import Progress, ProgressColumn

LOADING = "loading PyTorch ..."
"""Shown before the import of torch, which takes seconds."""

_BOLD_RED, _BOLD_YELLOW, _BOLD, _RESET = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1m", "\x1b[0m"
# An error takes no more than a screen, whatever a command line or a file holds.
_MOST_PROBLEMS = 20
_LONGEST_LINE = 2000
_LONG_WORD = re.compile(r"\S{500,}")


@dataclass(frozen=True)
class Terminal:
    """Where a command prints, and how much.

    Colour is decided for each stream separately: none with ``--no-color`` or
    ``NO_COLOR``; else always with ``FORCE_COLOR``; else on a terminal other than a dumb one.
    Nothing but a terminal ever gets an animation.

    Attributes:
        quiet: Whether notes and progress are left out; results, warnings and errors stay.
        verbose: Whether to print details.
        debug: Whether an error shows its traceback.
        color: False after ``--no-color``.
        show_progress: False after ``--no-progress``.
    """

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    color: bool = True
    show_progress: bool = True

    @property
    def interactive(self) -> bool:
        """Whether a live display may be drawn on standard error."""
        return self.show_progress and not self.quiet and _moves_cursor(sys.stderr)

    @property
    def stdout_is_terminal(self) -> bool:
        """Whether a person reads standard output as it comes."""
        return _is_terminal(sys.stdout)

    @property
    def stderr_is_terminal(self) -> bool:
        """Whether a person reads standard error as it comes."""
        return _is_terminal(sys.stderr)

    @property
    def width(self) -> int:
        """The columns of the terminal on standard error; 80 where they are not known."""
        try:
            return os.get_terminal_size(sys.stderr.fileno()).columns or 80
        except (AttributeError, OSError, ValueError):
            return 80

    @property
    def unicode(self) -> bool:
        """Whether standard error is a terminal that shows block and box characters."""
        encoding = getattr(sys.stderr, "encoding", None) or "ascii"
        return encoding.lower().startswith("utf") and _is_live(sys.stderr)

    @property
    def block(self) -> str:
        """The character that bars are made of: a block, or # where there may be none."""
        return "█" if self.unicode else "#"

    def result(self, text: str) -> None:
        """Print one line of the result on standard output, never wrapped.

        It is printed as it is, but for what would steer a terminal where there is one.
        """
        _write(sys.stdout, text.translate(CONTROL_ESCAPES) if self.stdout_is_terminal else text)

    def json(self, value: Mapping[str, Any]) -> None:
        """Print *value* on standard output as one JSON document, with its ``schema``.

        Paths become strings, numpy scalars and arrays become numbers and lists, and numbers
        that JSON does not have (NaN, infinity) become null.
        """
        _write(sys.stdout, json_document(value))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table on standard output: drawn on a terminal, else tab-separated.

        Args:
            columns: The headings.
            rows: The cells of each row; None is an empty cell.
        """
        cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
        if not self.stdout_is_terminal:
            for row in [list(columns), *cells]:
                _write(sys.stdout, "\t".join(" ".join(cell.split()) for cell in row))
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        console = self._console(sys.stdout)
        shown = [[cell.translate(CONTROL_ESCAPES) for cell in row] for row in cells]
        # A margin on both sides of the table, and two characters and a line between columns.
        room = max(console.width - 3 * len(columns), len(columns))
        widths = column_widths(columns, shown, room)
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for column, width in zip(columns, widths, strict=True):
            table.add_column(column, overflow="fold", width=width)
        for row in shown:
            table.add_row(*map(Text, row))
        console.print(table)

    def note(self, text: str) -> None:
        """Print something worth knowing on standard error; silent with ``--quiet``.

        On a terminal its lines are broken between words.
        """
        if not self.quiet:
            _write(sys.stderr, self._fitted(as_flags(text).translate(CONTROL_ESCAPES)))

    def suggest(self, label: str, *words: str) -> None:
        """Print ``label: command`` on standard error, to be copied; silent with ``--quiet``.

        Args:
            label: What the command is for.
            words: The command and its arguments, unquoted.
        """
        if not self.quiet:
            from bigan_cli.cli.wrapping import wrap_command

            width = self.width if self.stderr_is_terminal else None
            _write(sys.stderr, wrap_command(label, words, width).translate(CONTROL_ESCAPES))

    def announce(self, text: str) -> None:
        """Print at once what begins, where someone watches: the first result may take a while."""
        if self.interactive:
            self.note(text)

    def detail(self, text: str) -> None:
        """Print a detail on standard error; only with ``--verbose``."""
        if self.verbose and not self.quiet:
            _write(sys.stderr, text.translate(CONTROL_ESCAPES))

    def warn(self, text: str) -> None:
        """Print on standard error what may be wrong."""
        self._labelled("warning", _BOLD_YELLOW, as_flags(text))

    def fail(self, error: BiganError) -> None:
        """Print on standard error what went wrong and what to do, each on a line of its own."""
        problems = (
            error.problems if isinstance(error, ConfigError) else [(error.message, error.hint)]
        )
        for message, hint in problems[:_MOST_PROBLEMS]:
            self._labelled("error", _BOLD_RED, as_flags(message))
            if hint:
                self._labelled("hint", _BOLD, as_flags(hint))
        if len(problems) > _MOST_PROBLEMS:
            more = count(len(problems) - _MOST_PROBLEMS, "more problem")
            self._labelled("error", _BOLD_RED, f"{more}, not listed here")

    def progress(self, *columns: str | ProgressColumn, transient: bool = True) -> Progress:
        """Return a rich progress display on standard error, which does nothing off a terminal.

        Args:
            columns: rich's own columns; by default the description, a bar, how many are done,
                and the time gone and left.
            transient: Whether the display disappears when it ends.
        """
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        usual: tuple[str | ProgressColumn, ...] = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        return Progress(
            *(columns or usual),
            console=self._console(sys.stderr),
            disable=not self.interactive,
            transient=transient,
        )

    def live(self, renderable: RenderableType, per_second: float) -> Live:
        """Return a display on standard error that draws *renderable* in place.

        What is printed meanwhile appears above it. It disappears when it ends.
        """
        from rich.live import Live

        return Live(
            renderable,
            console=self._console(sys.stderr),
            refresh_per_second=per_second,
            transient=True,
        )

    def _labelled(self, label: str, style: str, text: str) -> None:
        line = self._fitted(f"{label}: {_within_a_screen(text).translate(CONTROL_ESCAPES)}")
        if self._has_color(sys.stderr):
            line = line.replace(f"{label}:", f"{style}{label}:{_RESET}", 1)
        _write(sys.stderr, line)

    def _fitted(self, text: str) -> str:
        """Return *text* as lines that fit the terminal on standard error, where there is one."""
        if not self.stderr_is_terminal:
            return text
        from bigan_cli.cli.wrapping import wrap

        return wrap(text, self.width)

    def _has_color(self, stream: TextIO | None) -> bool:
        if not self.color or os.environ.get("NO_COLOR"):
            return False
        return bool(os.environ.get("FORCE_COLOR")) or _is_live(stream)

    def _console(self, stream: TextIO) -> Console:
        from rich.console import Console

        # Each is said outright: rich would ask FORCE_COLOR whether a pipe is a terminal.
        return Console(
            file=stream,
            force_terminal=_is_terminal(stream),
            force_interactive=_moves_cursor(stream),
            no_color=not self._has_color(stream),
            markup=False,
            highlight=False,
        )


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _is_live(stream: TextIO | None) -> bool:
    """Return whether *stream* understands colours, and has the characters of a terminal."""
    return _is_terminal(stream) and os.environ.get("TERM") != "dumb"


def _moves_cursor(stream: TextIO | None) -> bool:
    """Return whether what was written to *stream* can be overwritten.

    A cell of a Jupyter notebook is a terminal with colours to the command in it, but adds every
    frame of a display to those before. Its kernels name their parent to what they start.
    """
    return _is_live(stream) and "JPY_PARENT_PID" not in os.environ


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # closed by whoever started the program
        return
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError:
        # A file name that this terminal has no letters for is no reason to fail.
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    except OSError as error:
        # Messages are lost where nobody can see them, as in a closed terminal. Results are not.
        if stream is sys.stdout:
            raise _named(error) from error


def flush_stdout() -> None:
    """Write what is buffered of the results; nothing if standard output is closed.

    Raises:
        OSError: It cannot be written; the error names standard output.
    """
    if sys.stdout is None:  # closed by whoever started the program
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _named(error) from error


def _named(error: OSError) -> OSError:
    return OSError(error.errno, error.strerror, "standard output")


def _within_a_screen(text: str) -> str:
    """Return *text* with the middle of very long words left out, and cut if it is too long."""
    text = _LONG_WORD.sub(lambda word: f"{word[0][:200]}...{word[0][-50:]}", text)
    return text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 3]}..."
