"""The SHA-256 of a model file, which is stored within the file itself.

The digest covers every byte of the file, with zeros in place of its own 64 characters. So it
can be in the header, where safetensors has room for it: it allows no bytes after the tensors.
"""

from __future__ import annotations

import hashlib
import re

#: What a header holds as ``sha256`` until the digest is known.
UNKNOWN = "0" * 64
# The header is JSON in a string of the safetensors header, which escapes its quotes. The same
# text within one of its own strings would be escaped twice.
_FIELD = re.compile(rb'\\"sha256\\": ?\\"([0-9a-f]{64})\\"')


def insert_checksum(data: bytes) -> bytes:
    """Return *data* with its digest in place of :data:`UNKNOWN`.

    Raises:
        ValueError: There is no such place.
    """
    start, end = _position(data)
    return b"".join((data[:start], _digest(data, start, end).encode(), data[end:]))


def verified_checksum(data: bytes) -> str:
    """Return the digest that *data* holds.

    Raises:
        ValueError: There is none, or the data are not those that it was computed for.
    """
    start, end = _position(data)
    stored = data[start:end].decode()
    if stored != _digest(data, start, end):
        raise ValueError("its checksum does not match its contents")
    return stored


def _position(data: bytes) -> tuple[int, int]:
    header_end = 8 + int.from_bytes(data[:8], "little")
    found = _FIELD.search(data, 8, min(header_end, len(data)))
    if found is None:
        raise ValueError("it has no checksum")
    return found.span(1)


def _digest(data: bytes, start: int, end: int) -> str:
    view = memoryview(data)
    digest = hashlib.sha256(view[:start])
    digest.update(UNKNOWN.encode())
    digest.update(view[end:])
    return digest.hexdigest()
