"""The image shape of a run: from the settings, otherwise from the images."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from bigan_cli.contracts import SMALLEST_SIDE, ImageShape, Items
from bigan_cli.data.image_file import DEFAULTS, DecodeOptions, open_source
from bigan_cli.data.pillow_image import GREY_MODES
from bigan_cli.data.unreadable import UnreadableImage, why_unreadable

if TYPE_CHECKING:
    from bigan_cli.contracts import RawImage

DEFAULT_SIDE = 64
_SAMPLE = 64
_MULTIPLE = 16
# Number of headers read in search of colour; takes a few seconds.
_SEARCHED = 20_000
_CHUNK = 64


def find_shape(
    items: Items,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    options: DecodeOptions = DEFAULTS,
) -> ImageShape:
    """Return the image shape of a run: from the settings, otherwise from the images.

    Only the headers of files are read. The size is that of a sample of at most 64 images if all
    have the same size of at most 64 pixels per side, else 64x64. There is one channel if all
    images are grey (of more than 20,000 files, a sample of that size), else three.

    Args:
        items: Images of any kind; at least one.
        size: Side, or (height, width), in pixels; None to find it.
        channels: 1, 3 or 4; None to find it.
        options: Settings of the run.

    Raises:
        UnreadableImage: None of the sampled images can be read.
    """
    wanted = (size, size) if isinstance(size, int) else size
    if wanted is not None and channels is not None:
        return ImageShape(channels, *wanted)
    looks = _sample_looks(items, options)
    if wanted is None:
        sizes = {look[:2] for look in looks}
        height, width = sizes.pop() if len(sizes) == 1 else (DEFAULT_SIDE, DEFAULT_SIDE)
        if max(height, width) > DEFAULT_SIDE:
            height = width = DEFAULT_SIDE
        wanted = (max(height, SMALLEST_SIDE), max(width, SMALLEST_SIDE))
    if channels is None:
        grey = all(grey for _, _, grey in looks) and not _any_colour(items, options)
        channels = 1 if grey else 3
    return ImageShape(channels, *wanted)


def find_tiled_shape(
    items: Items,
    size: int | None = None,
    channels: int | None = None,
    options: DecodeOptions = DEFAULTS,
) -> ImageShape:
    """Return the shape to bring images to that are cut into tiles: their own, as far as possible.

    It is the median of a sample of at most 64 images, reduced or enlarged where *size* is given.

    Args:
        items: Images of any kind; at least one.
        size: The shorter side, in pixels, where given.
        channels: 1, 3 or 4, where given; else as :func:`find_shape`.
        options: Settings of the run.

    Raises:
        UnreadableImage: None of the sampled images can be read.
    """
    looks = _sample_looks(items, options, upright=True)
    height, width = (statistics.median_low(look[side] for look in looks) for side in (0, 1))
    scale = size / min(height, width) if size else 1.0
    found = [max(round(side * scale), SMALLEST_SIDE) for side in (height, width)]
    return find_shape(items, (found[0], found[1]), channels, options)


def find_aspect_shape(
    items: Items,
    size: int,
    channels: int | None = None,
    options: DecodeOptions = DEFAULTS,
) -> ImageShape:
    """Return the shape with *size* as the shorter side, in the aspect ratio of the images.

    The longer side is rounded to a multiple of 16, a position of the feature maps of photographs.

    Args:
        items: Images of any kind; at least one.
        size: The shorter side, in pixels.
        channels: 1, 3 or 4, where given; else as :func:`find_shape`.
        options: Settings of the run.

    Raises:
        UnreadableImage: None of the sampled images can be read.
    """
    looks = _sample_looks(items, options, upright=True)
    aspect = statistics.median(look[1] / look[0] for look in looks)
    longer = max(size, round(size * max(aspect, 1 / aspect) / _MULTIPLE) * _MULTIPLE)
    wanted = (size, longer) if aspect >= 1 else (longer, size)
    return find_shape(items, wanted, channels, options)


def sample_sizes(items: Items, options: DecodeOptions = DEFAULTS) -> list[tuple[int, int]]:
    """Return (height, width) of a sample of at most 64 upright images, before resizing.

    Raises:
        UnreadableImage: None of the sampled images can be read.
    """
    return [look[:2] for look in _sample_looks(items, options, upright=True)]


def _spread(count: int, most: int) -> list[int]:
    """Return at most *most* of the positions 0 to *count* - 1, evenly spaced."""
    chosen: list[int] = np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)).tolist()
    return chosen


def _sample_looks(
    items: Items, options: DecodeOptions, *, upright: bool = False
) -> list[tuple[int, int, bool]]:
    """Return (height, width, whether grey) of a sample of *items*; see :func:`_look`."""
    images = items.images
    if isinstance(images, np.ndarray):
        return [_look(images[0], options)]
    looks: list[tuple[int, int, bool]] = []
    unreadable: UnreadableImage | None = None
    for i in _spread(len(images), _SAMPLE):
        try:
            looks.append(_look(images[i], options, upright=upright))
        except UnreadableImage as error:
            unreadable = unreadable or error
    if not looks and unreadable is not None:
        raise unreadable
    return looks


def _any_colour(items: Items, options: DecodeOptions) -> bool:
    """Return whether one of the images is in colour; unreadable ones are not."""
    images = items.images
    # A plugin's images may be slow to create; it can declare their shape.
    if isinstance(images, np.ndarray) or not isinstance(images[0], os.PathLike):
        return False
    places = _spread(len(images), _SEARCHED)
    chunks = [places[i : i + _CHUNK] for i in range(0, len(places), _CHUNK)]

    def any_colour(chunk: Sequence[int]) -> bool:
        return any(not grey for grey in _greys((images[i] for i in chunk), options))

    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        return any(pool.map(any_colour, chunks))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _greys(images: Iterable[RawImage], options: DecodeOptions) -> Iterator[bool]:
    for raw in images:
        try:
            yield _look(raw, options)[2]
        except UnreadableImage:  # reported when it is decoded
            continue


def _look(raw: RawImage, options: DecodeOptions, *, upright: bool = False) -> tuple[int, int, bool]:
    """Return (height, width, whether grey) of an image.

    Those of a large image that is to be turned are exchanged only if *upright*.
    """
    if isinstance(raw, np.ndarray):
        return raw.shape[0], raw.shape[1], raw.ndim == 2 or raw.shape[2] == 1
    if isinstance(raw, Image.Image):
        return raw.height, raw.width, raw.mode in GREY_MODES
    try:
        with open_source(raw, options) as source:
            width, height = source.size
            # find_shape adopts small sides only; and a PNG may state its orientation
            # after its pixels, so that asking for it decodes the image.
            small = max(source.size) <= DEFAULT_SIDE
            matters = width != height and (upright or small)
            if matters and source.orientation >= 5:
                width, height = height, width
            return height, width, source.is_grey
    except Exception as error:
        path = None if isinstance(raw, bytes) else raw
        raise UnreadableImage(why_unreadable(error), path) from error
