"""One line for each image scored: as CSV, as JSON, or for reading."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bigan_cli.atomic import atomic_write
from bigan_cli.cli.terminal import Terminal
from bigan_cli.formatting import one_line

ANOMALY, NORMAL = "anomaly", "normal"


@dataclass(slots=True)
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
        lines: Some rows to their lines, without the end of the last.
    """

    header: str | None
    lines: Callable[[Sequence[Row]], str]


def csv_format(components: Sequence[str]) -> Format:
    """Return comma-separated values; numbers are written so that they read back the same."""

    def cells(row: Row) -> list[object]:
        parts = [row.components.get(name) for name in components]
        return [row.path, row.score, row.p_value, row.label, *parts, row.error]

    return Format(
        csv_line(["path", "score", "p_value", "label", *components, "error"]),
        lambda rows: _csv_lines(map(cells, rows)),
    )


def json_format() -> Format:
    """Return one JSON object a line."""

    def line(row: Row) -> str:
        return json.dumps(row.as_dict(), allow_nan=False)

    return Format(None, lambda rows: "\n".join(map(line, rows)))


def plain_format() -> Format:
    """Return columns for a person: verdict, p-value, score, and the path last, unshortened."""

    def line(row: Row) -> str:
        if row.score is None or row.p_value is None:
            return f"{'error':<8}{'':>9}{'':>10}  {one_line(row.path)}: {row.error}"
        return f"{row.label:<8}{row.p_value:>9.4f}{row.score:>10.3f}  {one_line(row.path)}"

    return Format(
        f"{'label':<8}{'p-value':>9}{'score':>10}  path", lambda rows: "\n".join(map(line, rows))
    )


def file_format(output: Path, components: Sequence[str]) -> Format:
    """Return the format that the suffix of *output* asks for: CSV, or else JSON lines."""
    return csv_format(components) if output.suffix.lower() == ".csv" else json_format()


Emit = Callable[[str], object]


def stdout_format(
    terminal: Terminal, components: Sequence[str], output: Path | None, *, as_json: bool
) -> Format | None:
    """Return what standard output gets: JSON lines if *as_json*; else nothing beside *output*.

    Without either it is columns on a terminal and CSV elsewhere.
    """
    if as_json:
        return json_format()
    if output is not None:
        return None
    return plain_format() if terminal.stdout_is_terminal else csv_format(components)


def printer(terminal: Terminal, kind: Format) -> Callable[[Sequence[Row]], None]:
    """Return what prints each batch of rows at once, the header before the first of them."""
    header = [] if kind.header is None else [kind.header]

    def write(rows: Sequence[Row]) -> None:
        terminal.result("\n".join([*header, kind.lines(rows)]))
        header.clear()
        if sys.stdout is not None:
            sys.stdout.flush()

    return write


@contextmanager
def whole_output(output: Path, kind: Format) -> Iterator[Emit]:
    """Yield what takes the lines of *output*, which is there whole in the end or not at all."""
    with atomic_write(output, "w") as stream:
        if kind.header is not None:
            stream.write(kind.header + "\n")
        yield lambda lines: stream.write(lines + "\n")


def csv_line(cells: Sequence[object]) -> str:
    """Return one line of comma-separated values; None is an empty cell."""
    return _csv_lines([cells])


def _csv_lines(rows: Iterable[Sequence[object]]) -> str:
    lines = _Collected()
    # Python before 3.13 quotes a line break only where it is part of the end of a line.
    csv.writer(lines, lineterminator="\r\n").writerows(rows)
    return "\n".join(lines)


class _Collected(list[str]):
    """Lines that a csv writer has written, without their ends."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n"))


def path_text(path: Path) -> str:
    r"""Return a path as text; a byte that is not UTF-8 becomes ``\udcXX``."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def nothing_read(skipped: int) -> str:
    """Return the words for inputs of which none could be read."""
    if skipped == 1:
        return "the only input could not be read"
    return f"none of {skipped:,} inputs could be read"
