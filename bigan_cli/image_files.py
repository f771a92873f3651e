"""Finds image files on disk, lazily and in natural order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bigan_cli.errors import DataError

IMAGE_SUFFIXES = (
    *(".png", ".apng"),
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
    *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    *(".bmp", ".dib"),
    *(".tif", ".tiff", ".btf", ".tf8"),
    *(".webp", ".gif"),
    *(".pgm", ".ppm", ".pbm", ".pnm", ".pfm"),
    *(".heic", ".heif", ".hif", ".avif", ".avifs"),
)
"""The suffixes of image files in folders, in lower case.

Some formats need another package; the error without it names the package.
"""

PILLOW_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "DIB", "JPEG2000", "AVIF")
"""Pillow's names of the formats that are read.

An allow-list, so that no file can start an interpreter: Pillow's EPS reader runs Ghostscript.
"""

_DIGITS = re.compile(r"([0-9]+)")


def natural_key(name: str) -> tuple[tuple[int | str, ...], str]:
    """Return a case-insensitive sort key with ``img2`` before ``img10``."""
    parts = _DIGITS.split(name)
    # Every second part is a number, so numbers are always compared with numbers.
    return tuple(int(p) if i % 2 else p.casefold() for i, p in enumerate(parts)), name


def is_image_name(name: str) -> bool:
    """Return whether *name* ends like an image file and is not hidden."""
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


def is_folder(path: Path | os.DirEntry[str]) -> bool:
    """Return whether *path* is a folder, or a link to one; False if that is unknown."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a link to itself, a parent without permission, a NUL character
        return False


def subfolders(folder: Path) -> list[Path]:
    """Return the folders directly in *folder*, in natural order, without hidden ones and runs.

    Raises:
        UnlistableFolder: *folder* cannot be listed.
    """
    below = []
    for item in _entries(folder):
        if isinstance(item, UnlistableFolder):
            raise item
        if item[1]:
            below.append(folder / item[0])
    return [path for path in below if not _is_run(path)]


class UnlistableFolder(DataError):  # noqa: N818 - a finding, not an error of the program
    """A folder that is missing, or cannot be listed to its end.

    Attributes:
        path: The folder.
        reason: The reason in a few words.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        if isinstance(error, FileNotFoundError):
            self.reason, message = "no such folder", f"no such folder: {path}"
        elif isinstance(error, NotADirectoryError):
            self.reason, message = "a file, not a folder", f"{path} is a file, not a folder"
        else:
            self.reason = f"cannot list this folder: {(error.strerror or str(error)).lower()}"
            message = f"cannot list the folder {path}: {(error.strerror or str(error)).lower()}"
        super().__init__(message)


def walk_images(folder: Path, recursive: bool = True) -> Iterator[Path]:
    """Yield the image files under *folder*, in natural order, one folder in memory at a time.

    Hidden files and folders are skipped, and so are run directories below *folder*: the
    images that a run writes are not for training or scoring. Links to folders are followed, but
    no folder is entered twice, so loops of links are harmless.

    Raises:
        UnlistableFolder: A folder cannot be listed.
    """
    for item in walk_all(folder, recursive):
        if isinstance(item, UnlistableFolder):
            raise item
        yield item


def walk_all(folder: Path, recursive: bool = True) -> Iterator[Path | UnlistableFolder]:
    """Yield as :func:`walk_images`, and the error for a folder that cannot be listed.

    The walk continues after it.
    """
    entered: set[tuple[int, int]] = set()
    folders = [_list(folder, entered)]  # a stack, since folders may be nested a thousand deep
    while folders:
        item = next(folders[-1], None)
        if item is None:
            folders.pop()
        elif isinstance(item, _Subfolder):
            if recursive and not _is_run(item.path):
                folders.append(_list(item.path, entered))
        else:
            yield item


@dataclass(frozen=True, slots=True)
class _Subfolder:
    path: Path


def _list(
    folder: Path, entered: set[tuple[int, int]]
) -> Iterator[Path | UnlistableFolder | _Subfolder]:
    """Yield the images and folders in *folder*, unless it was entered before."""
    try:
        status = folder.stat()
    except OSError as error:
        yield UnlistableFolder(folder, error)
        return
    identity = (status.st_dev, status.st_ino)
    if identity in entered:
        return
    entered.add(identity)
    for item in _entries(folder):
        if isinstance(item, UnlistableFolder):
            yield item
        else:
            name, is_below = item
            yield _Subfolder(folder / name) if is_below else folder / name


def _is_run(folder: Path) -> bool:
    """Return whether *folder* looks like a run directory."""
    try:
        return (folder / "run.json").is_file() and (folder / "models").is_dir()
    except OSError:  # reported when it is listed
        return False


def _entries(folder: Path) -> Iterator[tuple[str, bool] | UnlistableFolder]:
    """Yield (name, whether a folder) of the images and folders in *folder*, in natural order.

    A folder may have a million images, so only one short string is kept for each. If listing
    fails halfway, the entries so far are followed by the error.
    """
    folders = set()
    keys = []
    failed: UnlistableFolder | None = None
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
        failed = UnlistableFolder(folder, error)
    keys.sort()
    for key in keys:
        name = key.rpartition("\0")[2]
        yield name, name in folders
    if failed is not None:
        yield failed


def _sortable(name: str) -> str:
    """Return a string that sorts as :func:`natural_key` of *name* does, and ends with *name*.

    A text ends with NUL, which no name contains and which sorts first. A number is its digits
    without leading zeros, after one character for their count.
    """
    parts = _DIGITS.split(name)
    for i in range(1, len(parts), 2):
        digits = parts[i].lstrip("0")
        parts[i] = f"\0{chr(len(digits) + 1)}{digits}"
    parts[::2] = [text.casefold() for text in parts[::2]]
    return f"{''.join(parts)}\0\0{name}"


def find_images(paths: Iterable[Path], recursive: bool = True) -> Iterator[Path | UnlistableFolder]:
    """Yield the images of *paths*, lazily, in the given order.

    For a folder these are the image files in it (and below it, if *recursive*), by suffix and in
    natural order. Other paths are yielded unchanged, with any suffix and even if they do not
    exist: reading them reports the error. For a folder that cannot be listed its error is
    yielded, in order.
    """
    for path in paths:
        if is_folder(path):
            yield from walk_all(path, recursive)
        else:
            yield path
