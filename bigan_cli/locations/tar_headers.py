"""The headers of tar archives, and which of their members are images."""

from __future__ import annotations

import tarfile
from typing import Self

from bigan_cli.image_files import is_image_name

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

# Most bytes of a long name or other metadata of a member, which tarfile keeps in memory.
_LARGEST_METADATA = 2**20
_METADATA = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class CheckedMember(tarfile.TarInfo):
    """The header of a member, where damage is an error: tarfile takes it for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return the header in *buf*.

        Raises:
            tarfile.TarError: It is damaged, or the end of the archive is missing.
        """
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


def is_image_member(name: str) -> bool:
    """Return whether a member is an image by its suffix, not hidden, nor in a hidden folder."""
    *folders, last = name.split("/")
    hidden = any(part.startswith(".") and part not in (".", "..") for part in folders)
    return is_image_name(last) and not hidden
