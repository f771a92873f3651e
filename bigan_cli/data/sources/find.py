"""Finds the images that inputs mean, lazily and in order; nothing is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bigan_cli.data.sources.archives import (
    ZIP_SUFFIXES,
    Member,
    tar_members,
    zip_members,
)
from bigan_cli.data.sources.image_source import Failed, Found, ImageContents
from bigan_cli.data.sources.lists import (
    CSV_SUFFIXES,
    PARQUET_SUFFIXES,
    TEXT_SUFFIXES,
    Listed,
    has_contents,
    listed_in_csv,
    listed_in_parquet,
    listed_in_text,
    parquet_images,
)
from bigan_cli.data.unreadable import why_unreadable
from bigan_cli.errors import BiganError
from bigan_cli.image_files import IMAGE_SUFFIXES, UnlistableFolder, find_images, is_folder
from bigan_cli.locations.location import Location, RemoteFile, locate, open_location
from bigan_cli.locations.remote_folders import is_remote_folder, matching_urls, remote_images
from bigan_cli.locations.tar_headers import TAR_SUFFIXES

Input = str | Path | RemoteFile
"""A path or a URL: of an image, a folder, a list or an archive."""

_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Archive:
    """A file that holds many images, opened when it is iterated over.

    Attributes:
        location: The file.
        members: Yields what is in it.
    """

    location: Location
    members: Callable[[IO[bytes], Location], Iterator[Member]]

    def __iter__(self) -> Iterator[ImageContents | Failed]:
        """Yield its images in order, and at its end why it could not be read further."""
        try:
            with open_location(self.location) as stream:
                for member in self.members(stream, self.location):
                    yield member if isinstance(member, ImageContents) else Failed(*member)
        except BiganError:
            raise
        except Exception as error:  # noqa: BLE001  damage, of many kinds, ends one archive only
            yield Failed(str(self.location), why_unreadable(error))


def find_inputs(inputs: Iterable[Input], recursive: bool = True) -> Iterator[Found]:
    """Yield the images of *inputs*, and why others cannot be read, in order.

    For a folder these are the image files in it (and below it, if *recursive*); for a .txt,
    .csv or .parquet file what it lists, relative to its folder; for a .tar or .zip file the
    images in it. Any other path is yielded unchanged: reading it reports the error.

    Raises:
        UsageError: A package is missing.
        DataError: A table lacks its column.
    """
    for found in find_sources(inputs, recursive):
        if isinstance(found, Archive):
            yield from found
        else:
            yield found


def find_sources(inputs: Iterable[Input], recursive: bool = True) -> Iterator[Found | Archive]:
    """Yield as :func:`find_inputs`, but an archive itself and not the images in it."""
    for given in inputs:
        location = locate(given)
        if isinstance(location, RemoteFile):
            yield from _remote(location, recursive)
        elif is_folder(location):
            for item in find_images([location], recursive):
                if isinstance(item, UnlistableFolder):
                    yield Failed(str(item.path), item.reason)
                else:
                    yield item
        else:
            yield from _file(location)


def _remote(location: RemoteFile, recursive: bool) -> Iterator[Found | Archive]:
    name = location.name
    if _GLOB & set(name):
        try:
            for match in matching_urls(location):
                yield from _file(match)
        except OSError as error:
            yield Failed(str(location), why_unreadable(error))
    elif not name.lower().endswith((*IMAGE_SUFFIXES, *_MEANINGS)) and is_remote_folder(location):
        for item in remote_images(location, recursive):
            yield item if isinstance(item, RemoteFile) else Failed(*item)
    else:
        yield from _file(location)


def _file(location: Location) -> Iterator[Found | Archive]:
    """Yield what a file means by its suffix."""
    archive = as_archive(location)
    if archive is not None:
        yield archive
        return
    listed = next((read for ends, read in _LISTS if _ends(location, ends)), None)
    if listed is None:
        yield location
        return
    try:
        if _ends(location, PARQUET_SUFFIXES) and has_contents(location):
            yield Archive(location, parquet_images)
            return
        with open_location(location) as stream:
            for item in listed(stream, location):
                yield Failed(*item) if isinstance(item, tuple) else as_archive(item) or item
    except BiganError:
        raise
    except Exception as error:  # noqa: BLE001  damage, of many kinds, ends one list only
        yield Failed(str(location), why_unreadable(error))


def as_archive(location: Location) -> Archive | None:
    """Return the file as an archive if it is a tar or a zip by its suffix."""
    if _ends(location, TAR_SUFFIXES):
        return Archive(location, tar_members)
    return Archive(location, zip_members) if _ends(location, ZIP_SUFFIXES) else None


def _ends(location: Location, suffixes: tuple[str, ...]) -> bool:
    return location.name.lower().endswith(suffixes)


_LISTS: tuple[tuple[tuple[str, ...], Callable[[IO[bytes], Location], Iterator[Listed]]], ...] = (
    (TEXT_SUFFIXES, listed_in_text),
    (CSV_SUFFIXES, listed_in_csv),
    (PARQUET_SUFFIXES, listed_in_parquet),
)
_MEANINGS = (
    *TAR_SUFFIXES,
    *ZIP_SUFFIXES,
    *TEXT_SUFFIXES,
    *CSV_SUFFIXES,
    *PARQUET_SUFFIXES,
)
