"""The unit of heatmaps: 1 is the threshold that few normal images exceed anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bigan_cli.errors import DataError
from bigan_cli.scoring.map_calibration import MapStatistics, calibrate_maps

FPR = 0.1


def calibrated(*batches):
    return calibrate_maps([MapStatistics.of(batch) for batch in batches])


def maps(random, number):
    return random.gamma(2, size=(number, 8, 8)).astype(np.float32)


def test_few_normal_images_exceed_the_threshold_anywhere():
    random = np.random.default_rng(0)
    shares = []
    for _ in range(100):
        calibration = calibrated(maps(random, 30), maps(random, 29))
        found = calibration.in_units(maps(random, 100), FPR)
        shares.append((found.max(axis=(1, 2)) > 1).mean())
    # The mean of 100 Beta variables with a deviation of 0.04 each, and of binomial counts.
    assert np.mean(shares) == pytest.approx(FPR, abs=0.02)


def test_an_ordinary_pixel_is_about_0():
    random = np.random.default_rng(1)
    calibration = calibrated(maps(random, 100) + 7)
    found = calibration.in_units(maps(random, 100) + 7, FPR)
    assert abs(np.median(found)) < 0.05


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float32, (12, 2, 2), elements=st.floats(-1e6, 1e6, width=32)),
    st.floats(0.1, 0.9),
)
def test_a_peak_exceeds_1_only_if_it_exceeds_the_threshold(heatmaps, fpr):
    calibration = calibrated(heatmaps)
    above = heatmaps.max(axis=(1, 2)) > calibration.peaks.threshold(fpr)
    found = calibration.in_units(heatmaps, fpr).max(axis=(1, 2))
    assert not (found[~above] > 1).any()


def test_a_rate_that_is_too_small_is_replaced_by_the_smallest_possible():
    random = np.random.default_rng(2)
    heatmaps = maps(random, 9)
    calibration = calibrated(heatmaps)
    assert (calibration.in_units(heatmaps, 0.001) == calibration.in_units(heatmaps, 1 / 10)).all()
    assert calibration.in_units(heatmaps, 0.001).max() == 1


def test_a_map_that_was_always_the_same_marks_anything_more():
    calibration = calibrated(np.zeros((20, 4, 4), np.float32))
    assert calibration.in_units(np.zeros((1, 4, 4), np.float32), FPR).max() == 0
    assert calibration.in_units(np.full((1, 4, 4), 0.1, np.float32), FPR).min() > 1


def test_maps_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="not finite"):
        calibrated(np.full((1, 2, 2), np.inf, np.float32))
    with pytest.raises(DataError, match="no calibration images"):
        calibrate_maps([])
