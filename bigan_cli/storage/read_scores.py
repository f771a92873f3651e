"""Reading tables of scores that were written by bigan."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.errors import DataError, UsageError
from bigan_cli.formatting import without_spreadsheet_prefix
from bigan_cli.regular_files import read_file_or_pipe
from bigan_cli.storage.score_table import SUFFIXES
from bigan_cli.storage.strict_json import parse_json

# The columns of a CSV file between which those of the components are.
_BEFORE, _AFTER = "label", ("regions", "error")


@dataclass(frozen=True, eq=False)
class ReadScores:
    """The rows of a table that have a score, in its order.

    Attributes:
        paths: The images.
        score: float64 ``[N]``.
        p_value: float64 ``[N]``.
        labels: ``anomaly``, ``review`` or ``normal`` of each.
        components: Name -> float64 ``[N]``.
        skipped: How many rows have no score.
    """

    paths: tuple[str, ...]
    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    labels: tuple[str, ...]
    components: Mapping[str, NDArray[np.float64]]
    skipped: int


def read_scores(file: Path) -> ReadScores:
    """Read a .csv or .jsonl file of ``bigan score``, ``watch`` or ``evaluate``.

    A truncated last line, as a running process may leave it, is ignored.

    Raises:
        UsageError: It has another suffix.
        DataError: It is missing, or not such a table.
    """
    if file.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{file} is neither .csv nor .jsonl")
    try:
        text = read_file_or_pipe(file).decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _no_table(file) from error
    text = text[: text.rfind("\n") + 1]
    try:
        rows = list(_csv_rows(text) if file.suffix.lower() == ".csv" else _json_rows(text))
        scored = [row for row in rows if row["score"] not in (None, "")]
        names = list(scored[0]["components"]) if scored else []
        return ReadScores(
            tuple(str(row["path"]) for row in scored),
            np.array([float(row["score"]) for row in scored]),
            np.array([float(row["p_value"]) for row in scored]),
            tuple(str(row["label"]) for row in scored),
            {n: np.array([float(row["components"][n]) for row in scored]) for n in names},
            len(rows) - len(scored),
        )
    except (LookupError, TypeError, ValueError, OverflowError, csv.Error) as error:
        raise _no_table(file) from error


def _csv_rows(text: str) -> Iterator[Mapping[str, Any]]:
    lines = csv.reader(io.StringIO(text))
    header = next(lines, [])
    if header[:1] in (["path"], ["name"]) and _BEFORE in header:
        start = header.index(_BEFORE) + 1
        end = next((header.index(n) for n in _AFTER if n in header[start:]), len(header))
        components = header[start:end]
        for cells in lines:
            row: dict[str, Any] = dict(zip(header, cells, strict=False))
            path = without_spreadsheet_prefix(cells[0])
            yield {**row, "path": path, "components": {name: row[name] for name in components}}
    elif header:
        yield {}


def _json_rows(text: str) -> Iterator[Mapping[str, Any]]:
    for line in text.splitlines():
        try:
            row = parse_json(line)
        except ValueError:
            row = {}
        yield row if isinstance(row, dict) else {}


def _no_table(file: Path) -> DataError:
    return DataError(
        f"{file} is not a table of scores", "it is written by 'bigan score' or 'bigan watch'"
    )
