"""The program that scores images with an exported file: it reads images as ``bigan score`` does."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms
from scipy import ndimage

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import read_image
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.export.runners import run_onnx
from bigan_cli.scoring.regions import find_regions, resize_heatmap

RANDOM = np.random.default_rng(0)
PHOTOGRAPH = Image.fromarray(RANDOM.integers(0, 256, (90, 61, 3), np.uint8))
LARGE = PHOTOGRAPH.resize((1200, 900), Image.Resampling.BICUBIC)


def with_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[run_onnx.ORIENTATION] = orientation
    return saved(PHOTOGRAPH, "PNG", exif=exif)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def translucent() -> Image.Image:
    image = PHOTOGRAPH.convert("RGBA")
    alpha = RANDOM.integers(0, 256, (90, 61), np.uint8)
    alpha[:20] = 0
    image.putalpha(Image.fromarray(alpha))
    return image


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
READ = {
    "grey": saved(PHOTOGRAPH.convert("L"), "PNG"),
    "rgb": saved(PHOTOGRAPH, "PNG"),
    "rgba": saved(translucent(), "PNG"),
    "grey and alpha": saved(translucent().convert("LA"), "PNG"),
    "palette": saved(PHOTOGRAPH.quantize(16), "PNG"),
    "transparent palette": saved(PHOTOGRAPH.quantize(16), "PNG", transparency=3),
    "transparent colour": saved(PHOTOGRAPH, "PNG", transparency=PHOTOGRAPH.getpixel((0, 0))),
    "bilevel": saved(PHOTOGRAPH.convert("1"), "PNG"),
    "jpeg": saved(PHOTOGRAPH, "JPEG"),
    "large jpeg": saved(LARGE, "JPEG"),
    "grey jpeg": saved(PHOTOGRAPH.convert("L"), "JPEG"),
    "cmyk jpeg": saved(PHOTOGRAPH.convert("CMYK"), "JPEG"),
    "srgb profile": saved(PHOTOGRAPH, "JPEG", icc_profile=SRGB),
    "damaged profile": saved(PHOTOGRAPH, "JPEG", icc_profile=b"nonsense"),
    "bmp": saved(PHOTOGRAPH, "BMP"),
    "webp": saved(PHOTOGRAPH, "WEBP"),
    **{f"orientation {number}": with_exif(number) for number in range(1, 9)},
}


@pytest.mark.parametrize("keep_aspect", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", READ)
def test_a_file_has_the_same_pixels_as_in_bigan_score(
    name: str, channels: int, keep_aspect: bool, tmp_path: Path
) -> None:
    file = tmp_path / "image"
    file.write_bytes(READ[name])
    model = SimpleNamespace(
        height=40, width=32, channels=channels, max_megapixels=200, keep_aspect=keep_aspect
    )
    pixels, size = run_onnx.read_image(file, model)
    options = DecodeOptions(keep_aspect=keep_aspect)
    expected = read_image(file, ImageShape(channels, 40, 32), options)
    np.testing.assert_array_equal(pixels.transpose(2, 0, 1), expected)
    with Image.open(file) as image:
        turned = name in {f"orientation {number}" for number in range(5, 9)}
        assert size == (image.size if turned else image.size[::-1])


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def deep() -> bytes:
    return saved(Image.fromarray(RANDOM.integers(0, 65536, (20, 20), np.uint16)), "PNG")


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "16 bits": (deep, "more than 8 bits"),
    "tiff": (lambda: saved(PHOTOGRAPH, "TIFF"), "not a PNG, JPEG, BMP or WebP"),
    "no image": (lambda: b"hello", "not a PNG, JPEG, BMP or WebP"),
    "truncated": (lambda: cut(READ["jpeg"]), "truncated"),
    "too large": (lambda: saved(LARGE, "PNG"), "more than 1 megapixels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_read_otherwise_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    content, reason = REFUSED[name]
    file = tmp_path / "image"
    file.write_bytes(content())
    model = SimpleNamespace(height=16, width=16, channels=3, max_megapixels=1, keep_aspect=True)
    with pytest.raises(run_onnx.RefusedError, match=reason):
        run_onnx.read_image(file, model)


SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(arrays(bool, SIZES))
def test_connected_parts_are_those_of_scipy(mask: np.ndarray) -> None:
    expected, number = ndimage.label(mask, np.ones((3, 3), int))
    labels, found = run_onnx.label_connected(mask)
    assert found == number
    pairs = set(zip(labels.ravel().tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs})


@given(arrays(np.float32, SIZES, elements=st.floats(0, 4, width=16)), st.booleans(), SIZES)
def test_regions_are_counted_as_in_bigan_score(
    heat: np.ndarray, keep_aspect: bool, size: tuple[int, int]
) -> None:
    height, width = heat.shape
    model = SimpleNamespace(height=height, width=width, keep_aspect=keep_aspect, roi=None)
    resized = resize_heatmap(heat, *size, keep_aspect=keep_aspect)
    assert run_onnx.count_regions(heat, size, model) == len(find_regions(resized))
