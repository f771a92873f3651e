"""The recipe that suits images by their sizes: small images, or photographs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias
from warnings import catch_warnings, simplefilter

from bigan_cli.image_files import PILLOW_FORMATS, walk_all

if TYPE_CHECKING:
    from bigan_cli.contracts import RawImage

Recipe: TypeAlias = tuple[Mapping[str, Mapping[str, Any]], str]
Size: TypeAlias = tuple[int, int]

SAMPLE = 64
"""Largest number of images whose size is read; from headers it takes a fraction of a second."""

# Largest number of files to sample from.
_FILES = 4096
# Images up to this side are trained on without resizing.
_SMALL_SIDE = 64
# The short side of a resized photograph is between these: its own, down to a multiple. Small
# defects are lost below, large ones take longer to find above, and so does everything else.
_LEAST_SIDE, _MOST_SIDE = 256, 384
_MULTIPLE = 16
_LARGEST_SIDE = 1024

# From this short side on, a reduced photograph may well have lost its defects.
_LARGE_SIDE = 1024

_PHOTOGRAPHS: Mapping[str, Mapping[str, Any]] = {"model": {"architecture": "features"}}
# At every save all tiles of the calibration images are looked at, so the end is soon enough.
_TILES: Mapping[str, Mapping[str, Any]] = {**_PHOTOGRAPHS, "output": {"save_interval": 10}}
# With 100 small images an epoch is one or two steps, and many more passes overfit:
# docs/results.md.
_PICTURES: Mapping[str, Mapping[str, Any]] = {"train": {"min_epoch_steps": 4}}


def recipe_for_folder(root: Path, architecture: str | None, tile: int | None = None) -> Recipe:
    """Return the recipe for the images under *root*, as :func:`recipe_for_sizes` does.

    Args:
        root: The folder; if it cannot be read, the dataset reports it later.
        architecture: The architecture chosen by the user, or None.
        tile: The side of the tiles chosen by the user, or None.
    """
    paths = [path for path in islice(walk_all(root), _FILES) if isinstance(path, Path)]
    return recipe_for(paths, architecture, tile)


def recipe_for(
    images: Sequence[RawImage], architecture: str | None, tile: int | None = None
) -> Recipe:
    """Return the recipe for *images*, as :func:`recipe_for_sizes` does; of files, by their headers.

    Args:
        images: Unreadable ones are left out.
        architecture: The architecture chosen by the user, or None.
        tile: The side of the tiles chosen by the user, or None.
    """
    return recipe_for_sizes(partial(_sample_sizes, images), architecture, tile)


def recipe_for_sizes(
    sample_sizes: Callable[[], Sequence[Size]],
    architecture: str | None,
    tile: int | None = None,
    *,
    can_tile: bool = True,
) -> Recipe:
    """Return config tables that suit images of some sizes, and the reason in one line.

    Images whose short side is more than 64 pixels, by the median of a sample, are photographs:
    they get the architecture ``features``. Their short side is kept from 256 to 384 pixels, and
    resized to these otherwise, in the most common aspect ratio; others are padded. Those that are
    cut into tiles are not resized.

    Args:
        sample_sizes: Returns (width, height) of a sample of the images; called where they matter.
        architecture: The architecture chosen by the user, or None.
        tile: The side of the tiles chosen by the user, or None.
        can_tile: Whether tiles may be recommended.
    """
    if architecture not in (None, "features"):
        return _PICTURES, ""
    sizes = sample_sizes()
    if not sizes:
        return _PICTURES, ""
    short = statistics.median(min(size) for size in sizes)
    if short <= _SMALL_SIDE and architecture is None:
        return _PICTURES, ""
    found = statistics.median(width for width, _ in sizes)
    photographs = f"photographs (about {found:.0f} pixels wide): features of a pretrained network"
    if tile is not None:
        return _TILES, "" if architecture else f"{photographs} on tiles of {tile} pixels"
    side = _side(short)
    height, width = _resized(statistics.median(width / height for width, height in sizes), side)
    tables = {**_PHOTOGRAPHS, "data": {"image_size": [height, width], "keep_aspect": True}}
    reason = (
        f"{photographs}, by default at {height}x{width} pixels; 'model.architecture' and "
        "'data.image_size' choose otherwise"
    )
    if short > _LARGE_SIDE:
        reason += f". Details of fewer than {round(short / side)} of the original pixels are lost"
        if can_tile:
            reason += (
                "; 'data.tile=256' looks at the images in full size, which takes about "
                f"{round((short / side) ** 2)} times as long"
            )
    return tables, "" if architecture else reason


def _side(short: float) -> int:
    """Return the short side to resize to, for one of *short* pixels."""
    return min(max(int(short) // _MULTIPLE * _MULTIPLE, _LEAST_SIDE), _MOST_SIDE)


def _resized(aspect: float, side: int) -> tuple[int, int]:
    """Return (height, width) with a short side of *side* pixels for width / height = *aspect*."""
    long = max(aspect, 1 / aspect) * side
    long = min(round(long / _MULTIPLE) * _MULTIPLE, _LARGEST_SIDE)
    return (side, long) if aspect >= 1 else (long, side)


def _sample_sizes(images: Sequence[RawImage]) -> list[Size]:
    """Return (width, height) of a sample of images; of files, from their headers."""
    step = max(1, len(images) // SAMPLE)
    sizes = (size_of(image) for image in images[::step][:SAMPLE])
    return [size for size in sizes if size is not None]


def size_of(image: RawImage | IO[bytes]) -> Size | None:
    """Return (width, height) of an image, of a file from its header; None if it is unreadable."""
    import numpy as np
    from PIL import Image

    if isinstance(image, Image.Image):
        return image.size
    if isinstance(image, np.ndarray):
        return image.shape[1], image.shape[0]
    if isinstance(image, Path) and not image.is_file():  # opening a named pipe would block
        return None
    try:
        with catch_warnings():
            simplefilter("ignore", Image.DecompressionBombWarning)  # nothing is decoded
            file = BytesIO(image) if isinstance(image, bytes) else image
            with Image.open(file, formats=PILLOW_FORMATS) as opened:
                return opened.size
    except Exception:  # noqa: BLE001  reported when the image is decoded
        return None
