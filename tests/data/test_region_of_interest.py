"""The region of interest: masks and polygons, and what they leave of an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bigan_cli.contracts import ImageShape, Items
from bigan_cli.data.decode import read_image
from bigan_cli.data.image_file import DEFAULTS
from bigan_cli.data.read_region import read_region
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.data.tiles import Tiles, Tiling
from bigan_cli.errors import DataError, UsageError

SHAPE = ImageShape(1, 24, 32)


def images(*sizes: tuple[int, int]) -> Items:
    """Return black images of (height, width)."""
    return Items([np.zeros(size, np.uint8) for size in sizes], np.zeros(len(sizes), np.int64))


def read(source, *sizes, shape=SHAPE) -> RegionOfInterest:
    region = read_region(source, images(*(sizes or [(48, 64)])), shape, DEFAULTS)
    assert region is not None
    return region


def write_mask(path: Path, mask: np.ndarray) -> Path:
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(path)
    return path


@given(st.data())
def test_pixels_outside_change_nothing_at_any_size(data):
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    height, width = draw(8, 60), draw(8, 60)
    rng = np.random.default_rng(draw(0, 10**6))
    mask = np.zeros((height, width), bool)
    top, left = draw(0, height - 1), draw(0, width - 1)
    mask[top : top + draw(1, height), left : left + draw(1, width)] = True
    image = rng.integers(0, 256, (height, width), np.uint8)
    other = np.where(mask, image, rng.integers(0, 256, (height, width), np.uint8))
    region = RegionOfInterest(mask, ImageShape(1, draw(8, 60), draw(8, 60)))
    one, two = (region.fill(read_image(each, region.shape)) for each in (image, other))
    assert np.array_equal(one, two)


@given(st.integers(8, 40), st.integers(8, 40), st.integers(1, 40), st.integers(1, 40))
def test_no_pixel_inside_is_lost_between_positions(height, width, rows, columns):
    mask = np.random.default_rng(height * width).random((height, width)) < 0.02
    region = RegionOfInterest(mask, ImageShape(1, height, width))
    positions = region.positions(rows, columns)
    assert positions.shape == (rows, columns)
    assert positions.any() == mask.any()
    for y, x in np.argwhere(mask):
        assert positions[y * rows // height, x * columns // width]


def test_a_mask_file_and_the_same_polygon_are_the_same_region(tmp_path):
    mask = np.zeros((48, 64), bool)
    mask[10:31, 20:51] = True
    of_file = read(write_mask(tmp_path / "mask.png", mask))
    of_polygon = read([[(20, 10), (50, 10), (50, 30), (20, 30)]])
    assert np.array_equal(of_file.mask, mask)
    assert np.array_equal(of_polygon.mask, mask)


def test_several_polygons_are_joined():
    one, two = [(2, 2), (30, 2), (2, 30)], [(60, 45), (40, 45), (60, 20)]
    both = read([one, two])
    assert np.array_equal(both.mask, read([one]).mask | read([two]).mask)


def test_a_mask_of_the_same_aspect_ratio_is_scaled(tmp_path):
    mask = np.zeros((24, 32), bool)
    mask[:, :16] = True
    region = read(write_mask(tmp_path / "mask.png", mask), (48, 64), (480, 641))
    assert region.at_size(48, 64)[:, :32].all()
    assert not region.at_size(48, 64)[:, 32:].any()


@pytest.mark.parametrize(
    ("mask", "sizes", "kind", "words"),
    [
        (np.ones((48, 48)), [(48, 64)], DataError, ("48 pixels wide and 48", "64 pixels wide")),
        (np.ones((48, 64)), [(48, 64), (64, 48)], DataError, ("48 pixels wide and 64",)),
        (np.zeros((48, 64)), [(48, 64)], UsageError, ("nothing is inside",)),
        (np.eye(48, 64), [(48, 64)], UsageError, ("at 24x32 pixels nothing is left",)),
    ],
)
def test_a_mask_that_does_not_suit_is_refused(tmp_path, mask, sizes, kind, words):
    with pytest.raises(kind) as error:
        read(write_mask(tmp_path / "mask.png", mask), *sizes)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_a_mask_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "mask.png"
    with pytest.raises(UsageError, match=f"no such region of interest: {path}"):
        read(path)
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"cannot read the region of interest {path}"):
        read(path)


def test_a_polygon_must_be_within_the_images_and_they_of_one_size():
    with pytest.raises(UsageError, match=r"polygon 2 .*\[70, 5\] outside.*64 pixels wide and 48"):
        read([[(1, 1), (9, 1), (9, 9)], [(1, 1), (70, 5), (9, 9)]])
    with pytest.raises(UsageError, match="images of one size"):
        read([[(1, 1), (9, 1), (9, 9)]], (48, 64), (96, 128))


def test_tiles_without_any_pixel_inside_are_left_out():
    shape = ImageShape(1, 64, 96)
    mask = np.zeros((64, 96), bool)
    mask[:20, :20] = True
    region = RegionOfInterest(mask, shape)
    whole, some = Tiling.of(shape, 32), Tiling.of(shape, 32, region.inside)
    assert whole is not None
    assert some is not None
    assert 0 < len(some) < len(whole)
    image = np.arange(64 * 96, dtype=np.float32).reshape(1, 64, 96)
    tiles = [some.cut((image % 251).astype(np.uint8), i) for i in range(len(some))]
    stitched = some.stitch([np.stack(tiles)[:, 0].astype(np.float32)])
    assert np.allclose(stitched[mask], (image[0] % 251)[mask], atol=1e-3)
    positions = region.tile_positions(some, 4, 4)
    assert positions.shape == (len(some), 4, 4)
    assert positions.any(axis=(1, 2)).all()
    sampled = Tiles(np.zeros((3, 1, 64, 96), np.uint8), some).sample(10**6, 0)
    assert set(sampled.numbers) == set(range(len(some)))
