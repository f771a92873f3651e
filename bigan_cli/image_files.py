"""Finds image files on disk, lazily and in natural order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
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
    """Return the folders directly in *folder*, in natural order, without hidden ones and runs.

    Raises:
        DataError: *folder* cannot be listed.
    """
    below = (folder / name for name, is_folder in _entries(folder) if is_folder)
    return [path for path in below if not _is_run(path)]


def walk_images(folder: Path, recursive: bool = True) -> Iterator[Path]:
    """Yield the image files under *folder*, in natural order, one folder in memory at a time.

    Hidden files and folders are passed over, and so are run directories below *folder*: the
    pictures that a run draws are no images to learn or to judge. Links to folders are followed,
    but no folder is entered twice, so links that form a loop do no harm.

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
    for name, is_below in _entries(folder):
        if not is_below:
            yield folder / name
        elif recursive and not _is_run(folder / name):
            yield from _walk(folder / name, recursive, entered)


def _is_run(folder: Path) -> bool:
    """Return whether *folder* looks like a run directory."""
    try:
        return (folder / "run.json").is_file() and (folder / "models").is_dir()
    except OSError:  # told when it is listed
        return False


def _entries(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield (name, whether a folder) of the images and folders in *folder*, in natural order.

    A folder may hold a million images: nothing is kept of each but one short string.
    """
    folders = set()
    keys = []
    try:
        with os.scandir(folder) as listing:
            for entry in listing:
                name = entry.name
                if name.startswith("."):
                    continue
                if is_folder(entry):
                    folders.add(name)
                    keys.append(_sortable(name))
                elif is_image_name(name):
                    keys.append(_sortable(name))
    except OSError as error:
        raise _unlistable(folder, error) from error
    keys.sort()
    for key in keys:
        name = key.rpartition("\0")[2]
        yield name, name in folders


def _sortable(name: str) -> str:
    """Return a string that sorts as :func:`natural_key` of *name* does, and ends with *name*.

    A text is closed by NUL, which no name holds and which sorts before all else. A number is
    its digits without leading zeros after one character for how many they are.
    """
    parts = _DIGITS.split(name)
    for i in range(1, len(parts), 2):
        digits = parts[i].lstrip("0")
        parts[i] = f"\0{chr(len(digits) + 1)}{digits}"
    parts[::2] = [text.casefold() for text in parts[::2]]
    return f"{''.join(parts)}\0\0{name}"


def _unlistable(folder: Path, error: OSError) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"no such folder: {folder}")
    if isinstance(error, NotADirectoryError):
        return DataError(f"{folder} is a file, not a folder")
    return DataError(f"cannot list the folder {folder}: {(error.strerror or str(error)).lower()}")


def find_images(paths: Iterable[Path], recursive: bool = True) -> Iterator[Path]:
    """Yield the images that *paths* stand for, lazily, in the order given.

    A folder stands for the image files in it (and below it, if *recursive*), known by their
    suffix and naturally sorted. Anything else stands for itself, whatever its suffix and even
    if it does not exist: reading it then says what is wrong with it.

    Raises:
        DataError: A folder cannot be listed.
    """
    for path in paths:
        if is_folder(path):
            yield from walk_images(path, recursive)
        else:
            yield path
