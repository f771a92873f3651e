"""The same picture in every container and depth that can hold it gives the same pixels."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms, PngImagePlugin

from bigan_cli.contracts import ImageShape
from bigan_cli.data import raster
from bigan_cli.data.decode import read_image, read_with_format
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.mask_file import read_marked
from bigan_cli.data.source_size import source_size
from bigan_cli.data.unreadable import UnreadableImage

Writer = Callable[[np.ndarray, Path], None]


def wide(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.uint16) * 257


def twelve(picture: np.ndarray) -> np.ndarray:
    return ((picture.astype(np.uint32) * 4095 + 127) // 255).astype(np.uint16)


def pillow(suffix: str, convert: Callable = Image.fromarray, **options: object) -> Writer:
    def write(picture: np.ndarray, path: Path) -> None:
        convert(picture).save(path.with_suffix(suffix), **options)

    write.suffix = suffix  # type: ignore[attr-defined]
    return write


def tiff(convert: Callable = lambda picture: picture, **options: object) -> Writer:
    def write(picture: np.ndarray, path: Path) -> None:
        tifffile.imwrite(path.with_suffix(".tif"), convert(picture), **options)

    write.suffix = ".tif"  # type: ignore[attr-defined]
    return write


def deep_png(picture: np.ndarray, path: Path) -> None:
    """Write a PNG of 16 bits a sample in grey, grey and alpha, RGB or RGBA."""
    values = wide(picture)
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    rows = values.astype(">u2").reshape(height, -1)
    content = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, (0, 4, 2, 6)[channels - 1], 0, 0, 0)
    path.with_suffix(".png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(content))
        + chunk(b"IEND", b"")
    )


deep_png.suffix = ".png"  # type: ignore[attr-defined]


def interlaced_png(picture: np.ndarray, path: Path, *, depth: int) -> None:
    """Write a PNG in the seven passes of Adam7."""
    values = picture if depth == 8 else wide(picture)
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    content = b""
    for x, y, right, down in (
        *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
        *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
    ):
        for row in values[y::down, x::right]:
            content += b"\0" + row.astype(f">u{depth // 8}").tobytes() if row.size else b""
    header = struct.pack(">IIBBBBB", width, height, depth, (0, 4, 2, 6)[channels - 1], 0, 0, 1)
    path.with_suffix(".png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(content))
        + chunk(b"IEND", b"")
    )


def interlaced(depth: int) -> Writer:
    write = partial(interlaced_png, depth=depth)
    write.suffix = ".png"  # type: ignore[attr-defined]
    return write


def turned(convert: Callable = lambda picture: picture, **options: object) -> Writer:
    """Write a TIFF whose rows are columns of the upright image."""
    tag = [(274, 3, 1, 6, True)]
    return tiff(lambda p: np.rot90(convert(p)).copy(), extratags=tag, **options)


def ascii_netpbm(picture: np.ndarray, path: Path) -> None:
    kind = 2 if picture.ndim == 2 else 3
    head = f"P{kind}\n{picture.shape[1]} {picture.shape[0]}\n255\n"
    path.with_suffix(".pnm").write_text(head + " ".join(map(str, picture.ravel())) + "\n")


ascii_netpbm.suffix = ".pnm"  # type: ignore[attr-defined]


def chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def raw_tiff(bits: int, photometric: int, samples: Callable, order: str = "<") -> Writer:
    """Write an uncompressed grey TIFF of one strip by hand."""

    def write(picture: np.ndarray, path: Path) -> None:
        height, width = picture.shape
        content = samples(picture)
        tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric}
        tags |= {273: 8 + 2 + 12 * 9 + 4, 277: 1, 278: height, 279: len(content)}
        out = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(tags))
        for tag, value in tags.items():
            out += struct.pack(order + "HHII", tag, 4, 1, value)
        path.with_suffix(".tif").write_bytes(out + struct.pack(order + "I", 0) + content)

    write.suffix = ".tif"  # type: ignore[attr-defined]
    return write


def packed_twelve(picture: np.ndarray) -> bytes:
    rows = []
    for row in twelve(picture):
        bits = "".join(f"{value:012b}" for value in row)
        bits += "0" * (-len(bits) % 8)
        rows.append(int(bits, 2).to_bytes(len(bits) // 8, "big"))
    return b"".join(rows)


def pgm(high: int, convert: Callable) -> Writer:
    def write(picture: np.ndarray, path: Path) -> None:
        head = f"P5\n{picture.shape[1]} {picture.shape[0]}\n{high}\n".encode()
        path.with_suffix(".pgm").write_bytes(head + convert(picture).astype(">u2").tobytes())

    write.suffix = ".pgm"  # type: ignore[attr-defined]
    return write


def bmp_without_alpha(picture: np.ndarray, path: Path) -> None:
    """Write a bitmap with a mask for alpha, which is 0 everywhere."""
    height, width = picture.shape[:2]
    body = np.dstack([picture[::-1, :, ::-1], np.zeros((height, width), np.uint8)]).tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    info = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(body), 0, 0, 0, 0) + masks
    info += b"sRGB" + bytes(108 - len(info) - 4)
    head = struct.pack("<2sIHHI", b"BM", 14 + len(info) + len(body), 0, 0, 14 + len(info))
    path.with_suffix(".bmp").write_bytes(head + info + body)


bmp_without_alpha.suffix = ".bmp"  # type: ignore[attr-defined]

lossless = {"lossless": True}
grey_alpha = {"photometric": "minisblack", "extrasamples": ["unassalpha"]}

GREY: Mapping[str, Writer] = {
    "png": pillow(".png"),
    "png 16": deep_png,
    "png interlaced": interlaced(8),
    "png 16 interlaced": interlaced(16),
    "pgm as text": ascii_netpbm,
    "tiff predictor": tiff(photometric="minisblack", compression="zlib", predictor=2),
    "tiff 16 predictor": tiff(wide, photometric="minisblack", compression="zlib", predictor=2),
    "tiff lzw predictor": pillow(".tif", compression="tiff_lzw", tiffinfo={317: 2}),
    "tiff tiled": tiff(photometric="minisblack", tile=(16, 16)),
    "tiff 16 tiled": tiff(wide, photometric="minisblack", tile=(16, 16)),
    "bigtiff": tiff(photometric="minisblack", bigtiff=True),
    "bigtiff 16": tiff(wide, photometric="minisblack", bigtiff=True),
    "tiff turned": turned(photometric="minisblack"),
    "tiff 16 turned": turned(wide, photometric="minisblack"),
    "tiff turned, deflate": turned(photometric="minisblack", compression="zlib"),
    "bmp": pillow(".bmp"),
    "dib": pillow(".dib"),
    "gif": pillow(".gif"),
    "pgm": pillow(".pgm"),
    "pgm 12": pgm(4095, twelve),
    "pgm 16": pgm(65535, wide),
    "webp": pillow(".webp", **lossless),
    "jp2": pillow(".jp2"),
    "jp2 16": pillow(".jp2", lambda picture: Image.fromarray(wide(picture))),
    "tiff": pillow(".tif"),
    "tiff lzw": pillow(".tif", compression="tiff_lzw"),
    "tiff 16": tiff(wide, photometric="minisblack"),
    "tiff 16 deflate": tiff(wide, photometric="minisblack", compression="zlib"),
    "tiff 16 big-endian": tiff(wide, photometric="minisblack", byteorder=">"),
    "tiff 16 lzw": pillow(
        ".tif", lambda picture: Image.fromarray(wide(picture)), compression="tiff_lzw"
    ),
    "tiff 12 packed": raw_tiff(12, 1, packed_twelve),
    "tiff 12 in 16": tiff(twelve, photometric="minisblack", extratags=[(281, 3, 1, 4095, True)]),
    "tiff 8 min is white": raw_tiff(8, 0, lambda picture: (255 - picture).tobytes()),
    "tiff 16 min is white": raw_tiff(
        16, 0, lambda picture: (65535 - wide(picture)).astype("<u2").tobytes()
    ),
    "tiff 16 min is white, big-endian": raw_tiff(
        16, 0, lambda picture: (65535 - wide(picture)).astype(">u2").tobytes(), ">"
    ),
}
COLOUR: Mapping[str, Writer] = {
    "png": pillow(".png"),
    "png 16": deep_png,
    "png interlaced": interlaced(8),
    "png 16 interlaced": interlaced(16),
    "ppm as text": ascii_netpbm,
    "tiff 16 predictor": tiff(wide, photometric="rgb", compression="zlib", predictor=2),
    "tiff 16 tiled": tiff(wide, photometric="rgb", tile=(16, 16)),
    "bigtiff 16": tiff(wide, photometric="rgb", bigtiff=True),
    "tiff turned": turned(photometric="rgb"),
    "tiff 16 turned": turned(wide, photometric="rgb"),
    "tiff with a fourth channel": tiff(
        lambda p: np.dstack([p, p[..., 0]]), photometric="rgb", extrasamples=["unspecified"]
    ),
    "bmp": pillow(".bmp"),
    "bmp 32 with unused alpha": bmp_without_alpha,
    "ppm": pillow(".ppm"),
    "webp": pillow(".webp", **lossless),
    "jp2": pillow(".jp2"),
    "tiff": pillow(".tif"),
    "tiff lzw": pillow(".tif", compression="tiff_lzw"),
    "tiff planar": tiff(lambda p: np.moveaxis(p, 2, 0), photometric="rgb", planarconfig="separate"),
    "tiff 16": tiff(wide, photometric="rgb"),
    "tiff 16 big-endian": tiff(wide, photometric="rgb", byteorder=">"),
    "tiff 16 planar": tiff(
        lambda p: np.moveaxis(wide(p), 2, 0), photometric="rgb", planarconfig="separate"
    ),
}
TRANSPARENT: Mapping[str, Writer] = {
    "png": pillow(".png"),
    "png 16": deep_png,
    "webp": pillow(".webp", **lossless),
    "tiff": pillow(".tif"),
    "tiff 16": tiff(wide, photometric="rgb", extrasamples=["unassalpha"]),
}
GREY_ALPHA: Mapping[str, Writer] = {
    "png": pillow(".png"),
    "png 16": deep_png,
    "tiff": tiff(**grey_alpha),
    "tiff 16": tiff(wide, **grey_alpha),
    "tiff 16 big-endian": tiff(wide, byteorder=">", **grey_alpha),
}
KINDS = {1: GREY, 2: GREY_ALPHA, 3: COLOUR, 4: TRANSPARENT}


@st.composite
def pictures(draw: st.DrawFn, channels: int) -> np.ndarray:
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    shape = (height, width) if channels == 1 else (height, width, channels)
    return draw(arrays(np.uint8, shape))


@pytest.mark.parametrize("channels", KINDS)
def test_a_picture_is_the_same_in_every_container(
    tmp_path_factory: pytest.TempPathFactory, channels: int
) -> None:
    folder = tmp_path_factory.mktemp("containers")

    @given(pictures(channels), st.sampled_from([1, 3, 4]))
    @settings(max_examples=15)
    def check(picture: np.ndarray, out: int) -> None:
        shape = ImageShape(out, *picture.shape[:2])
        in_memory = Image.fromarray(picture)
        wanted = read_image(in_memory, shape)
        for name, write in KINDS[channels].items():
            path = folder / name.replace(" ", "-").replace(",", "")
            write(picture, path)
            got = read_image(path.with_suffix(write.suffix), shape)  # type: ignore[attr-defined]
            assert np.array_equal(got, wanted), name
        if channels != 2:
            assert np.array_equal(read_image(picture, shape), wanted)
            assert np.array_equal(read_image(wide(picture), shape), wanted)

    check()


BILEVEL: Mapping[str, Writer] = {
    **{
        f"{suffix} {name}": pillow(
            suffix, lambda picture: Image.fromarray(picture).convert("1"), **options
        )
        for suffix, name, options in (
            (".png", "", {}),
            (".bmp", "", {}),
            (".pbm", "", {}),
            (".tif", "", {}),
            (".tif", "group 3", {"compression": "group3"}),
            (".tif", "group 4", {"compression": "group4"}),
            (".tif", "packbits", {"compression": "packbits"}),
        )
    },
    "gif": pillow(".gif"),
}


@pytest.mark.parametrize("name", BILEVEL)
def test_one_bit_is_black_and_white_in_every_container(tmp_path: Path, name: str) -> None:
    picture = np.random.default_rng(0).integers(0, 2, (12, 20), np.uint8) * 255
    path, write = tmp_path / "x", BILEVEL[name]
    write(picture, path)
    got = read_image(path.with_suffix(write.suffix), ImageShape(1, 12, 20))  # type: ignore[attr-defined]
    assert np.array_equal(got[0], picture)


@pytest.mark.parametrize("name", ["png", "bmp", "gif", "tif"])
def test_a_palette_is_its_colours_in_every_container(tmp_path: Path, name: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    image = Image.fromarray(picture).quantize(64)
    path = tmp_path / f"x.{name}"
    image.save(path)
    got = read_image(path, ImageShape(3, 12, 20))
    assert np.array_equal(got, np.asarray(image.convert("RGB")).transpose(2, 0, 1))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_a_turned_tiff_is_upright(
    tmp_path: Path, orientation: int, deep: bool, compression: str | None
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 20), np.uint8)
    as_stored = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.T,
        6: np.rot90(picture),
        7: picture[::-1, ::-1].T,
        8: np.rot90(picture, -1),
    }
    stored = as_stored[orientation].copy()
    path = tmp_path / "x.tif"
    tifffile.imwrite(
        path,
        wide(stored) if deep else stored,
        photometric="minisblack",
        compression=compression,
        extratags=[(274, 3, 1, orientation, True)],
    )
    pixels, found = read_with_format(path, ImageShape(1, 12, 20))
    assert (found.height, found.width) == source_size(path) == (12, 20)
    assert np.array_equal(pixels[0], picture)
    with Image.open(path) as opened:
        assert np.array_equal(read_image(opened, ImageShape(1, 12, 20)), pixels)
    assert np.array_equal(read_marked(path), picture > 127)


def test_channels_that_are_not_read_are_mentioned(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    for values in (np.uint8, np.uint16):
        bands = np.ones((8, 8, 5), values)
        extra = ["unspecified"] * 4
        tifffile.imwrite(
            path, bands, photometric="minisblack", planarconfig="contig", extrasamples=extra
        )
        assert "more channels" in read_with_format(path, ImageShape(1, 8, 8))[1].remarks[0]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_rounded_the_same_in_files_and_arrays(
    tmp_path: Path, channels: int
) -> None:
    values = np.random.default_rng(3).integers(0, 65536, (13, 11, channels), np.uint16)
    values = values[..., 0] if channels == 1 else values
    shape = ImageShape(channels, 13, 11)
    exact = np.round(values / 257).astype(np.uint8)
    wanted = read_image(exact, shape)
    assert np.array_equal(read_image(values, shape), wanted)
    photometric = "minisblack" if channels == 1 else "rgb"
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    for order in "<>":
        path = tmp_path / "x.tif"
        tifffile.imwrite(path, values, photometric=photometric, byteorder=order, **extra)
        assert np.array_equal(read_image(path, shape), wanted)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_transparent_grey_of_few_bits_is_transparent(tmp_path: Path, bits: int) -> None:
    high = 2**bits - 1
    header = struct.pack(">IIBBBBB", 8, 8, bits, 0, 0, 0, 0)
    row = int("".join(f"{v:0{bits}b}" for v in [0, high] * 4), 2).to_bytes(bits, "big")
    path = tmp_path / "x.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tRNS", struct.pack(">H", high))
        + chunk(b"IDAT", zlib.compress((b"\0" + row) * 8))
        + chunk(b"IEND", b"")
    )
    alpha = read_image(path, ImageShape(4, 8, 8))[3]
    assert alpha[0].tolist() == [255, 0] * 4


def test_transparent_colour_of_16_bits_is_compared_at_16_bits(tmp_path: Path) -> None:
    values = np.full((8, 8, 3), 0x1234, np.uint16)
    values[0, 0, 2] = 0x1235
    content = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2").reshape(8, -1))
    path = tmp_path / "x.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">3H", *[0x1234] * 3))
        + chunk(b"IDAT", zlib.compress(content))
        + chunk(b"IEND", b"")
    )
    alpha = read_image(path, ImageShape(4, 8, 8))[3]
    assert alpha[0, 0] == 255
    assert alpha.sum() == 255


def test_what_nobody_sees_does_not_count() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 4), np.uint8)
    picture[:4, :, 3] = 0
    other = picture.copy()
    other[:4, :, :3] = 77
    for size in (8, 16):
        shape = ImageShape(4, size, size)
        assert np.array_equal(read_image(picture, shape), read_image(other, shape))


def test_samples_of_12_bits_in_16_are_noticed_and_can_be_set(tmp_path: Path) -> None:
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = tmp_path / "x.png"
    Image.fromarray(twelve(picture)).save(path)
    shape = ImageShape(1, 16, 16)
    dark, found = read_with_format(path, shape)
    assert dark.max() < 17
    assert "data.sample_bits = 12" in found.remarks[0]
    options = DecodeOptions(sample_bits=12)
    pixels, found = read_with_format(path, shape, options)
    assert np.array_equal(pixels[0], picture)
    assert not found.remarks
    assert np.array_equal(read_image(twelve(picture), shape, options), pixels)
    Image.fromarray(wide(picture)).save(path)
    with pytest.raises(UnreadableImage, match="outside 0 to 4095"):
        read_image(path, shape, options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_bands_give_the_same_to_the_bit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str, orientation: int
) -> None:
    rng = np.random.default_rng(1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = rng.integers(0, 256, (57, 43, 4), np.uint8)
    image = (
        Image.fromarray(values).convert(mode)
        if mode != "I;16"
        else Image.fromarray(rng.integers(0, 65536, (57, 43), np.uint16))
    )
    image.save(tmp_path / "x.png", exif=exif)
    for channels in (1, 3, 4):
        shape = ImageShape(channels, 9, 12)
        whole = read_image(tmp_path / "x.png", shape)
        with monkeypatch.context() as patch:
            patch.setattr(raster, "_BAND", 500)
            assert np.array_equal(read_image(tmp_path / "x.png", shape), whole)


def png_of(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


@given(st.integers(0, 10**6))
@settings(max_examples=40)
def test_a_flipped_bit_in_a_png_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, place: int
) -> None:
    path = tmp_path_factory.mktemp("flipped") / "x.png"
    content = bytearray(png_of(Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))))
    end = len(content) - 12  # what follows the pixels says nothing of them
    content[place % end] ^= 1 << (place % 8)
    path.write_bytes(content)
    with pytest.raises(UnreadableImage):
        read_image(path, ImageShape(1, 16, 16))


@pytest.mark.parametrize("packed", [True, False])
def test_long_texts_and_profiles_do_not_cost_the_picture(tmp_path: Path, packed: bool) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    info = PngImagePlugin.PngInfo()
    for i in range(3):
        info.add_text(f"text{i}", "x" * (2 << 20), zip=packed)
        info.add_itxt(f"itxt{i}", "x" * (2 << 20), zip=packed)
    path = tmp_path / "x.png"
    path.write_bytes(png_of(Image.fromarray(picture), pnginfo=info, icc_profile=bytes(2 << 20)))
    pixels, found = read_with_format(path, ImageShape(3, 16, 16))
    assert np.array_equal(pixels, picture.transpose(2, 0, 1))
    assert "damaged colour profile" in found.remarks[0]


def linear_profile(space: bytes = b"RGB ") -> bytes:
    """Return an ICC profile of sRGB's colours (or grey) in linear light."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 256) + b"\0\0"
    white = (0.9642, 1, 0.8249)
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78),
        b"cprt": b"text\0\0\0\0x\0",
        b"wtpt": b"XYZ \0\0\0\0" + fixed(*white),
    }
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        for name, values in (
            (b"r", (0.4360, 0.2225, 0.0139)),
            (b"g", (0.3851, 0.7169, 0.0971)),
            (b"b", (0.1431, 0.0606, 0.7141)),
        ):
            tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*values)
            tags[name + b"TRC"] = curve
    offset, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += name + struct.pack(">II", offset, len(padded))
        offset += len(padded)
        body += padded
    head = struct.pack(">I4sI4s4s4s", offset, bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(*white)
    return head + bytes(48) + table + body


def encoded(linear: np.ndarray) -> np.ndarray:
    """Return linear light, 0 to 255, as sRGB."""
    light = linear / 255
    return 255 * np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_an_embedded_profile_is_applied(tmp_path: Path, mode: str, suffix: str) -> None:
    if mode == "L" and suffix == ".webp":
        pytest.skip("WebP has no grey")
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)
    picture[..., 3] = 255
    image = Image.fromarray(picture).convert(mode)
    profile = linear_profile(b"GRAY" if mode == "L" else b"RGB ")
    path = tmp_path / f"x{suffix}"
    image.save(path, icc_profile=profile, **(lossless if suffix == ".webp" else {}))
    channels = len(mode)
    pixels, found = read_with_format(path, ImageShape(channels, 16, 16))
    shown = encoded(np.asarray(image).reshape(16, 16, -1)[..., :3].astype(float))
    colours = pixels[:3].transpose(1, 2, 0)
    assert np.abs(colours - shown).max() <= 2
    assert found.remarks == ("converted from an embedded colour profile to sRGB",)


