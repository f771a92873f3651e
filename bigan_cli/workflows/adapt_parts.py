"""The parts that the normal images for adapting a model are divided into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bigan_cli.errors import DataError, UsageError
from bigan_cli.formatting import count
from bigan_cli.scoring.calibration import images_needed

if TYPE_CHECKING:
    from bigan_cli.scoring.detector import Detector
    from bigan_cli.scoring.normal_images import NormalImages

# Fewer images give no usable scale of a component, nor a usable memory.
_SMALLEST_PART = 8


def divide(
    images: int, chosen: float | None, default: float, seed: int, *, train: bool
) -> dict[str, NDArray[np.int64]]:
    """Return the indices of each part, sorted: train (if wanted), validation, calibration.

    Args:
        images: How many there are.
        chosen: The false-positive rate that the user set, if any.
        default: The rate otherwise.
        seed: Of the division.
        train: Whether a part is wanted to fit the components to.

    Raises:
        UsageError: There are too few images for *chosen*; the message says how many are needed.
        DataError: There are too few for *default*.
    """
    fpr = default if chosen is None else chosen
    needed, others = images_needed(fpr), 2 if train else 1
    least = needed + others * _SMALLEST_PART
    if images < least:
        raise (DataError if chosen is None else UsageError)(
            f"{count(images, 'normal image')} are too few: a false-positive rate of {fpr:g} needs "
            f"{least}, of which {needed} set the threshold",
            "add images, or set a larger 'score.fpr'",
        )
    sizes = {}
    if train:
        sizes["validation"] = max(_SMALLEST_PART, images // 8)
        sizes["calibration"] = max(needed, images // 4)
        sizes["train"] = images - sum(sizes.values())
        while sizes["train"] < _SMALLEST_PART:  # the least number of images, or few more
            sizes["validation"] -= 1
            sizes["train"] += 1
    else:
        sizes["calibration"] = min(max(needed, images * 2 // 3), images - _SMALLEST_PART)
        sizes["validation"] = images - sizes["calibration"]
    order = np.random.default_rng(seed).permutation(images)
    parts = np.split(order, np.cumsum(list(sizes.values()))[:-1])
    return {name: np.sort(part) for name, part in zip(sizes, parts, strict=True)}


def normal_images(
    detector: Detector, sets: Mapping[str, NDArray[np.uint8]], seed: int
) -> NormalImages:
    """Return the parts as the score is fitted to them: with tiles, and the positions inside."""
    from bigan_cli.data.tiles import TRAINING_PIXELS, VALIDATION_PIXELS, Tiles
    from bigan_cli.scoring.normal_images import NormalImages
    from bigan_cli.scoring.tiled_member import TiledMember

    member, roi = detector.members[0], detector.roi
    shape = member.networks.input_shape
    train = sets.get("train", sets["validation"][:0])
    if not isinstance(member, TiledMember):
        inside = None if roi is None else roi.positions(shape.height, shape.width)
        return NormalImages(
            train,
            sets["validation"],
            sets["calibration"],
            roi=roi,
            train_inside=inside,
            validation_inside=inside,
        )
    tiling = member.tiling
    tiles = Tiles(train, tiling).sample(TRAINING_PIXELS, seed)
    validation = Tiles(sets["validation"], tiling).sample(VALIDATION_PIXELS, seed)
    of_tiles = None if roi is None else roi.tile_positions(tiling, shape.height, shape.width)
    return NormalImages(
        tiles[:],
        sets["validation"],
        sets["calibration"],
        tiling=tiling,
        validation_tiles=validation[:],
        roi=roi,
        train_inside=None if of_tiles is None else of_tiles[tiles.numbers],
        validation_inside=None if of_tiles is None else of_tiles[validation.numbers],
    )
