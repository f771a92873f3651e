"""Heatmaps as files: an overlay for people, 16-bit PNG and NumPy arrays for programs.

Heatmaps are in units of normal images: about 0 is an ordinary pixel, 1 the per-pixel threshold
(see :mod:`bigan_cli.scoring.map_calibration`). Colours and grey levels mean the same value in
every file, so a normal image stays dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from bigan_cli.atomic import atomic_write
from bigan_cli.report.drawing import ANOMALY, BACKGROUND, difference_colours
from bigan_cli.scoring.regions import Region

Heatmap = NDArray[np.float32]

LEVELS_PER_UNIT = 4096
"""Grey levels of a 16-bit PNG file per unit: 4096 is the threshold, 65535 is 16 or more."""

# The value of the last colour; the position is the square root, so the threshold is halfway.
BRIGHTEST = 4.0
# Below the first value the overlay is transparent; from the second its opacity is constant.
_TRANSPARENT, _OPAQUE = 0.5, 2.0
_OPACITY = 0.75
# Brightness left outside of the region of interest.
_DIMMED = 0.35
# Rows per block, since the temporary arrays of a large image would be large.
_ROWS = 256
# Width of a region's frame, as a fraction of the image's shorter side.
_FRAME = 1 / 250


def overlay(image: NDArray[np.uint8], heat: Heatmap, regions: Sequence[Region] = ()) -> Image.Image:
    """Return *image* with the heatmap laid over it and a frame around each region.

    Ordinary pixels show the image only.

    Args:
        image: uint8 ``[H, W, 3]``.
        heat: float32 ``[H, W]``.
        regions: In pixels of the image.

    Raises:
        ValueError: The shapes do not fit.
    """
    if image.shape != (*heat.shape, 3):
        raise ValueError(f"image {image.shape} and heatmap {heat.shape} do not fit")
    blended = np.empty_like(image)
    for start in range(0, len(heat), _ROWS):
        rows = slice(start, start + _ROWS)
        opacity = _opacity(heat[rows])[:, :, None]
        colours = heat_colours(heat[rows]).astype(np.float32)
        blended[rows] = np.rint(image[rows] + (colours - image[rows]) * opacity).astype(np.uint8)
    canvas = Image.fromarray(blended)
    _frame(canvas, regions)
    return canvas


def dimmed(image: NDArray[np.uint8], inside: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Return *image*, uint8 ``[H, W, 3]``, darker where *inside*, bool ``[H, W]``, is False."""
    if inside is None:
        return image
    dark = (image * np.float32(_DIMMED)).astype(np.uint8)
    return np.where(inside[:, :, None], image, dark)


def heat_colours(heat: Heatmap) -> NDArray[np.uint8]:
    """Return the colour of each value, uint8 ``[H, W, 3]``: black, red, pale yellow.

    Lightness grows with the square root of the value from 0 to 4, perceptually evenly (see
    :func:`bigan_cli.report.drawing.difference_colours`).
    """
    level = np.rint(heat.clip(0, BRIGHTEST) * (255 / BRIGHTEST)).astype(np.uint8)
    colours: NDArray[np.uint8] = difference_colours()[level]
    return colours


def write_overlay(
    path: Path, image: NDArray[np.uint8], heat: Heatmap, regions: Sequence[Region]
) -> None:
    """Write :func:`overlay` as a PNG file, atomically."""
    _save(path, overlay(image, heat, regions))


def write_png16(path: Path, heat: Heatmap) -> None:
    """Write a heatmap as a grey 16-bit PNG file of round(4096 v), v from 0 up to 16."""
    levels = np.rint(heat.clip(0, 65535 / LEVELS_PER_UNIT) * LEVELS_PER_UNIT).astype(np.uint16)
    about = PngInfo()
    about.add_text("bigan:levels-per-unit", str(LEVELS_PER_UNIT))
    _save(path, Image.fromarray(levels), about)


def write_array(path: Path, heat: Heatmap) -> None:
    """Write a heatmap as a NumPy file, float32 ``[H, W]``."""
    with atomic_write(path) as stream:
        np.save(stream, heat.astype(np.float32, copy=False), allow_pickle=False)


def write_mask(path: Path, anomalous: NDArray[np.bool_]) -> None:
    """Write a mask, bool ``[H, W]``, as a grey PNG file: 255 where anomalous, else 0."""
    _save(path, Image.fromarray(anomalous.astype(np.uint8) * np.uint8(255)))


def _opacity(heat: Heatmap) -> Heatmap:
    share = (heat - np.float32(_TRANSPARENT)) / np.float32(_OPAQUE - _TRANSPARENT)
    return share.clip(0, 1) * np.float32(_OPACITY)


def _frame(canvas: Image.Image, regions: Sequence[Region]) -> None:
    """Draw frames around regions, outside their boxes, light around dark to show on any image."""
    draw = ImageDraw.Draw(canvas)
    width = max(1, round(min(canvas.size) * _FRAME))
    # The highest peak last, on top.
    for region in reversed(regions):
        for colour, gap in ((BACKGROUND, 2 * width), (ANOMALY, width)):
            box = (
                region.left - gap,
                region.top - gap,
                region.left + region.width - 1 + gap,
                region.top + region.height - 1 + gap,
            )
            draw.rectangle(box, outline=colour, width=width)


def _save(path: Path, image: Image.Image, about: PngInfo | None = None) -> None:
    with atomic_write(path) as stream:
        image.save(stream, format="PNG", pnginfo=about)
