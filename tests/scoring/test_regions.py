"""Regions of a heatmap, and maps at the size of the input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import uniform_filter

from bigan_cli.scoring.regions import Region, anomalous_pixels, find_regions, resize_heatmap


def heat_of(rows):
    return np.array(rows, np.float32)


def test_regions_have_a_box_an_area_and_a_peak_the_highest_first():
    heat = heat_of(
        [
            [0, 2, 0, 0, 0],
            [0, 3, 0, 0, 1.5],
            [0, 2, 2, 0, 0],
            [0, 0, 0, 0, 5],
        ]
    )
    assert find_regions(heat) == (
        Region(left=4, top=3, width=1, height=1, area=1, peak=5),
        Region(left=1, top=0, width=2, height=3, area=4, peak=3),
        Region(left=4, top=1, width=1, height=1, area=1, peak=1.5),
    )
    assert [region.peak for region in find_regions(heat, 2.5)] == [5, 3]


def test_the_halo_of_a_strong_defect_is_not_part_of_its_region():
    """A square blurred by what a position sees: its frame is about the square again."""
    heat = np.zeros((80, 80), np.float32)
    heat[30:50, 20:40] = 12
    blurred = uniform_filter(uniform_filter(heat, 15), 9)
    assert (blurred > 1)[24, 30]
    (region,) = find_regions(blurred)
    assert (region.left, region.top) == pytest.approx((20, 30), abs=2)
    assert (region.width, region.height) == pytest.approx((20, 20), abs=4)
    assert anomalous_pixels(blurred).sum() == region.area


def test_two_defects_in_one_halo_have_a_region_each():
    heat = np.zeros((60, 90), np.float32)
    heat[20:40, 15:35] = heat[20:40, 50:70] = 20
    assert len(find_regions(uniform_filter(heat, 17))) == 2


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, (5, 6), elements=st.floats(-3, 9, width=32)))
def test_an_image_has_a_region_if_any_pixel_exceeds_the_threshold(heat):
    assert bool(find_regions(heat)) == bool((heat > 1).any())
    assert all(region.peak > 1 for region in find_regions(heat))
    assert not (anomalous_pixels(heat) & (heat <= 1)).any()


def test_pixels_that_touch_at_a_corner_are_one_region():
    (region,) = find_regions(heat_of([[2, 0], [0, 2]]))
    assert (region.width, region.height, region.area) == (2, 2, 2)


def test_the_threshold_itself_is_not_above_the_threshold():
    assert find_regions(np.ones((3, 3), np.float32)) == ()


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.float32, (5, 6), elements=st.floats(-3, 3, width=32)),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_no_resized_map_exceeds_its_peak(heat, height, width):
    resized = resize_heatmap(heat, height, width)
    assert resized.shape == (height, width)
    assert resized.dtype == np.float32
    assert heat.min() <= resized.min() <= resized.max() <= heat.max()


def test_a_resized_region_is_where_it_was_in_the_image():
    heat = np.zeros((32, 32), np.float32)
    heat[8:12, 20:28] = 4  # rows 25 to 37.5 %, columns 62.5 to 87.5 %
    (region,) = find_regions(resize_heatmap(heat, 300, 400))
    assert region.top == pytest.approx(75, abs=8)
    assert region.top + region.height == pytest.approx(112, abs=8)
    assert region.left == pytest.approx(250, abs=10)
    assert region.left + region.width == pytest.approx(350, abs=10)
