"""Lists of images: text files, and the columns of CSV and Parquet tables."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import IO, Any

from bigan_cli.data.sources.archives import Member
from bigan_cli.data.sources.image_source import LARGEST_CONTENTS, TOO_LARGE, ImageContents
from bigan_cli.errors import DataError
from bigan_cli.extras import require_extra
from bigan_cli.locations.location import Location, open_location, relative_to, text_lines

TEXT_SUFFIXES = (".txt",)
CSV_SUFFIXES = (".csv",)
PARQUET_SUFFIXES = (".parquet",)

_PATHS = ("path", "uri")
_BYTES = "bytes"
# Rows of a Parquet table in memory: names are short, images are not.
_NAMES_AT_ONCE, _IMAGES_AT_ONCE = 4096, 16

Listed = Location | tuple[str, str]
"""Where an image is, or the name of a row and what is wrong with it."""


def listed_in_text(stream: IO[bytes], listing: Location) -> Iterator[Listed]:
    """Yield the location of each line; empty lines are skipped."""
    for line in text_lines(stream):
        if text := line.rstrip("\r\n"):
            yield relative_to(listing, text)


def listed_in_csv(stream: IO[bytes], listing: Location) -> Iterator[Listed]:
    """Yield the location in the column ``path`` or ``uri`` of each row.

    Raises:
        DataError: There is no such column.
        csv.Error: It is no CSV table.
    """
    rows = csv.reader(text_lines(stream))
    column = _path_column(next(rows, []), listing)
    for number, cells in enumerate(rows, 1):
        if cells:
            text = cells[column] if column < len(cells) else ""
            yield _listed(text, number, listing)


def listed_in_parquet(stream: IO[bytes], listing: Location) -> Iterator[Listed]:
    """Yield the location in the column ``path`` or ``uri`` of each row.

    Raises:
        DataError: There is no such column.
    """
    table = _parquet(stream)
    names = table.schema_arrow.names
    column = names[_path_column(names, listing)]
    number = 0
    for batch in table.iter_batches(batch_size=_NAMES_AT_ONCE, columns=[column]):
        for text in batch.column(0).to_pylist():
            number += 1
            yield _listed(text, number, listing)


def has_contents(listing: Location) -> bool:
    """Return whether a Parquet table has the images themselves, in the column ``bytes``.

    Raises:
        OSError: It cannot be read.
    """
    with open_location(listing) as stream:
        return _BYTES in _parquet(stream).schema_arrow.names


def parquet_images(stream: IO[bytes], listing: Location) -> Iterator[Member]:
    """Yield the images in the column ``bytes``, named by the column ``path`` or ``uri``.

    Without such a column, or a name, a row is named by the table and its number.
    """
    table = _parquet(stream)
    name = next((each for each in _PATHS if each in table.schema_arrow.names), None)
    columns = [_BYTES] if name is None else [_BYTES, name]
    number = 0
    for batch in table.iter_batches(batch_size=_IMAGES_AT_ONCE, columns=columns):
        for contents, text in zip(
            batch.column(_BYTES),
            batch.column(name) if name else [None] * len(batch),
            strict=True,
        ):
            number += 1
            named = str(text) if name and text.as_py() else _row(listing, number)
            yield _contents(named, contents.as_py())


def _contents(name: str, contents: object) -> Member:
    if not isinstance(contents, bytes):
        return name, "no bytes in this row"
    return (name, TOO_LARGE) if len(contents) > LARGEST_CONTENTS else ImageContents(name, contents)


def _listed(text: object, number: int, listing: Location) -> Listed:
    if not isinstance(text, str) or not text:
        return _row(listing, number), "no path in this row"
    return relative_to(listing, text)


def _row(listing: Location, number: int) -> str:
    return f"{listing}#{number}"


def _path_column(names: Sequence[str], listing: Location) -> int:
    for name in _PATHS:
        if name in names:
            return names.index(name)
    raise DataError(
        f"{listing} has no column path or uri", "name the column of the images 'path' or 'uri'"
    )


def _parquet(stream: IO[bytes]) -> Any:
    require_extra("scale", "pyarrow")
    from pyarrow.parquet import ParquetFile

    # Pages are read as they are needed, instead of row groups.
    return ParquetFile(stream, buffer_size=2**16, pre_buffer=False)