def test_a_profile_of_srgb_changes_nothing(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "x.png"
    Image.fromarray(picture).save(path, icc_profile=profile)
    pixels, found = read_with_format(path, ImageShape(3, 16, 16))
    assert np.array_equal(pixels, picture.transpose(2, 0, 1))
    assert not found.remarks


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".png", ".webp"])
def test_further_pages_are_mentioned(tmp_path: Path, suffix: str) -> None:
    first, second = Image.new("L", (8, 8), 10), Image.new("L", (8, 8), 200)
    path = tmp_path / f"x{suffix}"
    first.save(path, save_all=True, append_images=[second])
    assert "pages or frames" in read_with_format(path, ImageShape(1, 8, 8))[1].remarks[0]
    first.save(path)
    assert not read_with_format(path, ImageShape(1, 8, 8))[1].remarks


@pytest.mark.parametrize("values", [np.int8, np.int16, np.float32, np.float16])
def test_samples_without_an_agreed_range_are_refused(tmp_path: Path, values: type) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.ones((8, 8), values), photometric="minisblack")
    with pytest.raises(UnreadableImage, match="no agreed range"):
        read_image(path, ImageShape(1, 8, 8))


def test_what_another_package_would_read_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(UnreadableImage, match=r"pip install pillow-heif|damaged"):
        read_image(path, ImageShape(1, 8, 8))


def test_the_library_that_decodes_writes_nothing_to_the_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "x.tif"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(path, compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[200:5000:7] = bytes(len(content[200:5000:7]))
    path.write_bytes(content)
    with pytest.raises(UnreadableImage):
        read_image(path, ImageShape(3, 8, 8))
    assert capfd.readouterr().err == ""
