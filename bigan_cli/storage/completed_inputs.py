"""The inputs that a table of scores has, read from one that may end in the middle of a row.

Inputs that could not be scored do not count: they are tried again.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from bigan_cli.atomic import atomic_write
from bigan_cli.errors import UsageError
from bigan_cli.formatting import without_spreadsheet_prefix
from bigan_cli.storage.score_table import ANOMALY, RowFormat, csv_line, has_json_lines
from bigan_cli.storage.strict_json import parse_json

START_OVER = "write to another output, or delete it to start over"
"""Hint where a table cannot be continued."""

_DIGEST = 16  # bytes for each path
# Path, score, p-value, label, regions and error.
_OTHER_COLUMNS = 6


class CompletedInputs:
    """The inputs that already have a row in a table of scores.

    Args:
        digests: 16 bytes for the path of each row.
        anomalies: How many of the rows are labelled anomalous.
    """

    def __init__(self, digests: bytes | bytearray = b"", anomalies: int = 0) -> None:
        self._digests = np.sort(np.frombuffer(bytes(digests), f"S{_DIGEST}"))
        self._claimed = np.zeros(len(self._digests), np.uint32)
        self.scored = len(self._digests)
        self.anomalies = anomalies

    @property
    def unclaimed(self) -> int:
        """The number of rows that no input has claimed."""
        return self.scored - int(self._claimed.sum())

    def claim(self, path: str) -> bool:
        """Return whether *path* has an unclaimed row, and claim it; a repeated input has several.

        Only a digest of each path is kept, so millions of rows need little memory.
        """
        if not self.scored:
            return False
        wanted = np.bytes_(_digest(path))
        first = int(np.searchsorted(self._digests, wanted))
        at = first + (int(self._claimed[first]) if first < self.scored else 0)
        if at >= self.scored or self._digests[at] != wanted:
            return False
        self._claimed[first] += 1
        return True


def copy_complete_rows(
    file: Path,
    output: Path,
    row_format: RowFormat,
    components: int,
    on_row: Callable[[str, str], object] | None = None,
    *,
    head: str = "",
) -> CompletedInputs:
    """Rewrite *file* with its complete rows that have a score, and return their inputs.

    Args:
        file: A table of scores whose last line may be truncated.
        output: Its suffix says how rows become lines.
        row_format: Has the first line of a CSV file.
        components: How many components a row has.
        on_row: Called with the path and the label of each row.
        head: The line that *file* begins with, before the table; empty for none.

    Raises:
        UsageError: The file is damaged before its end.
    """
    digests, anomalies = bytearray(), 0
    with (
        atomic_write(file, "w") as new,
        file.open(encoding="utf-8", errors="replace", newline="") as old,
    ):
        if head:
            old.readline()
            new.write(head)
        if row_format.header is not None:
            old.readline()
            new.write(row_format.header + "\n")
        read_rows = _json_rows if has_json_lines(output) else _csv_rows
        for path, label, line in read_rows(old, file, components):
            new.write(line + "\n")
            digests += _digest(path)
            anomalies += label == ANOMALY
            if on_row is not None:
                on_row(path, label)
    return CompletedInputs(digests, anomalies)


def _csv_rows(stream: IO[str], file: Path, components: int) -> Iterator[tuple[str, str, str]]:
    """Yield (path, label, line) of each complete row that has a score."""
    truncated = False
    lines = _CompleteLines(stream)
    for cells in csv.reader(lines):
        if truncated:
            raise _damaged(file)
        if len(cells) != components + _OTHER_COLUMNS or not lines.complete:
            truncated = True  # allowed for the last line only
        elif cells[1]:
            path = without_spreadsheet_prefix(cells[0])
            yield path, cells[3], csv_line(cells)


class _CompleteLines:
    """The lines of a text, and whether the line read last has a line end."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.complete = True

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            self.complete = line.endswith("\n")
            yield line


def _json_rows(stream: IO[str], file: Path, components: int) -> Iterator[tuple[str, str, str]]:
    """Yield (path, label, line) of each complete row that has a score."""
    truncated = False
    for line in stream:
        if truncated:
            raise _damaged(file)
        row = _json_row(line)
        if row is None or len(row["components"]) not in (0, components):
            truncated = True
        elif row["score"] is not None:
            yield row["path"], row["label"] or "", line.removesuffix("\n")


def _json_row(line: str) -> Mapping[str, Any] | None:
    if not line.endswith("\n"):
        return None
    try:
        row = parse_json(line)
    except ValueError:
        return None
    wanted = {"path", "score", "label", "components"}
    return row if isinstance(row, dict) and wanted <= row.keys() else None


def _damaged(file: Path) -> UsageError:
    return UsageError(f"{file} is damaged before its end", START_OVER)


def _digest(path: str) -> bytes:
    # The last byte is constant: numpy strips trailing zero bytes from its byte strings.
    encoded = path.encode("utf-8", "backslashreplace")
    return hashlib.blake2b(encoded, digest_size=_DIGEST - 1).digest() + b"."
