"""The chunks of a PNG file: their checksums, and metadata too large for Pillow."""

from __future__ import annotations

import zlib

from bigan_cli.data.unreadable import UnreadableImage

_SIGNATURE = 8
_TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt"})
# Pillow's limits of a text, of all texts together and of a profile; it refuses files beyond.
_LONGEST_TEXT = 64 * 2**10
_UNPACKED = 2**20
_ALL_TEXTS = 16 * 2**20
_LONGEST_PROFILE = 64 * 2**20


def checked_png(data: bytes) -> tuple[bytes, bytes | None]:
    """Check the chunks of a PNG and remove metadata that is too long for Pillow.

    Returns:
        The file, without long texts and without a long colour profile; and that profile.

    Raises:
        UnreadableImage: A checksum is wrong, or a chunk is cut off.
    """
    view = memoryview(data)
    position, texts = _SIGNATURE, 0
    profile: bytes | None = None
    dropped: list[tuple[int, int]] = []
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 12 + length
        if end > len(data):
            raise UnreadableImage("truncated file")
        kind = data[position + 4 : position + 8]
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            name = kind.decode("ascii", "backslashreplace")
            raise UnreadableImage(f"damaged file (wrong checksum in its chunk {name})")
        if kind == b"IEND":
            break
        if kind in _TEXT:
            texts += _UNPACKED if kind != b"tEXt" else length
            content = data[position + 8 : min(end - 4, position + 8 + _LONGEST_TEXT + 1)]
            if texts > _ALL_TEXTS or _is_long(kind, content):
                dropped.append((position, end))
        elif kind == b"iCCP" and (long := _long_profile(data[position + 8 : end - 4])) is not None:
            profile = long
            dropped.append((position, end))
        position = end
    return _without(data, dropped), profile


def _is_long(kind: bytes, content: bytes) -> bool:
    """Return whether a text chunk is long, compressed or not."""
    if len(content) > _LONGEST_TEXT:
        return True
    keyword, _, rest = content.partition(b"\0")
    if kind == b"zTXt":
        return _unpacks_long(rest[1:])
    if kind == b"iTXt" and rest[:1] == b"\1":
        return _unpacks_long(rest[2:].split(b"\0", 2)[-1])
    return len(keyword) > 79


def _unpacks_long(packed: bytes) -> bool:
    try:
        return len(zlib.decompressobj().decompress(packed, _UNPACKED)) >= _UNPACKED
    except zlib.error:
        return True


def _long_profile(content: bytes) -> bytes | None:
    """Return the unpacked profile if it is too long for Pillow, else None."""
    packed = content.partition(b"\0")[2][1:]
    try:
        if not _unpacks_long(packed):
            return None
        return zlib.decompressobj().decompress(packed, _LONGEST_PROFILE)
    except zlib.error:
        return b""


def _without(data: bytes, dropped: list[tuple[int, int]]) -> bytes:
    if not dropped:
        return data
    starts = [0, *(end for _, end in dropped)]
    ends = [*(start for start, _ in dropped), len(data)]
    return b"".join(data[start:end] for start, end in zip(starts, ends, strict=True))
