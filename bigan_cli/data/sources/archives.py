"""Images in tar archives (such as those of WebDataset) and zip archives, one after another.

Nothing is unpacked to disk: the name of a member is a name, whatever folder it points to.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from typing import IO, Self

from bigan_cli.data.sources.image_source import LARGEST_CONTENTS, TOO_LARGE, ImageContents
from bigan_cli.data.sources.location import Location
from bigan_cli.data.unreadable import UnreadableImage, why_unreadable
from bigan_cli.image_files import is_image_name

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ZIP_SUFFIXES = (".zip",)

# Most bytes of a long name or other metadata of a member, which tarfile keeps in memory.
_LARGEST_METADATA = 2**20
_METADATA = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)

Member = ImageContents | tuple[str, str]
"""An image, or the name of one and why it cannot be read."""


def tar_members(stream: IO[bytes], archive: Location) -> Iterator[Member]:
    """Yield the images of a tar archive, compressed or not, in its order.

    The archive is read once from its start to its end, so *stream* may be a download.

    Raises:
        tarfile.TarError: It is damaged or cut short.
        OSError: It cannot be read.
    """
    with tarfile.open(fileobj=stream, mode="r|*", tarinfo=_CheckedMember) as tar:
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # a list of all members would grow with their number
            if not member.isreg() or not _is_image(member.name):
                continue
            name = f"tar://{member.name}::{archive}"
            if member.size > LARGEST_CONTENTS:
                yield name, TOO_LARGE
                continue
            contents = tar.extractfile(member)
            assert contents is not None  # noqa: S101  it is a regular file
            yield ImageContents(name, contents.read())


class _CheckedMember(tarfile.TarInfo):
    """The header of a member, where damage is an error: tarfile takes it for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the end
            raise
        except tarfile.HeaderError as error:
            text = str(error) if buf else "no end of the archive"
            raise tarfile.ReadError(text) from error
        if member.type in _METADATA and member.size > _LARGEST_METADATA:
            raise tarfile.ReadError(f"metadata of {member.size:,} bytes")
        return member


def zip_members(stream: IO[bytes], archive: Location) -> Iterator[Member]:
    """Yield the images of a zip archive, in its order.

    The names of all members are in memory: they are at its end, and the images before them.

    Raises:
        zipfile.BadZipFile: It is damaged or cut short.
        OSError: It cannot be read.
    """
    with zipfile.ZipFile(stream) as files:
        for member in files.infolist():
            if member.is_dir() or not _is_image(member.filename):
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


def _is_image(name: str) -> bool:
    """Return whether a member is an image by its suffix, not hidden, nor in a hidden folder."""
    *folders, last = name.split("/")
    hidden = any(part.startswith(".") and part not in (".", "..") for part in folders)
    return is_image_name(last) and not hidden
