"""Images that are left out of a dataset: a list, or the CSV of ``bigan data check``."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol, TypeVar, overload, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import Blocks, Items
from bigan_cli.errors import DataError
from bigan_cli.missing_paths import missing_path
from bigan_cli.regular_files import read_regular_file

_PATH, _EXCLUDE = "path", "exclude"
_LARGEST = 1_000_000_000  # bytes
_CHAIN = "::"  # of URLs, before the archive that a file is in
_DELIMITERS = ",;\t"  # spreadsheet programs write the semicolon in many countries

T = TypeVar("T")
Index = NDArray[np.int64]


@runtime_checkable
class SearchableNames(Protocol):
    """Names of images that are found without reading all names."""

    def indices(self, name: str) -> Sequence[int]:
        """Return the indices of the images of this name; a path in it is absolute."""


def read_exclusions(file: Path) -> tuple[str, ...]:
    """Return the paths that *file* lists, as they are written there.

    Args:
        file: One path a line, with empty lines and lines that start with ``#`` ignored; or a
            CSV with the column ``path``, of which the rows count that have anything in the
            column ``exclude``, or all rows where there is no such column.

    Raises:
        UsageError: It does not exist.
        DataError: It cannot be read.
    """
    lines = _lines(file)
    rows = _rows(file, lines)
    if rows is not None:
        return tuple(
            row[_PATH] for row in rows if row[_PATH] and (row.get(_EXCLUDE, "x") or "").strip()
        )
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def read_marks(file: Path) -> dict[str, str]:
    """Return path -> mark of the marked rows of a CSV with the columns ``path`` and ``exclude``.

    Raises:
        DataError: It cannot be read, or is no such CSV.
    """
    rows = _rows(file, _lines(file))
    if rows is None or any(_EXCLUDE not in row for row in rows):
        raise DataError(f"{file} is no CSV with the columns {_PATH} and {_EXCLUDE}")
    return {row[_PATH]: row[_EXCLUDE] for row in rows if row[_PATH] and row[_EXCLUDE]}


def _lines(file: Path) -> list[str]:
    try:
        return read_regular_file(file, _LARGEST).decode("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise missing_path(file, "file", "'data.exclude' is a list or a CSV") from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise DataError(
            f"cannot read {file}: {why}", "'data.exclude' is a list or a CSV"
        ) from error


def _rows(file: Path, lines: list[str]) -> list[dict[str, str]] | None:
    """Return the rows of a CSV with the column ``path``; None for another text."""
    try:
        for delimiter in _DELIMITERS:
            header = next(csv.reader(lines[:1], delimiter=delimiter), [])
            if _PATH in header:
                return list(csv.DictReader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise DataError(
            f"cannot read {file}: {error}", "'data.exclude' is a list or a CSV"
        ) from error
    return None


def leave_out(
    items: Items, excluded: Sequence[str], root: Path | None
) -> tuple[Items, frozenset[str]]:
    """Return *items* without the *excluded* images, and which of these were among them.

    Args:
        items: Of one split.
        excluded: Names of items, or paths, absolute or relative to *root* or the working folder.
        root: The folder of the dataset.
    """
    if not excluded:
        return items, frozenset()
    found = _find(items, excluded, root)
    if not found:
        return items, frozenset()
    kept = np.setdiff1d(np.arange(len(items)), list(found))
    images = items.images
    left = replace(
        items,
        images=images[kept] if isinstance(images, np.ndarray) else _Kept(images, kept),
        labels=items.labels[kept],
        masks=None if items.masks is None else _Kept(items.masks, kept),
        names=None if items.names is None else _Kept(items.names, kept),
        blocks=None if items.blocks is None else _kept_blocks(items.blocks, kept),
    )
    return left, frozenset(found.values())


def _find(items: Items, excluded: Sequence[str], root: Path | None) -> dict[int, str]:
    """Return the entry of *excluded* that names an image, by the index of the image."""
    names: object = items.names
    if isinstance(names, SearchableNames):
        return {
            index: each
            for each in excluded
            for key in _keys(each, root)
            for index in names.indices(key)
        }
    wanted: dict[str, str] = {}
    for each in excluded:
        for key in _keys(each, root):
            wanted.setdefault(key, each)
    found: dict[int, str] = {}
    for i in range(len(items)):
        # An image in a block is not read for its name.
        image: object = None if items.blocks is not None else items.images[i]
        keys = [items.names[i]] if items.names is not None else []
        keys += [_absolute(image)] if isinstance(image, str | os.PathLike) else []
        entry = next((wanted[key] for key in keys if key in wanted), None)
        if entry is not None:
            found[i] = entry
    return found


def _keys(entry: str, root: Path | None) -> Iterator[str]:
    """Yield what an entry may mean: itself, or with a path made absolute."""
    member, chain, path = entry.rpartition(_CHAIN)
    yield entry
    yield member + chain + _absolute(path)
    yield member + chain + _absolute(Path(root or "") / path)


class _Kept(Sequence[T]):
    """The elements of *whole* at the sorted indices *kept*; a slice is read as one of *whole*."""

    def __init__(self, whole: Sequence[T], kept: Index) -> None:
        self._whole = whole
        self._kept = kept

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if not isinstance(index, slice):
            return self._whole[int(self._kept[index])]
        rows = self._kept[index].tolist()
        if not rows:
            return []
        first, last = min(rows), max(rows)
        span = self._whole[first : last + 1]
        return [span[row - first] for row in rows]


def _kept_blocks(blocks: Blocks, kept: Index) -> Blocks:
    """Return the *blocks* of the images *kept*; those that lack some have other digests."""
    bounds, digests, versions = [0], [], []
    for number, (first, stop) in enumerate(pairwise(blocks.bounds.tolist())):
        rows = kept[slice(*np.searchsorted(kept, (first, stop)))] - first
        if not len(rows):
            continue
        left = "" if len(rows) == stop - first else f" {hashlib.sha256(rows.tobytes()).hexdigest()}"
        bounds.append(bounds[-1] + len(rows))
        digests.append(blocks.digests[number] + left)
        versions.append(blocks.versions[number] + left)
    return Blocks(np.array(bounds, np.int64), digests, versions)


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(path)  # noqa: PTH100  links are not followed: names count
