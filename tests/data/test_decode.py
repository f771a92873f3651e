from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bigan_cli.contracts import ImageShape, Items
from bigan_cli.data.decode import PREPROCESSING, read_image
from bigan_cli.data.find_shape import find_shape
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.unreadable import UnreadableImage
from bigan_cli.errors import DataError

GREY, RGB, RGBA = (ImageShape(c, 12, 10) for c in (1, 3, 4))


def noise(*shape: int, dtype: type = np.uint8, high: int = 256) -> np.ndarray:
    return np.random.default_rng(7).integers(0, high, shape).astype(dtype)


def reason(path: Path, shape: ImageShape = GREY) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_image(path, shape)
    assert caught.value.path == path
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value.reason


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "pgm", "webp", "gif", "jp2"])
def test_grey_file_of_the_right_size_is_read_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    pixels = noise(12, 10)
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(pixels).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(read_image(path, GREY), pixels[None])


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_colour_file_of_the_right_size_is_read_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    pixels = noise(12, 10, 3)
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(pixels).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(read_image(path, RGB), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"],
)
@pytest.mark.parametrize("shape", [GREY, RGB, RGBA], ids=str)
def test_every_mode_becomes_every_shape(mode: str, shape: ImageShape) -> None:
    image = Image.new(mode, (30, 21))
    pixels = read_image(image, shape)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (shape.channels, 12, 10)
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bit_grey_is_scaled_and_never_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(values).save(path)
    exact = np.round(values.astype(np.float64) / 257).astype(np.uint8)
    assert np.array_equal(read_image(path, ImageShape(1, 256, 256))[0], exact)
    assert np.array_equal(read_image(path, ImageShape(3, 256, 256)), np.stack([exact] * 3))


def test_sixteen_bit_big_endian_means_the_same(tmp_path: Path) -> None:
    values = noise(12, 10, dtype=np.uint16, high=65536)
    path = tmp_path / "x.tif"
    Image.fromarray(values.astype(">u2")).save(path)
    assert np.array_equal(read_image(path, GREY), read_image(values, GREY))


def test_sixteen_bit_transparent_value_is_composited_over_white(tmp_path: Path) -> None:
    values = np.full((12, 10), 1000, np.uint16)
    values[0, 0] = 30000
    path = tmp_path / "x.png"
    Image.fromarray(values).save(path, transparency=30000)
    seen = read_image(path, GREY)[0]
    assert seen[0, 0] == 255
    assert seen[1, 1] == 4
    assert read_image(path, RGBA)[3, 0, 0] == 0


