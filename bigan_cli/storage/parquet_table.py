"""Tables of scores as Parquet: converted from CSV when all rows are known, and read row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from bigan_cli.extras import require_extra
from bigan_cli.formatting import without_spreadsheet_prefix

_TEXT = ("path", "label", "error")
_COUNT = "regions"
# Rows in a row group; fixed, so that equal rows give equal files.
_ROWS = 2**16
# Rows in memory while a table is read.
_READ_AT_ONCE = 2**12


def require_parquet() -> None:
    """Raise an error if Parquet cannot be written here.

    Raises:
        UsageError: pyarrow is not installed.
    """
    require_extra("scale", "pyarrow", otherwise="write .csv or .jsonl")


def parquet_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table; few of them are in memory.

    Raises:
        OSError: The file is missing or cannot be read.
        ValueError: It is damaged, or no Parquet table.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    with file.open("rb") as stream:
        try:
            # Pages are read as they are needed, instead of row groups.
            table = ParquetFile(stream, buffer_size=2**16, pre_buffer=False)
            for batch in table.iter_batches(batch_size=_READ_AT_ONCE):
                yield from batch.to_pylist()
        except (ArrowException, OSError) as error:  # of damage, too
            if getattr(error, "errno", None):
                raise
            raise ValueError(str(error)) from error


def write_parquet(lines: Iterable[bytes], whole: IO[bytes]) -> None:
    """Write the lines of a CSV table, header included, as a Parquet table.

    The columns are those of the CSV table; what is empty there is null, but text stays text.
    """
    from pyarrow import RecordBatch
    from pyarrow.parquet import ParquetWriter

    rows = csv.reader(line.decode() for line in lines)
    header = next(rows)
    schema = _schema(header)
    with ParquetWriter(whole, schema) as writer:
        for group in _groups(rows):
            columns = zip(header, zip(*group, strict=True), strict=True)
            values = {name: _values(name, cells) for name, cells in columns}
            writer.write_batch(RecordBatch.from_pydict(values, schema))


def _groups(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    while group := list(islice(rows, _ROWS)):
        yield group


def _schema(header: Sequence[str]) -> Any:
    import pyarrow as pa

    def kind(name: str) -> Any:
        if name in _TEXT:
            return pa.string()
        return pa.int32() if name == _COUNT else pa.float64()

    return pa.schema([(name, kind(name)) for name in header])


def _values(name: str, cells: Sequence[str]) -> list[Any]:
    if name == "path":
        return [without_spreadsheet_prefix(cell) for cell in cells]
    if name in _TEXT:
        return list(cells)
    convert = int if name == _COUNT else float
    return [convert(cell) if cell else None for cell in cells]
