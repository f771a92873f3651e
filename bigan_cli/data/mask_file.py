"""Reading of a file whose bright pixels are marked: a ground-truth mask or a region of interest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigan_cli.data.image_file import DEFAULTS, DecodeOptions, open_image
from bigan_cli.data.pillow_image import PillowImage
from bigan_cli.data.raster import turned
from bigan_cli.mask_pixels import anomalous_pixels


def read_marked(path: Path, options: DecodeOptions = DEFAULTS) -> NDArray[np.bool_]:
    """Return the marked pixels of an upright mask, bool ``[H, W]``.

    Raises:
        Exception: As :func:`bigan_cli.data.image_file.open_image`, or any of Pillow's for
            damaged files.
    """
    with open_image(path, options) as image:
        orientation = PillowImage(image).orientation
        return turned(anomalous_pixels(image), orientation)
