"""The error for an image that cannot be read, its reason, and lists of such images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from bigan_cli.errors import DataError
from bigan_cli.formatting import count

_NAMED = 5


class UnreadableImage(DataError):  # noqa: N818 - a finding, not an error of the program
    """An image that cannot be read, or whose pixels have no agreed meaning.

    Attributes:
        reason: The reason in a few words, for instance ``truncated file``.
        path: The file, or None for an image in memory.
    """

    def __init__(self, reason: str, path: Path | None = None) -> None:
        super().__init__(f"cannot read {path}: {reason}" if path else f"cannot read: {reason}")
        self.reason = reason
        self.path = path


def why_unreadable(error: BaseException) -> str:
    """Return the reason why an image could not be read."""
    if isinstance(error, UnreadableImage):
        return error.reason
    for kind, words in (
        (FileNotFoundError, "no such file"),
        (IsADirectoryError, "a folder, not a file"),
        (PermissionError, "permission denied"),
        (UnidentifiedImageError, "not an image in a known format"),
        (Image.DecompressionBombError, "a tile or frame has too many pixels"),
        (Image.DecompressionBombWarning, "a tile or frame has too many pixels"),
        (MemoryError, "too large for this machine's memory"),
        (EOFError, "truncated file"),
    ):
        if isinstance(error, kind):
            return words
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = " ".join(str(error).split())
    if "truncated" in text.lower():
        return "truncated file"
    return f"damaged file ({text or type(error).__name__})"


def list_unreadable(found: Sequence[tuple[str, str]]) -> str:
    """Return the first of the images *found*, each a name and a reason, and how many more."""
    named = ", ".join(f"{name} ({reason})" for name, reason in found[:_NAMED])
    return named + (f", and {len(found) - _NAMED} more" if len(found) > _NAMED else "")


def left_out_warning(found: Sequence[tuple[str, str]], what: str) -> str:
    """Return a warning that images *found* are left out, of which *what* is the noun."""
    return f"left out {count(len(found), what)} that cannot be read: {list_unreadable(found)}"
