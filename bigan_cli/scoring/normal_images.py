"""The normal images that a score is fitted to: three disjoint sets."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.data.tiles import Tiling
from bigan_cli.scoring.inference import Inputs


@dataclass(frozen=True, eq=False)
class NormalImages:
    """Three disjoint sets of normal images.

    Each is uint8 ``[N, C, H, W]``, or the images' feature maps, float16 or float32
    ``[N, h, w, K]``, for networks on feature maps.

    Attributes:
        train: The images that the networks were trained on.
        validation: Sets each component's location and scale.
        calibration: Sets the threshold.
        tiling: How images are cut for the networks; None if they take whole images. With it
            *train* holds tiles, *validation* and *calibration* hold images.
        validation_tiles: Some tiles of the validation images, or their feature maps; None
            without *tiling*.
        roi: The region of interest, or None.
        train_inside: The positions in that region, bool ``[h, w]`` for all training images
            alike; ``[N, h, w]`` for tiles. None without a region.
        validation_inside: The same of the validation images, or of their tiles.
    """

    train: Inputs
    validation: Inputs
    calibration: Inputs
    tiling: Tiling | None = field(default=None, kw_only=True)
    validation_tiles: Inputs | None = field(default=None, kw_only=True)
    roi: RegionOfInterest | None = field(default=None, kw_only=True)
    train_inside: NDArray[np.bool_] | None = field(default=None, kw_only=True)
    validation_inside: NDArray[np.bool_] | None = field(default=None, kw_only=True)
