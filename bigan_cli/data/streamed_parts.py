"""The parts of a dataset whose training images are read again in every epoch.

The training images are a stream (:mod:`bigan_cli.data.image_stream`). The other parts, and a
sample of the training images, are in memory, so the number of their images is limited.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bigan_cli.config.schema import DataConfig
from bigan_cli.contracts import ImageShape, Items
from bigan_cli.data.block_cache import BlockCache
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.image_stream import ImageStream, Index
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.data.splits import LARGEST_PART
from bigan_cli.errors import UsageError
from bigan_cli.locations.cache_folder import cache_root

# Most bytes of the images of a part in memory; but this many images are always possible.
_PART_BYTES, _LEAST_PART = 128 * 2**20, 1_000
# The sample of the training images may be this many times as large.
_SAMPLE = 2


def streamable(config: DataConfig) -> DataConfig:
    """Return *config* with held-out calibration, the only one that streams allow.

    Raises:
        UsageError: It asks for tiles or for cross-fitting.
    """
    if config.tile is not None:
        raise _not_streamed("data.tile", config.dataset)
    if config.calibration == "cross-fitting":
        raise _not_streamed("data.calibration=cross-fitting", config.dataset)
    return config.model_copy(update={"calibration": "held-out"})


def bounded_parts(parts: Mapping[str, Index], shape: ImageShape, seed: int) -> dict[str, Index]:
    """Return the indices of the images of each part that are in memory: all, or a sample.

    Args:
        parts: Name of the part -> sorted indices of its images.
        shape: Shape of the images.
        seed: Decides the samples.
    """
    size = shape.channels * shape.height * shape.width
    most = min(LARGEST_PART, max(_LEAST_PART, _PART_BYTES // size))
    rng = np.random.default_rng(seed)
    bounded = {}
    for name in ("train", "validation", "calibration"):
        limit = most * _SAMPLE if name == "train" else most
        part = parts[name]
        chosen = rng.choice(len(part), limit, replace=False) if len(part) > limit else slice(None)
        bounded[name] = np.sort(part[chosen])
    return bounded


def make_stream(
    items: Items,
    chosen: Index,
    options: DecodeOptions,
    config: DataConfig,
    replacements: NDArray[np.uint8],
    roi: RegionOfInterest | None = None,
    workers: int = 0,
) -> ImageStream:
    """Return the stream of the images at *chosen* of *items*; see :class:`ImageStream`."""
    return ImageStream(
        items,
        chosen,
        options,
        config.shuffle_buffer_mb * 10**6,
        BlockCache(cache_root() / "blocks", config.block_cache_gb * 10**9),
        replacements,
        roi,
        workers,
    )


def _not_streamed(setting: str, dataset: str) -> UsageError:
    """Return the error for a *setting* that images which are read again do not allow."""
    return UsageError(
        f"'{setting}' needs all images in memory, and those of dataset {dataset} are read again "
        "in every epoch",
        "leave it out, or train on a folder with a sample of the images",
    )
