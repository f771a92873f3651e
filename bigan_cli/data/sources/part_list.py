"""The inputs of all parts in one Parquet table, so that a process can open a part by its number."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import IO

from bigan_cli.data.sources.find import Archive, as_archive
from bigan_cli.data.sources.image_source import Failed, Found
from bigan_cli.data.sources.lists import parquet_images
from bigan_cli.data.sources.parts import Part
from bigan_cli.extras import require_extra
from bigan_cli.locations.location import Location, locate, open_location

_IMAGE, _ARCHIVE, _FAILED = range(3)


def write_part_list(stream: IO[bytes], parts: Iterable[Part]) -> Iterator[Part]:
    """Write *parts*, each as one row group, and yield each one that is written.

    Raises:
        UsageError: pyarrow is not installed.
    """
    require_extra("scale", "pyarrow")
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    schema = pa.schema([("kind", pa.int8()), ("name", pa.binary()), ("reason", pa.string())])
    with ParquetWriter(stream, schema) as writer:
        for part in parts:
            rows = [_row(source) for source in part.sources]
            columns = dict(zip(schema.names, zip(*rows, strict=True), strict=True))
            writer.write_table(pa.table(columns, schema), row_group_size=len(rows))
            yield part


def read_part(listing: Location, number: int) -> Part:
    """Return the part of a number.

    Raises:
        OSError: The table cannot be read.
    """
    require_extra("scale", "pyarrow")
    from pyarrow.parquet import ParquetFile

    with open_location(listing) as stream:
        table = ParquetFile(stream).read_row_group(number)
    columns = [table.column(name).to_pylist() for name in ("kind", "name", "reason")]
    return Part(number, tuple(_source(*row) for row in zip(*columns, strict=True)))


def _row(source: Found | Archive) -> tuple[int, bytes, str]:
    if isinstance(source, Failed):
        return _FAILED, os.fsencode(source.name), source.reason
    if isinstance(source, Archive):
        return _ARCHIVE, os.fsencode(str(source.location)), ""
    return _IMAGE, os.fsencode(str(source)), ""


def _source(kind: int, name: bytes, reason: str) -> Found | Archive:
    text = os.fsdecode(name)
    if kind == _FAILED:
        return Failed(text, reason)
    location = locate(text)
    if kind == _ARCHIVE:
        return as_archive(location) or Archive(location, parquet_images)
    return location
