"""Heatmaps as files: one scale for all images, calm where the image is normal."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bigan_cli.report.heatmap import (
    LEVELS_PER_UNIT,
    heat_colours,
    overlay,
    write_array,
    write_mask,
    write_overlay,
    write_png16,
)
from bigan_cli.scoring.regions import find_regions


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)


def test_a_calm_image_is_shown_as_it_is(image):
    heat = np.full(image.shape[:2], 0.5, np.float32)
    heat[:10] = -3
    assert (np.asarray(overlay(image, heat)) == image).all()


def test_a_region_is_coloured_and_framed_and_the_rest_is_not(image):
    heat = np.zeros(image.shape[:2], np.float32)
    heat[100:140, 200:260] = 3
    picture = np.asarray(overlay(image, heat, find_regions(heat))).astype(int)
    changed = (picture != image).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert 95 <= rows[0] < 100
    assert 140 <= rows[-1] < 145
    assert 195 <= columns[0] < 200
    assert 260 <= columns[-1] < 265
    red, green, blue = picture[105:135, 205:255].mean(axis=(0, 1))
    assert red > 180
    assert red > green > blue


def test_a_value_has_the_same_colour_in_every_image_and_a_larger_one_a_lighter():
    values = np.linspace(0, 4, 41, dtype=np.float32)
    colours = heat_colours(values[None])[0].astype(float)
    lightness = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all()
    for value, colour in zip(values, colours, strict=True):
        assert (heat_colours(np.array([[value, 40.0]], np.float32))[0, 0] == colour).all()


def test_a_region_at_the_edge_of_a_tiny_image_is_drawn():
    heat = np.zeros((8, 8), np.float32)
    heat[0, 7] = 2
    picture = overlay(np.zeros((8, 8, 3), np.uint8), heat, find_regions(heat))
    assert picture.size == (8, 8)


def test_16_bit_files_hold_4096_levels_a_unit(tmp_path):
    heat = np.array([[-1, 0, 0.5], [1, 2.25, 40]], np.float32)
    write_png16(tmp_path / "map.png", heat)
    with Image.open(tmp_path / "map.png") as picture:
        levels = np.asarray(picture)
        assert picture.info["bigan:levels-per-unit"] == str(LEVELS_PER_UNIT)
    assert levels.dtype == np.uint16
    assert levels.tolist() == [[0, 0, 2048], [4096, 9216, 65535]]


def test_arrays_and_masks_read_back(tmp_path):
    heat = np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32)
    write_array(tmp_path / "map.npy", heat)
    assert (np.load(tmp_path / "map.npy", allow_pickle=False) == heat).all()
    write_mask(tmp_path / "mask.png", heat > 0)
    with Image.open(tmp_path / "mask.png") as picture:
        assert (np.asarray(picture) == np.where(heat > 0, 255, 0)).all()


def test_nothing_is_left_where_a_file_cannot_be_written(tmp_path, image):
    (tmp_path / "map.png").mkdir()
    with pytest.raises(OSError, match=r"map\.png"):
        write_overlay(tmp_path / "map.png", image, np.zeros(image.shape[:2], np.float32), ())
    assert [path.name for path in tmp_path.iterdir()] == ["map.png"]
    with pytest.raises(ValueError, match="do not fit"):
        overlay(image, np.zeros((3, 3), np.float32))
