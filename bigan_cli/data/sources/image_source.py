"""One image that is not decoded yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bigan_cli.locations.location import RemoteFile

LARGEST_CONTENTS = 256 * 2**20
"""Most bytes of an image that is not a file of this machine: it is in memory as a whole."""
TOO_LARGE = f"larger than {LARGEST_CONTENTS // 2**20} MB: unpack it and score the file"


@dataclass(frozen=True, slots=True)
class ImageContents:
    """The contents of an image file, out of an archive or a table.

    Attributes:
        name: The URL that fsspec opens it with, or the name that a table gives it.
        contents: All bytes of the file.
    """

    name: str
    contents: bytes

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Failed:
    """An input that could not be read as far as an image.

    Attributes:
        name: Its name in results.
        reason: Why, in a few words.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return self.name


ImageSource: TypeAlias = Path | RemoteFile | ImageContents
Found: TypeAlias = ImageSource | Failed


def source_name(source: Found) -> str:
    r"""Return the name of an input in results; a byte that is not UTF-8 becomes ``\udcXX``."""
    return str(source).encode("utf-8", "backslashreplace").decode("utf-8")
