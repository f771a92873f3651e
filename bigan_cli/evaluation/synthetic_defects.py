"""Synthetic defects: painted on normal images, to see what a detector would find.

They are what self-supervised inspection trains with (CutPaste, Li et al. 2021, arXiv
2104.04015), here for a test only: whoever has real defects should test with those.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Kind = Literal["cut-paste", "scratch", "stain", "warp"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

_SCRATCH_CONTRAST = (35, 90)
_STAIN_CONTRAST = (25, 60)


def paint(image: Image, donor: Image, kind: Kind, size: int, rng: np.random.Generator) -> Image:
    """Return a copy of *image* with one defect.

    Args:
        image: uint8 ``[C, H, W]``.
        donor: Another normal image of that shape, which a patch is cut from.
        kind: ``cut-paste`` (a patch of *donor*), ``scratch`` (a thin line), ``stain`` (a blob of
            another brightness) or ``warp`` (a local shift).
        size: Length of the defect in pixels, from 2 up.
        rng: Decides place, direction and contrast.
    """
    from scipy.special import expit

    height, width = image.shape[1:]
    centre = rng.uniform(0.15, 0.85, 2) * (height, width)
    y, x = np.mgrid[:height, :width] - centre[:, None, None]
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    if kind == "cut-paste":
        return _cut_paste(image, donor, size, rng)
    if kind == "warp":
        return _warped(image, y, x, size, rng)
    sign = rng.choice([-1, 1])
    if kind == "scratch":
        line = (np.abs(across) <= max(0.5, size / 20)) & (np.abs(along) <= size / 2)
        change = line * sign * rng.uniform(*_SCRATCH_CONTRAST)
    else:
        radius = np.sqrt((along / (size / 2)) ** 2 + (across / (size / 3)) ** 2)
        change = sign * rng.uniform(*_STAIN_CONTRAST) * expit((0.8 - radius) * 8)
    painted: Image = (image + change).clip(0, 255).astype(np.uint8)
    return painted


def _cut_paste(image: Image, donor: Image, size: int, rng: np.random.Generator) -> Image:
    height, width = image.shape[1:]
    tall, wide = min(size, height - 1), min(size, width - 1)
    (top, left), (y, x) = (
        (rng.integers(height - tall), rng.integers(width - wide)) for _ in range(2)
    )
    painted = image.copy()
    painted[:, y : y + tall, x : x + wide] = donor[:, top : top + tall, left : left + wide]
    return painted


def _warped(image: Image, y: Floats, x: Floats, size: int, rng: np.random.Generator) -> Image:
    from scipy.ndimage import map_coordinates

    spread = size / 3
    bump = rng.uniform(0.5, 1) * spread * np.exp(-(y**2 + x**2) / (2 * spread**2))
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[: image.shape[1], : image.shape[2]].astype(np.float64)
    at = [rows + bump * np.sin(angle), columns + bump * np.cos(angle)]
    channels = [map_coordinates(c.astype(np.float32), at, order=1, mode="reflect") for c in image]
    warped: Image = np.stack(channels).clip(0, 255).astype(np.uint8)
    return warped
