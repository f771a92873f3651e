"""The region of interest of a run, from a mask image or from polygons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bigan_cli.contracts import ImageShape, Items
from bigan_cli.data.find_shape import sample_sizes
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.mask_file import read_marked
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.data.source_size import same_aspect_ratio
from bigan_cli.data.unreadable import why_unreadable
from bigan_cli.errors import DataError, UsageError
from bigan_cli.missing_paths import is_missing, missing_path

Polygons = Sequence[Sequence[tuple[float, float]]]
Size = tuple[int, int]


def read_region(
    source: Path | Polygons | None, items: Items, shape: ImageShape, options: DecodeOptions
) -> RegionOfInterest | None:
    """Return the region of interest, or None if *source* is None.

    Args:
        source: A mask image, in which bright pixels are inside, by the rule of ground-truth
            masks; or polygons of at least three points [x, y], in pixels of upright images.
        items: The images to train on; the headers of a sample are read.
        shape: The shape that images are resized to.
        options: How files are read.

    Raises:
        DataError: The mask cannot be read, or has another aspect ratio than the images.
        UsageError: A polygon leaves the images, or nothing is inside.
        UnreadableImage: None of the sampled images can be read.
    """
    if source is None:
        return None
    sizes = sorted(set(sample_sizes(items, options)))
    if isinstance(source, Path):
        mask = _read_mask(source, options)
        _check_size(source, (mask.shape[0], mask.shape[1]), sizes)
    else:
        mask = _draw(source, sizes)
    region = RegionOfInterest(mask, shape)
    if not mask.any():
        raise UsageError(
            "nothing is inside of the region of interest ('data.roi')",
            "in a mask, what counts is white; a polygon must enclose some pixels",
        )
    if not region.inside.any():
        raise UsageError(
            f"at {shape.height}x{shape.width} pixels nothing is left of the region of interest "
            "('data.roi')",
            "enlarge it, or raise 'data.image_size'",
        )
    return region


def _read_mask(path: Path, options: DecodeOptions) -> NDArray[np.bool_]:
    if is_missing(path):
        raise missing_path(path, "region of interest", "'data.roi' names an image")
    try:
        return read_marked(path, options)
    except Exception as error:  # Pillow raises various exceptions for damaged files
        raise DataError(
            f"cannot read the region of interest {path}: {why_unreadable(error)}",
            "'data.roi' names an image in which white is inside",
        ) from error


def _check_size(path: Path, mask: Size, sizes: Sequence[Size]) -> None:
    """Refuse a mask of another aspect ratio, up to a pixel of rounding."""
    for size in sizes:
        if not same_aspect_ratio(mask, size):
            raise DataError(
                f"the region of interest {path} is {_text(mask)}, but images are {_text(size)}",
                "draw the mask on one of the images, at its size or another of the same shape",
            )


def _draw(polygons: Polygons, sizes: Sequence[Size]) -> NDArray[np.bool_]:
    """Return the pixels of all polygons together."""
    if len(sizes) > 1:
        raise UsageError(
            f"the polygons of 'data.roi' are in pixels of images of one size, but there are "
            f"images of {_text(sizes[0])} and of {_text(sizes[-1])}",
            "give a mask image instead",
        )
    height, width = sizes[0]
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    for number, polygon in enumerate(polygons, 1):
        for x, y in polygon:
            if not (0 <= x <= width and 0 <= y <= height):
                raise UsageError(
                    f"polygon {number} of 'data.roi' has the point [{x:g}, {y:g}] outside of the "
                    f"images, which are {_text((height, width))}",
                    "points are [x, y] in pixels, from the upper left corner",
                )
        draw.polygon([(float(x), float(y)) for x, y in polygon], fill=1)
    return np.asarray(canvas).astype(np.bool_)


def _text(size: Size) -> str:
    return f"{size[1]} pixels wide and {size[0]} high"
