"""The size of an image as it is in its dataset, before it is resized for the networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bigan_cli.data.image_file import DEFAULTS, DecodeOptions, open_source
from bigan_cli.data.pillow_image import PillowImage
from bigan_cli.data.unreadable import UnreadableImage, why_unreadable

if TYPE_CHECKING:
    from bigan_cli.contracts import RawImage


def source_size(raw: RawImage, options: DecodeOptions = DEFAULTS) -> tuple[int, int]:
    """Return the (height, width) of an upright image; of a file, only the header is decoded.

    Raises:
        UnreadableImage: The file is missing, damaged or no image.
    """
    if isinstance(raw, np.ndarray):
        return int(raw.shape[0]), int(raw.shape[1])
    path = raw if isinstance(raw, Path) else None
    try:
        if not isinstance(raw, Path | bytes):
            image = PillowImage(raw)
            return _upright(image.size, image.orientation)
        with open_source(raw, options) as source:
            return _upright(source.size, source.orientation)
    except Exception as error:  # Pillow raises various exceptions for damaged files
        raise UnreadableImage(why_unreadable(error), path) from error


def _upright(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    width, height = size
    return (width, height) if orientation >= 5 else (height, width)


def same_aspect_ratio(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two (height, width) have one aspect ratio, up to a pixel of rounding."""
    return abs(one[1] * other[0] - one[0] * other[1]) <= max(*one, *other)
