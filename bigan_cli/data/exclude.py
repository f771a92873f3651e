"""Images that are left out of a dataset: a list, or the CSV of ``bigan data check``."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bigan_cli.contracts import Items
from bigan_cli.errors import DataError
from bigan_cli.regular_files import read_regular_file

_PATH, _EXCLUDE = "path", "exclude"
_LARGEST = 1_000_000_000  # bytes
_DELIMITERS = ",;\t"  # spreadsheet programs write the semicolon in many countries


def read_exclusions(file: Path) -> tuple[str, ...]:
    """Return the paths that *file* lists, as they are written there.

    Args:
        file: One path a line, with empty lines and lines that start with ``#`` ignored; or a
            CSV with the column ``path``, of which the rows count that have anything in the
            column ``exclude``, or all rows where there is no such column.

    Raises:
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
    wanted: dict[str, str] = {}
    for each in excluded:
        for key in (each, _absolute(each), _absolute(Path(root or "") / each)):
            wanted.setdefault(key, each)
    found: dict[int, str] = {}
    for i in range(len(items)):
        image = items.images[i] if not isinstance(items.images, np.ndarray) else None
        keys = [items.names[i]] if items.names is not None else []
        keys += [_absolute(image)] if isinstance(image, str | os.PathLike) else []
        entry = next((wanted[key] for key in keys if key in wanted), None)
        if entry is not None:
            found[i] = entry
    kept = [i for i in range(len(items)) if i not in found]
    images = items.images
    left = replace(
        items,
        images=images[kept] if isinstance(images, np.ndarray) else [images[i] for i in kept],
        labels=items.labels[kept],
        masks=None if items.masks is None else [items.masks[i] for i in kept],
        names=None if items.names is None else [items.names[i] for i in kept],
    )
    return left if found else items, frozenset(found.values())


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(path)  # noqa: PTH100  links are not followed: names count
