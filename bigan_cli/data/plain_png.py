"""Fast decoding of small PNG files that consist of an image and nothing else.

For a tiny image most of the time of Pillow's PNG reader is Python code around the decoder. Here
the decoder is called directly; it also releases the interpreter lock. The pixels are the same, to
the bit. All other files, damaged ones included, are left to that reader.
"""

from __future__ import annotations

import struct
import zlib

from PIL import Image

LARGEST_FILE = 2**16
"""The largest file in bytes: Pillow's PNG reader passes as many to the decoder at a time."""

_MOST_PIXELS = 2**18
# The signature and the start of the chunk IHDR; that of the chunk IDAT; and the chunk IEND.
_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_DATA = 41
_END = b"\0\0\0\0IEND\xaeB`\x82"
_FIELDS = struct.Struct(">IIBB3s")
_PLAIN = b"\0\0\0"  # compression, filtering and no interlacing
_MODES = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}  # by the colour type


def decode_plain_png(contents: bytes) -> Image.Image | None:
    """Return the image of a small PNG file with the chunks IHDR, IDAT and IEND only, of 8 bits.

    None for any other file, and for a damaged one.
    """
    length = len(contents) - _DATA - 4 - len(_END)
    if (
        not 0 < length < LARGEST_FILE
        or not contents.startswith(_START)
        or contents[33:_DATA] != length.to_bytes(4, "big") + b"IDAT"
        or not contents.endswith(_END)
    ):
        return None
    width, height, bits, colour, rest = _FIELDS.unpack_from(contents, len(_START))
    mode = _MODES.get(colour)
    if mode is None or bits != 8 or rest != _PLAIN or not 0 < width * height <= _MOST_PIXELS:
        return None
    data = contents[_DATA : _DATA + length]
    if (
        zlib.crc32(contents[12:29]).to_bytes(4, "big") != contents[29:33]
        or zlib.crc32(data, zlib.crc32(b"IDAT")).to_bytes(4, "big") != contents[-16:-12]
    ):
        return None
    try:
        return Image.frombytes(mode, (width, height), data, "zip", mode, 0)
    except ValueError:  # too few pixels, or not compressed properly
        return None