def test_32_bit_values_within_16_bits_are_taken_as_16_bit(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    Image.fromarray(np.full((12, 10), 30000, np.int32)).save(path)
    assert read_image(path, GREY).max() == 117


@pytest.mark.parametrize("value", [-1, 65536, 2**31 - 1])
def test_32_bit_values_beyond_16_bits_are_refused(tmp_path: Path, value: int) -> None:
    pixels = np.zeros((12, 10), np.int32)
    pixels[3, 3] = value
    path = tmp_path / "x.tif"
    Image.fromarray(pixels).save(path)
    assert reason(path).startswith("values ")


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    Image.fromarray(np.full((12, 10), 0.5, np.float32)).save(path)
    assert "floating-point" in reason(path)


def test_transparency_is_composited_over_white_and_hidden_colours_stay_hidden() -> None:
    pixels = np.zeros((12, 10, 4), np.uint8)
    pixels[..., 0] = 200  # a hidden red
    pixels[6:, :, 3] = 255
    image = Image.fromarray(pixels)
    rgb = read_image(image, RGB)
    assert (rgb[:, :6] == 255).all()
    assert (rgb[:, 6:] == np.array([200, 0, 0])[:, None, None]).all()
    assert (read_image(image, GREY)[0, :6] == 255).all()
    pixels[:6, :, 0] = 0  # for four channels it is black
    assert np.array_equal(read_image(image, RGBA), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_transparent_colour_key_of_a_png_is_composited(tmp_path: Path, mode: str) -> None:
    image = Image.new("L", (10, 12), 0).convert(mode)
    key: int | tuple[int, int, int] = (0, 0, 0) if mode == "RGB" else 0
    path = tmp_path / "x.png"
    image.save(path, transparency=key)
    assert (read_image(path, RGB) == 255).all()


def test_hidden_colours_do_not_bleed_into_a_resized_image() -> None:
    pixels = np.zeros((24, 20, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[:, 10:] = (0, 0, 255, 255)
    small = read_image(Image.fromarray(pixels), RGBA)
    assert small[0][small[3] > 0].max() == 0


def test_grey_is_kept_exactly_in_and_out_of_colour() -> None:
    pixels = noise(12, 10)
    as_rgb = read_image(pixels, RGB)
    assert np.array_equal(as_rgb, np.stack([pixels] * 3))
    assert np.array_equal(read_image(as_rgb.transpose(1, 2, 0), GREY)[0], pixels)
    assert (read_image(pixels, RGBA)[3] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = Image.fromarray(noise(12, 10))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "x.png"
    stored.save(path, exif=exif)
    assert np.array_equal(read_image(path, GREY)[0], np.asarray(upright))
    assert find_shape(Items([path], np.zeros(1, np.int64))) == GREY


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    pixels = noise(12, 10)
    Image.fromarray(pixels).save(path, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(read_image(path, GREY)[0], pixels)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_animated_file_gives_its_first_frame(tmp_path: Path, suffix: str) -> None:
    first, second = Image.new("RGB", (10, 12), "red"), Image.new("RGB", (10, 12), "blue")
    path = tmp_path / f"x.{suffix}"
    lossless = {"lossless": True} if suffix == "webp" else {}
    first.save(path, save_all=True, append_images=[second], **lossless)
    assert read_image(path, RGB)[:, 0, 0].tolist() == [255, 0, 0]


@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(8, 40), st.integers(8, 40), st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_resizing_gives_the_shape_and_never_leaves_the_range(
    h: int, w: int, height: int, width: int, colour: bool
) -> None:
    pixels = noise(h, w, 3, high=100) + 50 if colour else noise(h, w, high=100) + 50
    small = read_image(pixels.astype(np.uint8), ImageShape(1, height, width))
    assert small.shape == (1, height, width)
    assert small.min() >= pixels.min() - 1
    assert small.max() <= pixels.max() + 1


def test_shrinking_averages_instead_of_skipping() -> None:
    board = np.zeros((240, 200), np.uint8)
    board[::2] = 255
    assert np.abs(read_image(board, GREY).astype(int) - 127).max() <= 3


def test_large_jpeg_decoded_at_reduced_scale_looks_the_same(tmp_path: Path) -> None:
    smooth = Image.fromarray(noise(9, 8, 3)).resize((800, 900), Image.Resampling.BICUBIC)
    path = tmp_path / "x.jpg"
    smooth.save(path, quality=95)
    with Image.open(path) as image:
        whole = read_image(np.asarray(image), RGB)
    difference = np.abs(read_image(path, RGB).astype(int) - whole)
    assert difference.mean() < 2
    assert difference.max() <= 8


def test_jpeg_not_three_times_too_large_is_decoded_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.fromarray(noise(35, 35, 3)).save(path)
    with Image.open(path) as image:
        assert np.array_equal(read_image(path, RGB), read_image(np.asarray(image), RGB))


def test_jpeg_of_the_right_size_is_read_as_pillow_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.fromarray(noise(12, 10, 3)).save(path)
    with Image.open(path) as image:
        assert np.array_equal(read_image(path, RGB), np.asarray(image).transpose(2, 0, 1))


def test_cmyk_white_is_white(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.new("CMYK", (10, 12), (0, 0, 0, 0)).save(path)
    assert read_image(path, RGB).min() >= 254


def test_missing_folder_empty_and_other_files_are_refused_in_words(tmp_path: Path) -> None:
    assert reason(tmp_path / "nothing.png") == "no such file"
    assert reason(tmp_path) == "a folder, not a file"
    for name, content, words in (
        ("empty.png", b"", "empty file"),
        ("text.png", b"hello, world", "not an image in a known format"),
        ("page.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image in a"),
    ):
        (tmp_path / name).write_bytes(content)
        assert reason(tmp_path / name).startswith(words)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "gif", "webp", "ppm"])
def test_cut_off_file_is_refused(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(noise(60, 50, 3)).save(whole)
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert reason(cut).startswith(("truncated file", "damaged file"))


@given(st.binary(min_size=1, max_size=40), st.integers(0, 2000))
@settings(max_examples=40, deadline=None)
def test_damaged_file_is_read_or_refused_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x.png"
    Image.fromarray(noise(24, 24)).save(path)
    content = bytearray(path.read_bytes())
    start = place % len(content)
    content[start : start + len(junk)] = junk
    path.write_bytes(content)
    with suppress(UnreadableImage):
        assert read_image(path, GREY).shape == (1, 12, 10)


def test_image_beyond_the_limit_is_refused_by_its_setting(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("1", (2000, 1000)).save(path)
    small = DecodeOptions(max_megapixels=1)
    with pytest.raises(UnreadableImage) as caught:
        read_image(path, GREY, small)
    assert "2000 x 1000" in caught.value.reason
    assert "limit of 1 megapixels ('data.max_megapixels')" in caught.value.reason
    assert read_image(path, GREY, DecodeOptions(max_megapixels=2)).max() == 0


def test_large_image_brings_no_warning(tmp_path: Path) -> None:
    Image.new("1", (10_000, 10_000), 1).save(tmp_path / "x.png")  # Pillow's own limit is 89 million
    assert read_image(tmp_path / "x.png", GREY).min() == 255


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    assert reason(tmp_path / "x.png") == "not a regular file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_forbidden_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("L", (10, 12)).save(path)
    path.chmod(0)
    assert reason(path) == "permission denied"


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((12, 10), np.float32),
        np.zeros((12, 10, 2), np.uint8),
        np.zeros((1, 12, 10, 3), np.uint8),
        np.zeros((0, 10), np.uint8),
    ],
    ids=["float", "two channels", "batch", "empty"],
)
def test_array_that_is_no_image_is_refused(array: np.ndarray) -> None:
    with pytest.raises(DataError):
        read_image(array, GREY)


def test_reading_does_not_change_what_it_was_given() -> None:
    pixels = noise(12, 10)
    pixels.flags.writeable = False
    read_image(pixels, GREY)[:] = 0
    image = Image.new("P", (30, 30), 3)
    read_image(image, GREY)
    assert (image.mode, image.size) == ("P", (30, 30))


def items(*images: np.ndarray | Path) -> Items:
    return Items(list(images), np.zeros(len(images), np.int64))


def test_shape_is_found_in_small_equal_images_and_64_otherwise(tmp_path: Path) -> None:
    assert find_shape(items(noise(28, 20), noise(28, 20))) == ImageShape(1, 28, 20)
    assert find_shape(items(noise(28, 20), noise(28, 21))) == ImageShape(1, 64, 64)
    assert find_shape(items(noise(28, 20), noise(28, 20, 3))) == ImageShape(3, 28, 20)
    assert find_shape(items(noise(65, 20))) == ImageShape(1, 64, 64)
    assert find_shape(items(noise(5, 20))) == ImageShape(1, 8, 20)
    assert find_shape(Items(noise(9, 16, 12, 3), np.zeros(9, np.int64))) == ImageShape(3, 16, 12)


def test_shape_follows_what_is_asked_for(tmp_path: Path) -> None:
    images = items(noise(28, 20, 3))
    assert find_shape(images, 32) == ImageShape(3, 32, 32)
    assert find_shape(images, (40, 32)) == ImageShape(3, 40, 32)
    assert find_shape(images, None, 1) == ImageShape(1, 28, 20)
    # With nothing to find, nothing is opened.
    assert find_shape(items(tmp_path / "nothing.png"), 16, 1) == ImageShape(1, 16, 16)


def test_shape_passes_over_unreadable_files_while_one_can_be_read(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.fromarray(noise(20, 30)).save(good)
    bad.write_bytes(b"no")
    assert find_shape(items(bad, good)) == ImageShape(1, 20, 30)
    with pytest.raises(UnreadableImage, match=r"bad\.png"):
        find_shape(items(bad, bad))


def test_policy_can_be_stored_as_json() -> None:
    import json

    assert json.loads(json.dumps(PREPROCESSING)) == PREPROCESSING
