"""Tables of scores: one row per image, as CSV or as JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from bigan_cli.atomic import atomic_write
from bigan_cli.formatting import spreadsheet_path

if TYPE_CHECKING:
    from bigan_cli.scoring.regions import Region

ANOMALY, REVIEW, NORMAL = "anomaly", "review", "normal"
NOT_FINITE = "the score is not finite"
"""The error of an image that the networks give no score that is a number."""
SUFFIXES = (".csv", ".jsonl")
OUTPUT_SUFFIXES = (*SUFFIXES, ".parquet")


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The score of one input, or the reason why it has none.

    Attributes:
        path: The image's path, or its name in a dataset.
        score: Higher is more anomalous; None for an input that could not be scored.
        p_value: How rare such a score is among normal images, or None.
        label: ``anomaly``, ``review`` (in between), ``normal``, or empty without a score.
        components: Name -> standardised value of the component; empty without a score.
        error: Why there is no score; empty if there is one.
        truth: Name -> value of the columns that say what the image is, where that is known.
        regions: Where the image is anomalous, in its own pixels; None where that is not known.
    """

    path: str
    score: float | None = None
    p_value: float | None = None
    label: str = ""
    components: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    truth: Mapping[str, object] = field(default_factory=dict)
    regions: Sequence[Region] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the row as a JSON object; what is not known is null."""
        return {
            "path": self.path,
            **self.truth,
            "score": self.score,
            "p_value": self.p_value,
            "label": self.label or None,
            "components": dict(self.components),
            "regions": None if self.regions is None else [asdict(each) for each in self.regions],
            "error": self.error or None,
        }


@dataclass(frozen=True)
class RowFormat:
    """How rows become lines of text.

    Attributes:
        header: The first line, or None.
        lines: Converts rows to lines, without the end of the last line.
    """

    header: str | None
    lines: Callable[[Sequence[ScoreRow]], str]


def csv_format(
    components: Sequence[str],
    truth: Sequence[str] = (),
    *,
    first: str = "path",
    regions: bool = True,
) -> RowFormat:
    """Return the CSV format. Numbers are written so that they read back exactly.

    Args:
        components: The components' names, in the order of their columns.
        truth: The names of the columns that say what the images are.
        first: The name of the first column.
        regions: Whether there is a column with the number of regions.
    """

    def cells(row: ScoreRow) -> list[object]:
        known = [row.truth.get(name) for name in truth]
        values = [row.components.get(name) for name in components]
        number = [None if row.regions is None else len(row.regions)] if regions else []
        path = spreadsheet_path(row.path)
        return [path, *known, row.score, row.p_value, row.label, *values, *number, row.error]

    counted = ["regions"] if regions else []

    return RowFormat(
        csv_line([first, *truth, "score", "p_value", "label", *components, *counted, "error"]),
        lambda rows: _csv_lines(map(cells, rows)),
    )


def json_format() -> RowFormat:
    """Return the format with one JSON object per line."""

    def line(row: ScoreRow) -> str:
        return json.dumps(row.as_dict(), allow_nan=False)

    return RowFormat(None, lambda rows: "\n".join(map(line, rows)))


def file_format(output: Path, components: Sequence[str]) -> RowFormat:
    """Return the format of lines for *output*: JSON lines by its suffix, or else CSV."""
    return json_format() if has_json_lines(output) else csv_format(components)


def has_json_lines(output: Path) -> bool:
    """Return whether the lines of *output* are JSON; a Parquet table is CSV until its end."""
    return output.suffix.lower() == ".jsonl"


@contextmanager
def score_table(output: Path, row_format: RowFormat) -> Iterator[Callable[[str], object]]:
    """Yield a function that writes lines to *output*, which is created whole or not at all."""
    with TemporaryFile() as rows:

        def write(lines: str) -> None:
            rows.write(lines.encode() + b"\n")

        if row_format.header is not None:
            write(row_format.header)
        yield write
        rows.seek(0)
        with atomic_write(output) as whole:
            write_table(rows, whole, output)


def write_table(lines: Iterable[bytes], whole: IO[bytes], output: Path) -> None:
    """Write the lines of a table, header included, in the format of the suffix of *output*."""
    if output.suffix.lower() == ".parquet":
        from bigan_cli.storage.parquet_table import write_parquet

        write_parquet(lines, whole)
    else:
        whole.writelines(lines)


def csv_line(cells: Sequence[object]) -> str:
    """Return one line of comma-separated values; None is an empty cell."""
    return _csv_lines([cells])


def _csv_lines(rows: Iterable[Sequence[object]]) -> str:
    lines = _LineCollector()
    # Python before 3.13 quotes a line break only if it is a character of the line terminator.
    csv.writer(lines, lineterminator="\r\n").writerows(rows)
    return "\n".join(lines)


class _LineCollector(list[str]):
    """The lines that a csv writer writes, without their terminators."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n"))
