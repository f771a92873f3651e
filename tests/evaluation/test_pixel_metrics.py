"""Metrics of heatmaps against masks: equal to direct computations, for any data."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from bigan_cli.errors import DataError
from bigan_cli.evaluation.pixel_metrics import AUPRO_LIMIT, PixelHistograms

SHAPE = (6, 7)


def measure(heatmaps, masks):
    histograms = PixelHistograms()
    for heat, mask in zip(heatmaps, masks, strict=True):
        histograms.add(np.asarray(heat, np.float32), np.asarray(mask, bool))
    return histograms.metrics()


def direct_aupro(heatmaps, masks):
    """Return AUPRO by its definition: every threshold, every region, one after another."""
    normal = np.concatenate([h[~m] for h, m in zip(heatmaps, masks, strict=True)])
    regions = []
    for heat, mask in zip(heatmaps, masks, strict=True):
        labels, number = ndimage.label(mask, np.ones((3, 3)))
        regions += [heat[labels == k] for k in range(1, number + 1)]
    points = [(0.0, 0.0)]
    for threshold in np.unique(np.concatenate([h.ravel() for h in heatmaps]))[::-1]:
        overlap = np.mean([(region >= threshold).mean() for region in regions])
        points.append(((normal >= threshold).mean(), overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        end = min(x1, AUPRO_LIMIT)
        if x1 > x0 and end > x0:
            y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
            area += (end - x0) * (y0 + y_end) / 2
    return area / AUPRO_LIMIT


# Values that are in different bins unless they are equal.
VALUES = st.integers(-40, 40).map(lambda k: k / 8)


@given(
    arrays(np.float32, (3, *SHAPE), elements=VALUES),
    arrays(np.bool_, (3, *SHAPE)),
)
def test_the_metrics_are_those_of_a_direct_computation(heatmaps, masks):
    found = measure(heatmaps, masks)
    if masks.all() or not masks.any():
        assert found.auroc is found.aupro is None
        return
    assert found.auroc == pytest.approx(roc_auc_score(masks.ravel(), heatmaps.ravel()))
    assert found.aupro == pytest.approx(direct_aupro(heatmaps, masks))
    assert found.images == 3


def test_continuous_values_differ_by_no_more_than_the_width_of_a_bin():
    random = np.random.default_rng(0)
    masks = np.zeros((4, 40, 50), bool)
    masks[0, 3:9, 4:30] = masks[1, 20:22, 20:40] = masks[1, 30:, 45:] = True
    heatmaps = random.normal(size=masks.shape).astype(np.float32) + 1.5 * masks
    heatmaps = heatmaps.astype(np.float32)
    found = measure(heatmaps, masks)
    assert found.regions == 3
    assert found.auroc == pytest.approx(roc_auc_score(masks.ravel(), heatmaps.ravel()), abs=1e-4)
    assert found.aupro == pytest.approx(direct_aupro(heatmaps, masks), abs=1e-3)


def test_a_perfect_map_has_the_value_1_and_an_uninformative_one_that_of_chance():
    mask = np.zeros((1, 20, 20), bool)
    mask[0, 5:9, 5:9] = True
    perfect = measure(mask.astype(np.float32), mask)
    assert (perfect.auroc, perfect.aupro) == (1, 1)
    flat = measure(np.zeros(mask.shape), mask)
    # One step from (0, 0) to (1, 1): the area up to 0.3 is half of 0.3 squared.
    assert (flat.auroc, flat.aupro) == (0.5, pytest.approx(0.15))


def test_a_small_region_counts_as_much_as_a_large_one():
    mask = np.zeros((1, 20, 40), bool)
    mask[0, 2:18, 2:18] = mask[0, 10, 30] = True
    only_large, only_small = mask.astype(np.float32), mask.astype(np.float32)
    only_large[0, 10, 30] = only_small[0, 2:18, 2:18] = 0
    large, small = measure(only_large, mask), measure(only_small, mask)
    assert large.aupro == pytest.approx(small.aupro)
    assert large.auroc > 0.99
    assert small.auroc < 0.6


def test_images_may_differ_in_size_and_come_in_any_order():
    random = np.random.default_rng(1)
    heatmaps = [random.normal(size=size).astype(np.float32) for size in ((5, 9), (8, 8), (3, 4))]
    masks = [random.random(heat.shape) > 0.7 for heat in heatmaps]
    one, other = measure(heatmaps, masks), measure(heatmaps[::-1], masks[::-1])
    assert one.auroc == pytest.approx(other.auroc)
    assert one.aupro == pytest.approx(other.aupro)


def test_invalid_maps_are_refused():
    with pytest.raises(DataError, match="not finite"):
        measure(np.full((1, 2, 2), np.nan), np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="differ in shape"):
        measure(np.zeros((1, 2, 2)), np.zeros((1, 2, 3)))
