"""Reading tables of scores that were written by bigan."""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.errors import DataError, UsageError
from bigan_cli.extras import require_extra
from bigan_cli.formatting import without_spreadsheet_prefix
from bigan_cli.missing_paths import missing_path
from bigan_cli.regular_files import read_file_or_pipe
from bigan_cli.storage.parquet_table import parquet_rows
from bigan_cli.storage.score_table import OUTPUT_SUFFIXES
from bigan_cli.storage.strict_json import parse_json

_PARQUET = ".parquet"
# The columns of a table between which those of the components are.
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
    """Read a .csv, .jsonl or .parquet file that holds the rows of scored images.

    A truncated last line, as a running process may leave it, is ignored.

    Raises:
        UsageError: It does not exist or has another suffix, or Parquet cannot be read here.
        DataError: It is not such a table.
    """
    if file.suffix.lower() not in OUTPUT_SUFFIXES:
        raise UsageError(f"{file} is none of .csv, .jsonl and .parquet")
    if file.suffix.lower() == _PARQUET:
        require_extra("scale", "pyarrow")
    try:
        return _collect(_rows(file))
    except FileNotFoundError as error:
        raise missing_path(file, "file") from error
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    except (LookupError, TypeError, ValueError, OverflowError, csv.Error) as error:
        raise _no_table(file) from error


def _collect(rows: Iterable[Mapping[str, Any]]) -> ReadScores:
    """Return the columns of *rows*, which are not kept."""
    paths, labels, skipped = [], [], 0
    score, p_value = array("d"), array("d")
    components: dict[str, array[float]] | None = None
    for row in rows:
        if row["score"] in (None, ""):
            skipped += 1
            continue
        paths.append(str(row["path"]))
        labels.append(str(row["label"]))
        score.append(float(row["score"]))
        p_value.append(float(row["p_value"]))
        if components is None:
            components = {name: array("d") for name in row["components"]}
        for name, values in components.items():
            values.append(float(row["components"][name]))
    return ReadScores(
        tuple(paths),
        np.array(score),
        np.array(p_value),
        tuple(labels),
        {name: np.array(values) for name, values in (components or {}).items()},
        skipped,
    )


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield rows with a path, a score, a p-value, a label and components."""
    suffix = file.suffix.lower()
    if suffix == _PARQUET:
        yield from _parquet_rows(file)
        return
    text = read_file_or_pipe(file).decode("utf-8-sig")
    text = text[: text.rfind("\n") + 1]
    yield from _csv_rows(text) if suffix == ".csv" else _json_rows(text)


def _component_columns(header: Sequence[str]) -> Sequence[str]:
    """Return the names of the components in the header of a table.

    Raises:
        ValueError: It is no table of scores.
    """
    if header[:1] not in (["path"], ["name"]) or _BEFORE not in header:
        raise ValueError("no header of a table of scores")
    start = header.index(_BEFORE) + 1
    end = next((header.index(n) for n in _AFTER if n in header[start:]), len(header))
    return header[start:end]


def _parquet_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    for row in parquet_rows(file):
        components = _component_columns(list(row))
        yield {**row, "components": {name: row[name] for name in components}}


def _csv_rows(text: str) -> Iterator[Mapping[str, Any]]:
    lines = csv.reader(io.StringIO(text))
    header = next(lines, [])
    if not header:
        return
    components = _component_columns(header)
    for cells in lines:
        row: dict[str, Any] = dict(zip(header, cells, strict=False))
        path = without_spreadsheet_prefix(cells[0])
        yield {**row, "path": path, "components": {name: row[name] for name in components}}


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
