"""From the paths a user gives to image files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bigan_cli.walk import IMAGE_SUFFIXES, is_folder, walk_images

__all__ = ["IMAGE_SUFFIXES", "find_images"]


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
