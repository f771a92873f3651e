"""Small plain PNG files are decoded as Pillow's reader decodes them, errors included."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bigan_cli.contracts import ImageShape
from bigan_cli.data import decode
from bigan_cli.data.decode import SourceFormat, read_contents, read_file
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.plain_png import LARGEST_FILE, decode_plain_png
from bigan_cli.data.unreadable import UnreadableImage

SHAPES = [ImageShape(1, 9, 7), ImageShape(3, 12, 10), ImageShape(4, 5, 11)]
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PLAIN = [0, 2, 4, 6]


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def random_rows(height: int, width: int) -> bytes:
    """Return compressed rows of random bytes, each after the number of a filter."""
    random = np.random.default_rng(5)
    filters = random.integers(0, 5, (height, 1), np.uint8)
    rows = random.integers(0, 256, (height, width), np.uint8)
    return zlib.compress(np.concatenate([filters, rows], axis=1).tobytes())


def png(
    width: int,
    height: int,
    colour: int = 0,
    bits: int = 8,
    *,
    rest: bytes = b"\0\0\0",
    data: bytes | None = None,
    before: bytes = b"",
    after: bytes = b"",
    end: bytes = b"",
) -> bytes:
    """Return a file of random pixels, or of other data, with other chunks around its IDAT."""
    header = struct.pack(">IIBB", width, height, bits, colour) + rest
    if data is None:
        data = random_rows(height, -(-width * SAMPLES.get(colour, 1) * bits // 8))
    parts = [chunk(b"IHDR", header), before, chunk(b"IDAT", data), after, chunk(b"IEND"), end]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


Outcome = tuple[bytes, SourceFormat] | str


def outcome(contents: bytes, shape: ImageShape, options: DecodeOptions) -> Outcome:
    try:
        pixels, found = read_contents(contents, shape, options)
    except UnreadableImage as error:
        return error.reason
    assert pixels.shape == (shape.channels, shape.height, shape.width)
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    return pixels.tobytes(), found


def check_same(
    contents: bytes, shape: ImageShape = SHAPES[0], *, keep_aspect: bool = False
) -> Outcome:
    """Check that Pillow's reader gives the same as the fast one, and return it."""
    options = DecodeOptions(keep_aspect=keep_aspect)
    result = outcome(contents, shape, options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "decode_plain_png", lambda _contents: None)
        assert outcome(contents, shape, options) == result
    return result


@pytest.mark.parametrize("colour", PLAIN)
@pytest.mark.parametrize("keep_aspect", [False, True])
@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    shape=st.sampled_from(SHAPES),
)
def test_plain_file_of_any_size_is_decoded_to_the_same_pixels(
    colour: int, width: int, height: int, shape: ImageShape, keep_aspect: bool
) -> None:
    contents = png(width, height, colour)
    assert decode_plain_png(contents) is not None
    result = check_same(contents, shape, keep_aspect=keep_aspect)
    assert isinstance(result, tuple)
    assert (result[1].height, result[1].width) == (height, width)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_what_pillow_writes_is_plain(mode: str) -> None:
    stream = io.BytesIO()
    pixels = np.random.default_rng(3).integers(0, 256, (28, 28, len(mode)), np.uint8)
    Image.fromarray(pixels.squeeze(), mode).save(stream, "PNG")
    image = decode_plain_png(stream.getvalue())
    assert image is not None
    assert image.mode == mode
    assert np.array_equal(np.asarray(image), pixels.squeeze())


