"""One line for each image scored: as CSV, as JSON, or for reading."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bigan_cli.console import Terminal
from bigan_cli.files import atomic_write

ANOMALY, NORMAL = "anomaly", "normal"


@dataclass(frozen=True)
class Row:
    """What is said of one input.

    Attributes:
        path: Of the image.
        score: Higher is more anomalous; None for an input that could not be read.
        p_value: How rare such a score is among normals, or None.
        label: ``anomaly``, ``normal``, or empty where there is no score.
        components: Name -> its part of the score.
        error: Why there is no score; empty where there is.
    """

    path: str
    score: float | None = None
    p_value: float | None = None
    label: str = ""
    components: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it: null for what is not known."""
        return {
            "path": self.path,
            "score": self.score,
            "p_value": self.p_value,
            "label": self.label or None,
            "components": dict(self.components),
            "error": self.error or None,
        }


@dataclass(frozen=True)
class Format:
    """How rows become lines.

    Attributes:
        header: The first line, or None.
        line: One row to one line, without its end.
    """

    header: str | None
    line: Callable[[Row], str]


def csv_format(components: Sequence[str]) -> Format:
    """Return comma-separated values; numbers are written so that they read back the same."""

    def line(row: Row) -> str:
        parts = [row.components.get(name) for name in components]
        return csv_line([row.path, row.score, row.p_value, row.label, *parts, row.error])

    return Format(
        csv_line(["path", "score", "p_value", "label", *components, "error"]),
        line,
    )


def json_format() -> Format:
    """Return one JSON object a line."""
    return Format(None, lambda row: json.dumps(row.as_dict(), allow_nan=False))


def plain_format() -> Format:
    """Return columns for a person: verdict, p-value, score, and the path last, unshortened."""

    def line(row: Row) -> str:
        if row.score is None or row.p_value is None:
            return f"{'error':<8}{'':>9}{'':>10}  {row.path}: {row.error}"
        return f"{row.label:<8}{row.p_value:>9.4f}{row.score:>10.3f}  {row.path}"

    return Format(f"{'label':<8}{'p-value':>9}{'score':>10}  path", line)


@contextmanager
def row_writers(
    terminal: Terminal, components: Sequence[str], output: Path | None, *, as_json: bool
) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Yield what to call with each batch of rows.

    Standard output gets JSON lines if *as_json*; else, without *output*, columns on a terminal
    and CSV elsewhere, each batch at once. *output*, ``.csv`` or else JSON lines, is there whole
    when all is done, and not at all when an error ends it before.
    """
    with ExitStack() as stack:
        writers = []
        if as_json:
            writers.append(_Lines(json_format(), _print_now(terminal)))
        elif output is None:
            shown = plain_format() if terminal.stdout_is_terminal else csv_format(components)
            writers.append(_Lines(shown, _print_now(terminal)))
        if output is not None:
            stream = stack.enter_context(atomic_write(output, "w"))
            kind = csv_format(components) if output.suffix.lower() == ".csv" else json_format()
            writers.append(_Lines(kind, lambda text: stream.write(text + "\n")))

        def write(rows: Sequence[Row]) -> None:
            for writer in writers:
                writer.write(rows)

        yield write


class _Lines:
    """Turns rows into lines, the header before the first of them."""

    def __init__(self, kind: Format, emit: Callable[[str], object]) -> None:
        self._line = kind.line
        self._emit = emit
        self._header = [] if kind.header is None else [kind.header]

    def write(self, rows: Sequence[Row]) -> None:
        self._emit("\n".join([*self._header, *map(self._line, rows)]))
        self._header = []


def _print_now(terminal: Terminal) -> Callable[[str], None]:
    def emit(text: str) -> None:
        terminal.result(text)
        if sys.stdout is not None:
            sys.stdout.flush()

    return emit


def csv_line(cells: Sequence[object]) -> str:
    """Return one line of comma-separated values; None is an empty cell."""
    text = io.StringIO()
    # Python before 3.13 quotes a line break only where it is part of the end of a line.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n")


def path_text(path: Path) -> str:
    r"""Return a path as text; a byte that is not UTF-8 becomes ``\udcXX``."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def nothing_read(skipped: int) -> str:
    """Return the words for inputs of which none could be read."""
    if skipped == 1:
        return "the only input could not be read"
    return f"none of {skipped:,} inputs could be read"
