"""Lists of paths that arrive through a pipe, such as standard input."""

from __future__ import annotations

import os
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator

from bigan_cli.errors import DataError
from bigan_cli.locations.location import Location, locate


def paths_from(descriptor: int, separator: bytes = b"\n") -> Iterator[Location]:
    r"""Yield the paths and URLs of a list read from an open file, each as soon as it arrives.

    Args:
        descriptor: Read with ``os.read``, so that a reader waiting for more holds no lock.
        separator: ``b"\n"`` (a ``\r`` before it is dropped) or ``b"\0"``; empty entries are
            skipped. A UTF-8 byte order mark at the start is dropped.

    Raises:
        DataError: The list is in UTF-16.
    """
    rest, marked = b"", False
    while block := os.read(descriptor, 65536):
        rest += block
        if not marked:
            if len(rest) < len(BOM_UTF8) and BOM_UTF8.startswith(rest):
                continue  # the mark may be incomplete
            marked = True
            if rest.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
                raise DataError(
                    "the list of paths is in UTF-16",
                    "write it in UTF-8; in PowerShell, with Out-File -Encoding utf8",
                )
            rest = rest.removeprefix(BOM_UTF8)
        *entries, rest = rest.split(separator)
        yield from _as_paths(entries, separator)
    yield from _as_paths([rest], separator)


def _as_paths(entries: Iterable[bytes], separator: bytes) -> Iterator[Location]:
    for entry in entries:
        name = entry.removesuffix(b"\r") if separator == b"\n" else entry
        if name:
            yield locate(os.fsdecode(name))
