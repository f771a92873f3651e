"""Regions: the connected pixels of an image where its heatmap exceeds a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bigan_cli.data.padding import placement
from bigan_cli.data.region_of_interest import RegionOfInterest

Heatmap = NDArray[np.float32]

THRESHOLD = 1.0
"""The per-pixel threshold, in the unit of calibrated heatmaps."""

_OF_PEAK = 0.5
# Pixels of which temporary arrays are made at a time.
_BAND = 2**22
_TOUCHING = np.ones((3, 3), np.int64)


@dataclass(frozen=True, slots=True)
class Region:
    """A connected region of anomalous pixels, in pixels of the map it was found in.

    Attributes:
        left: First column of the bounding box.
        top: First row of the bounding box.
        width: Columns of the bounding box, at least 1.
        height: Rows of the bounding box, at least 1.
        area: Pixels of the region, at most ``width * height``.
        peak: The largest value of the heatmap in the region.
    """

    left: int
    top: int
    width: int
    height: int
    area: int
    peak: float


def resize_heatmap(
    heat: Heatmap,
    height: int,
    width: int,
    roi: RegionOfInterest | None = None,
    *,
    keep_aspect: bool = False,
) -> Heatmap:
    """Return a heatmap ``[h, w]`` at the size ``[height, width]`` of the input image.

    A map is resized back as the image was resized to the networks' size. Every value of the result
    is a weighted mean of values of the map: none is larger than its peak. Outside of the region of
    interest it is 0.

    Args:
        heat: Of the image at the networks' size.
        height: Of the image.
        width: Of the image.
        roi: The region of interest, if there is one.
        keep_aspect: Whether the image was padded instead of stretched, see
            :mod:`bigan_cli.data.padding`. The padding is cut off.
    """
    if keep_aspect:
        place = placement((width, height), (heat.shape[1], heat.shape[0]))
        heat = heat[place.top : place.top + place.height, place.left : place.left + place.width]
    if heat.shape != (height, width):
        low, high = float(heat.min()), float(heat.max())
        resized = Image.fromarray(np.ascontiguousarray(heat, np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        # Rounding could exceed the peak by a unit in the last place.
        heat = np.asarray(resized, np.float32).clip(low, high)
    return heat if roi is None else np.where(roi.at_size(height, width), heat, np.float32(0))


def anomalous_pixels(heat: Heatmap, threshold: float = THRESHOLD) -> NDArray[np.bool_]:
    """Return which pixels of a heatmap are anomalous, bool of the same shape.

    They exceed *threshold*, and half of the peak of their region. The map of a strong defect
    exceeds the threshold far around it, since every position of a feature map sees a
    neighbourhood; at the edge of a blurred defect the map is at half of its height.

    Args:
        heat: float32 ``[H, W]``; 0 is an ordinary pixel.
        threshold: Values above it are anomalous.
    """
    above = np.asarray(heat > threshold)
    if not above.any():
        return above
    from scipy import ndimage  # takes 0.1 s to import; most images have no region

    labels, count = ndimage.label(above, structure=_TOUCHING)
    peaks = np.full(count + 1, -np.inf, heat.dtype)
    rows = max(1, _BAND // heat.shape[1])
    bands = [slice(top, top + rows) for top in range(0, len(heat), rows)]
    # By bands, and without ndimage.maximum, which sorts all pixels: an image may have 10^8.
    for band in bands:
        np.maximum.at(peaks, labels[band], heat[band])
    for band in bands:
        above[band] &= heat[band] > _OF_PEAK * peaks[labels[band]]
    return above


def find_regions(heat: Heatmap, threshold: float = THRESHOLD) -> tuple[Region, ...]:
    """Return the regions of :func:`anomalous_pixels`, the one with the largest peak first.

    Pixels that touch at a side or a corner belong to the same region.

    Args:
        heat: float32 ``[H, W]``, at the size of the image whose coordinates are wanted.
        threshold: Values above it are anomalous.
    """
    anomalous = anomalous_pixels(heat, threshold)
    if not anomalous.any():
        return ()
    from scipy import ndimage

    labels, _ = ndimage.label(anomalous, structure=_TOUCHING)
    boxes = ndimage.find_objects(labels)
    regions = []
    for label, (rows, columns) in enumerate(boxes, 1):
        inside = labels[rows, columns] == label
        regions.append(
            Region(
                left=columns.start,
                top=rows.start,
                width=columns.stop - columns.start,
                height=rows.stop - rows.start,
                area=int(inside.sum()),
                peak=float(heat[rows, columns][inside].max()),
            )
        )
    return tuple(sorted(regions, key=lambda region: (-region.peak, region.top, region.left)))
