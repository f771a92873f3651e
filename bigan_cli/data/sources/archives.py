"""Images in tar archives (such as those of WebDataset) and zip archives, one after another.

Nothing is unpacked to disk: the name of a member is a name, whatever folder it points to.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from typing import IO

from bigan_cli.data.sources.image_source import LARGEST_CONTENTS, TOO_LARGE, ImageContents
from bigan_cli.data.unreadable import UnreadableImage, why_unreadable
from bigan_cli.locations.location import Location
from bigan_cli.locations.tar_headers import CheckedMember, is_image_member

ZIP_SUFFIXES = (".zip",)

Member = ImageContents | tuple[str, str]
"""An image, or the name of one and why it cannot be read."""


def tar_members(stream: IO[bytes], archive: Location) -> Iterator[Member]:
    """Yield the images of a tar archive, compressed or not, in its order.

    The archive is read once from its start to its end, so *stream* may be a download.

    Raises:
        tarfile.TarError: It is damaged or cut short.
        OSError: It cannot be read.
    """
    with tarfile.open(fileobj=stream, mode="r|*", tarinfo=CheckedMember) as tar:
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # a list of all members would grow with their number
            if not member.isreg() or not is_image_member(member.name):
                continue
            name = f"tar://{member.name}::{archive}"
            if member.size > LARGEST_CONTENTS:
                yield name, TOO_LARGE
                continue
            contents = tar.extractfile(member)
            assert contents is not None  # noqa: S101  it is a regular file
            yield ImageContents(name, contents.read())


def zip_members(stream: IO[bytes], archive: Location) -> Iterator[Member]:
    """Yield the images of a zip archive, in its order.

    The names of all members are in memory: they are at its end, and the images before them.

    Raises:
        zipfile.BadZipFile: It is damaged or cut short.
        OSError: It cannot be read.
    """
    with zipfile.ZipFile(stream) as files:
        for member in files.infolist():
            if member.is_dir() or not is_image_member(member.filename):
                continue
            name = f"zip://{member.filename}::{archive}"
            try:
                yield ImageContents(name, _zip_contents(files, member))
            except Exception as error:  # noqa: BLE001  zipfile raises various ones for damage
                yield name, why_unreadable(error)


def _zip_contents(files: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.flag_bits & 1:
        raise UnreadableImage("encrypted")
    with closing(files.open(member)) as stream:
        # What it says of its size need not be true.
        contents = stream.read(LARGEST_CONTENTS + 1)
    if len(contents) > LARGEST_CONTENTS:
        raise UnreadableImage(TOO_LARGE)
    return contents
