"""The error for a path that does not exist, with the most similar name beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from bigan_cli.errors import UsageError, nearest

# Entries of a folder that are compared; a folder of images may have millions.
_COMPARED = 2000


def missing_path(path: Path, what: str = "file or folder", hint: str = "") -> UsageError:
    """Return the error for *path*, which does not exist.

    Args:
        path: As the user gave it.
        what: What it should be.
        hint: What to do if nothing beside it has a similar name.
    """
    return UsageError(f"no such {what}: {path}", similar_path(path) or hint)


def require_folder(path: Path, hint: str = "") -> None:
    """Raise UsageError unless *path* is a folder.

    Args:
        path: As the user gave it.
        hint: What to do if nothing beside it has a similar name.
    """
    if is_missing(path):
        raise missing_path(path, "folder", hint)
    if not path.is_dir():
        raise UsageError(f"{path} is a file, not a folder", hint or "name the folder it is in")


def require_one(paths: Sequence[Path]) -> None:
    """Raise UsageError if none of *paths* exists."""
    if paths and all(map(is_missing, paths)):
        error = missing_path(paths[0])
        others = f", nor any of {len(paths) - 1:,} others" if len(paths) > 1 else ""
        raise UsageError(f"{error.message}{others}", error.hint)


def is_missing(path: Path) -> bool:
    """Return whether *path* does not exist; False if that is unknown."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # a parent without permission, or what cannot be a path
        return False
    return False


def similar_path(path: Path) -> str:
    """Return ``"did you mean 'today'?"`` for a path like *path* that exists, or an empty string.

    It differs in one name, which need not be the last. Names that differ in digits alone are not
    similar: of numbered files, another is not meant.
    """
    first = next((each for each in (*reversed(path.parents), path) if is_missing(each)), None)
    if first is None:
        return ""
    try:
        with os.scandir(first.parent) as entries:
            names = [entry.name for entry in islice(entries, _COMPARED)]
    except (OSError, ValueError):
        return ""
    letters = _without_digits(first.name)
    near = nearest(first.name, [name for name in names if _without_digits(name) != letters])
    if near is None:
        return ""
    meant = first.with_name(near) / path.relative_to(first)
    return "" if is_missing(meant) else f"did you mean '{meant}'?"


def _without_digits(name: str) -> str:
    return re.sub(r"\d", "", name)