SPECIAL = {
    "palette": chunk(b"PLTE", bytes(range(255))),
    "transparent value": chunk(b"tRNS", b"\0\7"),
    "gamma": chunk(b"gAMA", struct.pack(">I", 30000)),
    "profile": chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile")),
    "orientation": chunk(
        b"eXIf",
        b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHIHH", 0x112, 3, 1, 6, 0) + b"\0\0\0\0",
    ),
    "text": chunk(b"tEXt", b"Title\0none"),
    "unknown": chunk(b"biGn", b"1"),
    "cut off": chunk(b"gAMA", b"\0"),
    "another IDAT": chunk(b"IDAT", b""),
    "animation": chunk(b"acTL", struct.pack(">II", 2, 0)),
    "end": chunk(b"IEND"),
}


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("colour", PLAIN)
def test_file_with_another_chunk_is_left_to_pillow(name: str, place: str, colour: int) -> None:
    contents = png(8, 6, colour, **{place: SPECIAL[name]})  # type: ignore[arg-type]
    assert decode_plain_png(contents) is None
    check_same(contents)


@pytest.mark.parametrize("colour", [0, 2, 3, 4, 6, 1, 7])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16, 3])
@pytest.mark.parametrize("interlace", [0, 1, 2])
def test_every_depth_and_interlacing_is_decoded_to_the_same_pixels(
    colour: int, bits: int, interlace: int
) -> None:
    contents = png(9, 7, colour, bits, rest=bytes([0, 0, interlace]))
    is_plain = colour in PLAIN and bits == 8 and interlace == 0
    assert (decode_plain_png(contents) is not None) == is_plain
    check_same(contents)


ROWS = bytes(7 * 10)
DATA = {
    "no pixels": b"",
    "not compressed": ROWS,
    "a row too few": zlib.compress(ROWS[10:]),
    "a byte too few": zlib.compress(ROWS[1:]),
    "more rows": zlib.compress(ROWS * 2),
    "more data": zlib.compress(ROWS) + b"more",
    "no checksum": zlib.compress(ROWS)[:-4],
    "wrong checksum": zlib.compress(ROWS)[:-4] + b"\0\0\0\0",
    "unknown filter": zlib.compress(b"\7" * 70),
}


@pytest.mark.parametrize("name", DATA)
def test_odd_data_with_right_checksums_of_its_chunks_gives_the_same(name: str) -> None:
    check_same(png(9, 7, data=DATA[name]))


@pytest.mark.parametrize(
    "contents",
    [
        png(0, 7, data=zlib.compress(ROWS)),
        png(9, 0, data=zlib.compress(ROWS)),
        png(2**31 - 1, 2**31 - 1, data=zlib.compress(ROWS)),
        png(9, 7, rest=b"\1\0\0"),
        png(9, 7, rest=b"\0\1\0"),
        png(9, 7, end=b"more"),
        b"",
        b"no image",
    ],
)
def test_odd_header_or_end_gives_the_same(contents: bytes) -> None:
    assert decode_plain_png(contents) is None
    check_same(contents)


@given(data=st.data(), colour=st.sampled_from(PLAIN))
def test_damaged_file_gives_the_same(data: st.DataObject, colour: int) -> None:
    contents = bytearray(png(11, 6, colour))
    at = data.draw(st.integers(0, len(contents) - 1), "position")
    if data.draw(st.booleans(), "cut off"):
        del contents[at:]
    else:
        contents[at] ^= data.draw(st.integers(1, 255), "damage")
    assert decode_plain_png(bytes(contents)) is None
    assert isinstance(check_same(bytes(contents)), tuple | str)


def test_file_of_any_size_is_read_from_disk_as_from_memory(tmp_path: Path) -> None:
    shape = SHAPES[0]
    for side in (20, 255, 260, 600):  # random pixels, so 255 is just below the limit of bytes
        contents = png(side, side)
        assert (decode_plain_png(contents) is not None) == (len(contents) <= LARGEST_FILE)
        path = tmp_path / f"{side}.png"
        path.write_bytes(contents)
        pixels, found = read_file(path, shape)
        assert (pixels.tobytes(), found) == check_same(contents)


def test_small_file_of_many_pixels_is_left_to_pillow() -> None:
    contents = png(1024, 512, data=zlib.compress(bytes(1025 * 512)))
    assert len(contents) < LARGEST_FILE
    assert decode_plain_png(contents) is None
    check_same(contents)
