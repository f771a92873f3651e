"""Images of several aspect ratios in one folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import read_image
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.padding import placement
from bigan_cli.scoring.regions import resize_heatmap

SIDES = st.integers(1, 400)
KEPT = DecodeOptions(keep_aspect=True)


@given(size=st.tuples(SIDES, SIDES), frame=st.tuples(SIDES, SIDES))
def test_the_image_lies_within_the_frame_and_touches_it(
    size: tuple[int, int], frame: tuple[int, int]
) -> None:
    place = placement(size, frame)
    assert place.left >= 0
    assert place.top >= 0
    assert place.left + place.width <= frame[0]
    assert place.top + place.height <= frame[1]
    assert place.width == frame[0] or place.height == frame[1]


@given(size=st.tuples(SIDES, SIDES), seed=st.integers(0, 2**31 - 1))
def test_padding_adds_no_colours(size: tuple[int, int], seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 256, size[::-1], np.uint8)
    shape = ImageShape(1, 48, 64)
    pixels = read_image(array, shape, KEPT)
    place = placement(size, (64, 48))
    rows = slice(place.top, place.top + place.height)
    columns = slice(place.left, place.left + place.width)
    inside = pixels[0, rows, columns]
    assert pixels.shape == (1, 48, 64)
    assert set(np.unique(pixels)) == set(np.unique(inside))
    resized = Image.fromarray(array).resize(inside.shape[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(inside, np.asarray(resized))


def test_images_of_the_same_aspect_ratio_are_not_padded() -> None:
    """640x480 at 336x256: the longer side is rounded to the grid of the networks."""
    array = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    shape = ImageShape(3, 256, 336)
    np.testing.assert_array_equal(read_image(array, shape, KEPT), read_image(array, shape))


@pytest.mark.parametrize("size", [(90, 30), (30, 90), (64, 48)])
def test_what_a_map_shows_is_where_the_image_has_it(size: tuple[int, int]) -> None:
    """A spot of the image has the same place in the heatmap of the padded image."""
    array = np.zeros(size[::-1], np.uint8)
    row, column = size[1] * 2 // 3, size[0] // 4
    array[row - 2 : row + 3, column - 2 : column + 3] = 255
    heat = read_image(array, ImageShape(1, 48, 64), KEPT)[0].astype(np.float32)
    found = resize_heatmap(heat, *array.shape, keep_aspect=True)
    assert found.shape == array.shape
    highest = np.unravel_index(found.argmax(), found.shape)
    assert abs(int(highest[0]) - row) <= 2
    assert abs(int(highest[1]) - column) <= 2


def test_large_images_are_padded_alike(tmp_path: Path) -> None:
    """An image of several bands of rows has the same bits as one converted at once."""
    array = np.random.default_rng(0).integers(0, 256, (3000, 3001), np.uint8)
    file = tmp_path / "large.png"
    Image.fromarray(array).save(file, compress_level=0)
    shape = ImageShape(1, 32, 64)
    small = Image.fromarray(array).resize((32, 32), Image.Resampling.BILINEAR)
    padded = np.pad(np.asarray(small), ((0, 0), (16, 16)), mode="symmetric")
    np.testing.assert_array_equal(read_image(file, shape, KEPT)[0], padded)
