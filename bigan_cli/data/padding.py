"""Where an image lies within a frame of another aspect ratio, and what fills the rest.

The image is scaled to fit, centred, and mirrored at its borders: a plain colour would be an
anomaly of its own, and its edge another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

# Aspect ratios that differ less are stretched: sizes are rounded to the grid of the networks.
_TOLERANCE = 1.05


class Placement(NamedTuple):
    """The rectangle of a frame that holds the image, in pixels of the frame."""

    left: int
    top: int
    width: int
    height: int


def placement(size: tuple[int, int], frame: tuple[int, int]) -> Placement:
    """Return where an image lies in a frame with its aspect ratio kept; each (width, height)."""
    across, down = frame[0] / size[0], frame[1] / size[1]
    if max(across, down) <= _TOLERANCE * min(across, down):
        return Placement(0, 0, *frame)
    scale = min(across, down)
    width, height = (max(1, round(side * scale)) for side in size)
    return Placement((frame[0] - width) // 2, (frame[1] - height) // 2, width, height)


def pad(image: Image.Image, place: Placement, frame: tuple[int, int]) -> Image.Image:
    """Return *image*, of the size of *place*, in a frame (width, height) filled by mirroring."""
    if image.size == frame:
        return image
    right, bottom = frame[0] - place.left - place.width, frame[1] - place.top - place.height
    around = [(place.top, bottom), (place.left, right)]
    pixels = np.asarray(image)
    padded = np.pad(pixels, around + [(0, 0)] * (pixels.ndim - 2), mode="symmetric")
    return Image.fromarray(padded)
