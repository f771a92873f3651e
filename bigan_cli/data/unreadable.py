"""The error for an image that cannot be read, and its reason in plain words."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from bigan_cli.errors import DataError


class UnreadableImage(DataError):  # noqa: N818 - it names the finding, like its siblings
    """An image that cannot be read, or whose pixels have no agreed meaning.

    Attributes:
        reason: Why, in a few plain words, for instance ``truncated file``.
        path: The file, or None for an image in memory.
    """

    def __init__(self, reason: str, path: Path | None = None) -> None:
        super().__init__(f"cannot read {path}: {reason}" if path else f"cannot read: {reason}")
        self.reason = reason
        self.path = path


def why_unreadable(error: BaseException) -> str:
    """Return why an image could not be read, in plain words."""
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
