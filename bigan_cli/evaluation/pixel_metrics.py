"""Metrics of heatmaps against ground-truth masks, from histograms: memory does not grow.

Heatmaps come one at a time, at the size of their masks. Values are counted in bins of a relative
width of 2^-11 (0.05 %), so a metric differs from the exact one by no more than the share of
pixels that are in one bin together.

Source: Bergmann, Batzner, Fauser, Sattlegger, Steger, "The MVTec Anomaly Detection Dataset: A
Comprehensive Real-World Dataset for Unsupervised Anomaly Detection", IJCV 129, 2021. At a
threshold t, the overlap of a connected region of a mask is the share of its pixels above t, and
PRO(t) is the mean overlap over all regions of all images. AUPRO is the area under PRO over the
false-positive rate of all anomaly-free pixels, up to a rate of 0.3 and divided by 0.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bigan_cli.errors import DataError

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

AUPRO_LIMIT = 0.3
"""The false-positive rate up to which PRO is integrated, the usual one."""

# Bits of a float32 that identify its bin: sign, 8 of the exponent and 11 of the fraction.
_BITS = 20
_BINS = 2**_BITS


@dataclass(frozen=True)
class PixelMetrics:
    """How well heatmaps separate the anomalous pixels.

    Attributes:
        auroc: Of single pixels, those of all images taken together; None without pixels of both
            kinds.
        aupro: The area under the per-region overlap up to :data:`AUPRO_LIMIT`; None likewise.
        images: The number of images.
        regions: The number of connected regions in their masks.
    """

    auroc: float | None
    aupro: float | None
    images: int
    regions: int


class PixelHistograms:
    """Histograms of heatmap values, from which the metrics follow; about 24 MB."""

    def __init__(self) -> None:
        self._normal = np.zeros(_BINS, np.int64)
        self._anomalous = np.zeros(_BINS, np.int64)
        self._overlap = np.zeros(_BINS, np.float64)
        self._images = 0
        self._regions = 0

    def add(self, heat: NDArray[np.float32], anomalous: Bools, inside: Bools | None = None) -> None:
        """Count the pixels of one image.

        Args:
            heat: float32 ``[H, W]``, higher is more anomalous.
            anomalous: bool ``[H, W]``, the mask.
            inside: The pixels that count, bool ``[H, W]``; by default all.

        Raises:
            ValueError: The shapes differ.
            DataError: A value is not finite.
        """
        if heat.shape != anomalous.shape:
            raise ValueError(f"heatmap {heat.shape} and mask {anomalous.shape} differ in shape")
        if not np.isfinite(heat).all():
            raise DataError("a heatmap has values that are not finite")
        bins = _bins(heat)
        self._images += 1
        counted = np.ones_like(anomalous) if inside is None else inside
        self._normal += np.bincount(bins[~anomalous & counted], minlength=_BINS)
        anomalous = anomalous & counted
        if not anomalous.any():
            return
        from scipy import ndimage

        # Regions touch at a side or a corner, as in the evaluation code of MVTec AD.
        labels, number = ndimage.label(anomalous, structure=np.ones((3, 3), np.int64))
        found = bins[anomalous]
        labels = labels[anomalous]
        areas = np.bincount(labels, minlength=number + 1)
        self._anomalous += np.bincount(found, minlength=_BINS)
        self._overlap += np.bincount(found, weights=1 / areas[labels], minlength=_BINS)
        self._regions += number

    def metrics(self) -> PixelMetrics:
        """Return the metrics of all images so far."""
        normal, anomalous = int(self._normal.sum()), int(self._anomalous.sum())
        if not normal or not anomalous:
            return PixelMetrics(None, None, self._images, self._regions)
        # Points of the curves, the highest threshold first.
        used = np.flatnonzero(self._normal + self._anomalous)[::-1]
        fpr = _curve(self._normal[used] / normal)
        tpr = _curve(self._anomalous[used] / anomalous)
        pro = _curve(self._overlap[used] / self._regions)
        return PixelMetrics(
            auroc=_area(fpr, tpr),
            aupro=_area_up_to(fpr, pro, AUPRO_LIMIT) / AUPRO_LIMIT,
            images=self._images,
            regions=self._regions,
        )


def _bins(heat: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the bin of each value, in the order of the values.

    The bits of a positive float32 are ordered like its value, those of a negative one in
    reverse.
    """
    # Adding 0 turns -0 into 0.
    bits = (heat + np.float32(0)).view(np.uint32)
    negative = bits >> 31 == 1
    ordered = np.where(negative, ~bits, bits | np.uint32(2**31))
    return (ordered >> np.uint32(32 - _BITS)).astype(np.int64)


def _curve(shares: Floats) -> Floats:
    """Return the running sum from 0 to 1."""
    total: Floats = np.concatenate([[0.0], np.cumsum(shares)])
    total /= total[-1]
    return total


def _area_up_to(x: Floats, y: Floats, limit: float) -> float:
    """Return the area under the points (x, y), joined by lines, from 0 to *limit*."""
    inside = x <= limit
    end = float(np.interp(limit, x, y))
    return _area(np.append(x[inside], limit), np.append(y[inside], end))


def _area(x: Floats, y: Floats) -> float:
    """Return the area under the points (x, y), joined by lines."""
    return float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)
