"""Calibration of heatmaps: a unit in which 1 is the per-pixel threshold.

The peak of an image's heatmap is a score like any other, so split-conformal calibration applies
to it (see :mod:`bigan_cli.scoring.calibration`): a threshold is set on the peaks of the
calibration images, and at most a share ``fpr`` of normal images has a single pixel above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bigan_cli.errors import DataError
from bigan_cli.scoring.calibration import Calibration

Heatmaps = NDArray[np.float32]

# Where all values of all maps are the same, any larger one is far above the threshold.
_LEAST_UNIT = 1e-6


@dataclass(frozen=True, eq=False)
class MapCalibration:
    """What the heatmaps of the calibration images were like.

    Attributes:
        peaks: The largest value of each calibration image's map.
        location: The median over these images of each map's median: an ordinary pixel.
    """

    peaks: Calibration
    location: float

    def in_units(self, heatmaps: Heatmaps, fpr: float) -> Heatmaps:
        """Return heatmaps ``[N, H, W]`` in units of normal images: 0 ordinary, 1 the threshold.

        An image has a value above 1 if and only if its peak exceeds the threshold, which happens
        to at most a share *fpr* of normal images.

        Args:
            heatmaps: float32 ``[N, H, W]``, raw.
            fpr: The share of normal images that may have a pixel above 1. A rate that is too
                small for the number of calibration images is replaced by the smallest that they
                can guarantee.
        """
        limit, unit = self.limit_and_unit(fpr)
        scaled = (heatmaps.astype(np.float64) - self.location) / unit
        # Rounding must not lift a value at the threshold above it.
        scaled[(heatmaps <= limit) & (scaled > 1)] = 1
        return scaled.astype(np.float32)

    def limit_and_unit(self, fpr: float) -> tuple[float, float]:
        """Return the threshold of raw heatmaps, and the difference that becomes 1."""
        limit = self.peaks.threshold(max(fpr, self.peaks.smallest_fpr))
        return limit, max(limit - self.location, _LEAST_UNIT)


@dataclass(frozen=True, eq=False)
class MapStatistics:
    """What calibration keeps of raw heatmaps.

    Attributes:
        peaks: float64 ``[N]``, the largest value of each map.
        medians: float64 ``[N]``, the median of each map.
    """

    peaks: NDArray[np.float64]
    medians: NDArray[np.float64]

    @classmethod
    def of(cls, heatmaps: Heatmaps, inside: NDArray[np.bool_] | None = None) -> MapStatistics:
        """Return the statistics of maps float32 ``[N, H, W]``.

        Args:
            heatmaps: Raw.
            inside: The pixels that count, bool ``[H, W]``; by default all.

        Raises:
            DataError: A value is not finite.
        """
        pixels = heatmaps.reshape(len(heatmaps), -1) if inside is None else heatmaps[:, inside]
        if not np.isfinite(pixels).all():
            raise DataError("a heatmap has values that are not finite; the networks are broken")
        return cls(
            pixels.max(axis=1).astype(np.float64), np.median(pixels, axis=1).astype(np.float64)
        )


def calibrate_maps(statistics: Sequence[MapStatistics]) -> MapCalibration:
    """Return the calibration for the heatmaps of the calibration images, in batches.

    Raises:
        DataError: There are no maps.
    """
    if not statistics:
        raise DataError("no calibration images: the unit of heatmaps needs normal images")
    peaks = np.concatenate([each.peaks for each in statistics])
    medians = np.concatenate([each.medians for each in statistics])
    return MapCalibration(Calibration(peaks), float(np.median(medians)))
