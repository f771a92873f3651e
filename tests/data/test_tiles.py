"""Tiles: what they cover, and what is stitched of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.contracts import ImageShape
from bigan_cli.data.tiles import Tiles, Tiling

SIDES = st.integers(8, 200)


def tiling_of(height: int, width: int, side: int) -> Tiling:
    tiling = Tiling.of(ImageShape(1, height, width), side)
    assert tiling is not None
    return tiling


def images_of(tiling: Tiling, count: int = 1) -> np.ndarray:
    shape = tiling.image
    size = (count, shape.channels, shape.height, shape.width)
    return np.random.default_rng(0).integers(0, 256, size, np.uint8)


@given(SIDES, SIDES, st.integers(8, 64))
def test_stitching_the_tiles_of_an_image_gives_the_image(
    height: int, width: int, side: int
) -> None:
    tiling = tiling_of(height, width, side)
    images = images_of(tiling)
    tiles = Tiles(images, tiling)[:].astype(np.float32)
    assert len(tiles) == len(tiling)
    stitched = tiling.stitch([tiles[:3], tiles[3:]])
    np.testing.assert_allclose(stitched, images[0], atol=1e-3)


@given(SIDES, st.integers(8, 64))
def test_neighbours_overlap_by_an_eighth_and_are_no_more_than_needed(
    length: int, side: int
) -> None:
    tiling = tiling_of(length, 8, side)
    marked = np.zeros((1, 1, length, 8), np.uint8)
    marked[0, 0] = np.arange(length)[:, None]
    tiles = Tiles(marked, tiling)[:]
    tops = tiles[:, 0, 0, 0].astype(int)
    assert tops[0] == 0
    assert tops[-1] + tiling.tile.height == length
    overlaps = tiling.tile.height - np.diff(tops)
    # Even spacing is rounded to whole pixels.
    assert (overlaps >= side / 8 - 1).all()
    assert len(tops) == 1 or (len(tops) - 2) * (side - -(-side // 8)) + side < length


def test_an_image_smaller_than_a_tile_is_one_tile() -> None:
    tiling = tiling_of(20, 300, 64)
    assert tiling.tile == ImageShape(1, 20, 64)
    assert len(tiling_of(20, 30, 64)) == 1


def test_where_tiles_overlap_a_map_goes_over_smoothly() -> None:
    tiling = tiling_of(32, 60, 32)
    maps = np.stack([np.full((32, 32), value, np.float32) for value in range(len(tiling))])
    row = tiling.stitch([maps])[0]
    assert row[0] == 0
    assert row[-1] == len(tiling) - 1
    assert (np.diff(row) >= -1e-6).all()
    assert np.diff(row).max() < 0.5


def test_the_value_of_an_image_is_the_largest_of_its_tiles() -> None:
    tiling = tiling_of(32, 60, 32)
    values = np.arange(2.0 * len(tiling))
    assert tiling.largest(values).tolist() == [len(tiling) - 1, 2 * len(tiling) - 1]


def test_a_sample_has_as_many_tiles_of_every_image_and_depends_on_the_seed_alone() -> None:
    tiling = tiling_of(100, 100, 32)
    images = images_of(tiling, 5)
    images[:] = np.arange(5)[:, None, None, None]
    all_tiles = Tiles(images, tiling)
    sample = all_tiles.sample(10 * 32 * 32, seed=1)
    assert sample[:][:, 0, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    images = images_of(tiling, 5)
    chosen = [Tiles(images, tiling).sample(10 * 32 * 32, seed)[:] for seed in (1, 1, 2)]
    assert np.array_equal(chosen[0], chosen[1])
    assert not np.array_equal(chosen[0], chosen[2])
    assert len(all_tiles.sample(1, 0)) == 5
    assert len(all_tiles.sample(10**9, 0)) == len(all_tiles)
