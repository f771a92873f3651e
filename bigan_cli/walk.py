"""Finding image files on disk, lazily and in an order a person expects."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from bigan_cli.errors import DataError

IMAGE_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".tif",
    ".tiff",
    ".webp",
    ".gif",
    ".pgm",
    ".ppm",
)

_DIGITS = re.compile(r"([0-9]+)")


def natural_key(name: str) -> tuple[tuple[int | str, ...], str]:
    """Return a sort key under which ``img2`` comes before ``img10``, whatever the case."""
    parts = _DIGITS.split(name)
    # The pattern splits so that every second part is a number: keys always compare like by like.
    return tuple(int(p) if i % 2 else p.casefold() for i, p in enumerate(parts)), name


def is_image_name(name: str) -> bool:
    """Return whether *name* ends like an image file and is not hidden."""
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


def is_folder(path: Path | os.DirEntry[str]) -> bool:
    """Return whether *path* is a folder, or a link to one; what cannot be asked is none."""
    try:
        return path.is_dir()
    except OSError:  # a link to itself, a parent that may not be entered
        return False


def subfolders(folder: Path) -> list[Path]:
    """Return the folders directly in *folder*, hidden ones left out, in natural order.

    Raises:
        DataError: *folder* cannot be listed.
    """
    return [Path(entry.path) for entry in _entries(folder) if is_folder(entry)]


def walk_images(folder: Path, recursive: bool = True) -> Iterator[Path]:
    """Yield the image files under *folder*, in natural order, one folder in memory at a time.

    Hidden files and folders are passed over. Links to folders are followed, but no folder is
    entered twice, so links that form a loop do no harm.

    Raises:
        DataError: A folder cannot be listed.
    """
    yield from _walk(folder, recursive, set())


def _walk(folder: Path, recursive: bool, entered: set[tuple[int, int]]) -> Iterator[Path]:
    try:
        status = folder.stat()
    except OSError as error:
        raise _unlistable(folder, error) from error
    identity = (status.st_dev, status.st_ino)
    if identity in entered:
        return
    entered.add(identity)
    for entry in _entries(folder):
        if is_folder(entry):
            if recursive:
                yield from _walk(Path(entry.path), recursive, entered)
        elif is_image_name(entry.name):
            yield Path(entry.path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            found = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as error:
        raise _unlistable(folder, error) from error
    return sorted(found, key=lambda entry: natural_key(entry.name))


def _unlistable(folder: Path, error: OSError) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"no such folder: {folder}")
    if isinstance(error, NotADirectoryError):
        return DataError(f"{folder} is a file, not a folder")
    return DataError(f"cannot list the folder {folder}: {(error.strerror or str(error)).lower()}")
