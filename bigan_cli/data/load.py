"""Loading of many images into one array, in threads, with a disk cache for large sets."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape, Items
from bigan_cli.data.cache import cached, files_key
from bigan_cli.data.decode import SourceFormat, read_with_format
from bigan_cli.data.image_file import DEFAULTS, DecodeOptions
from bigan_cli.data.memory import resident_bytes
from bigan_cli.data.raster import hide_invisible
from bigan_cli.data.unreadable import UnreadableImage, list_unreadable
from bigan_cli.errors import DataError

Pixels = NDArray[np.uint8]
Index = NDArray[np.int64]
Advance = Callable[[int], None]
Notices = Counter[str]

CACHED_FILES = 500
"""Number of files from which decoded images are cached on disk."""

_CHUNK = 32
# Where images that cannot be read are left out, so many are: of more, something else is wrong.
_MOST_LEFT_OUT = 0.1


def load_items(
    items: Items,
    index: Index,
    shape: ImageShape,
    workers: int = 0,
    advance: Advance | None = None,
    options: DecodeOptions = DEFAULTS,
    notices: Notices | None = None,
    unreadable: dict[int, str] | None = None,
) -> Pixels:
    """Return the images at *index* of *items* as uint8 ``[N, C, H, W]`` of *shape*, in memory.

    An array of the right shape is only indexed. Everything else is decoded by a few threads
    (Pillow releases the interpreter lock).

    Args:
        items: The images.
        index: Indices of the images to load, in order.
        shape: Shape of the result.
        workers: Number of threads; 0 for one per core, at most 8.
        advance: Called with the number of images decoded since the last call.
        options: How files are read.
        notices: Counts notes for the user on how images were read.
        unreadable: Receives the index and the reason of each image that cannot be read, whose
            row is undefined. By default such an image is an error.

    Raises:
        DataError: Some images cannot be read, or too many to leave them out; the message says
            how many and names the first.
    """
    images = items.images
    if isinstance(images, np.ndarray) and _fits(images, shape):
        chosen = images[index]
        return chosen[:, None] if chosen.ndim == 3 else hide_invisible(_channels_first(chosen))
    out = np.empty(_stacked(index, shape), np.uint8)
    _decode(items, index, out, workers, advance, options, notices, unreadable)
    return out


def load_cached(
    items: Items,
    index: Index,
    shape: ImageShape,
    workers: int = 0,
    advance: Advance | None = None,
    options: DecodeOptions = DEFAULTS,
    notices: Notices | None = None,
) -> Pixels:
    """As :func:`load_items`, but decode files only if they are not in the disk cache.

    Returns:
        The array, memory-mapped and read-only; or in memory, if the disk is full.

    Raises:
        DataError: Some images cannot be read, or fit neither in memory nor on disk.
    """

    def fill(out: Pixels) -> None:
        _decode(items, index, out, workers, advance, options, notices)

    full = _stacked(index, shape)
    try:
        paths = [path for i in index if isinstance(path := items.images[int(i)], Path)]
        return cached(files_key(paths, shape, options, workers), full, fill)
    except OSError as error:
        if math.prod(full) <= resident_bytes():
            return load_items(items, index, shape, workers, advance, options, notices)
        raise DataError(
            f"the decoded images fit neither in memory nor on the disk of the cache: {error}",
            "choose a smaller --image-size or fewer images",
        ) from error


def is_worth_caching(items: Items, shape: ImageShape) -> bool:
    """Return whether *items* are files, and many or large."""
    images = items.images
    if isinstance(images, np.ndarray) or not len(items):
        return False
    bytes_ = len(items) * math.prod((shape.channels, shape.height, shape.width))
    many = len(items) >= CACHED_FILES or bytes_ > resident_bytes()
    # Indexing an image that is not a file may decode it: check one before checking all.
    return many and isinstance(images[0], Path) and all(isinstance(p, Path) for p in images)


def _stacked(index: Index, shape: ImageShape) -> tuple[int, int, int, int]:
    return (len(index), shape.channels, shape.height, shape.width)


def _fits(images: NDArray[np.uint8], shape: ImageShape) -> bool:
    grey = images.ndim == 3 or images.shape[3] == 1
    channels = 1 if grey else images.shape[3]
    same = (channels, *images.shape[1:3]) == (shape.channels, shape.height, shape.width)
    return same and images.dtype == np.uint8


def _channels_first(images: Pixels) -> Pixels:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _decode(
    items: Items,
    index: Index,
    out: Pixels,
    workers: int,
    advance: Advance | None,
    options: DecodeOptions,
    notices: Notices | None,
    unreadable: dict[int, str] | None = None,
) -> None:
    """Decode every image into its row of *out*, then report all failures at once."""
    shape = ImageShape(*out.shape[1:])

    def decode(start: int) -> list[tuple[int, UnreadableImage]]:
        failed = []
        for row in range(start, min(start + _CHUNK, len(index))):
            try:
                out[row], found = read_with_format(items.images[int(index[row])], shape, options)
                remarks[row] = _remarks(found, shape)
            except UnreadableImage as error:
                failed.append((row, error))
        return failed

    remarks: dict[int, tuple[str, ...]] = {}
    failed: list[tuple[int, UnreadableImage]] = []
    starts = range(0, len(index), _CHUNK)
    pool = ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1))
    try:
        for start, bad in zip(starts, pool.map(decode, starts), strict=True):
            failed += bad
            if advance is not None:
                advance(min(_CHUNK, len(index) - start))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if failed and (unreadable is None or len(failed) > _MOST_LEFT_OUT * len(index)):
        raise _unreadable(items, index, failed)
    if unreadable is not None:
        unreadable.update((int(index[row]), error.reason) for row, error in failed)
    if notices is not None:
        notices.update(chain.from_iterable(remarks.values()))


def _remarks(found: SourceFormat, shape: ImageShape) -> tuple[str, ...]:
    if shape.channels == 1 and found.channels == 3:
        return (*found.remarks, "in colour, read as grey")
    return found.remarks


def _unreadable(
    items: Items, index: Index, failed: Sequence[tuple[int, UnreadableImage]]
) -> DataError:
    named = [(name_of(items, int(index[row])), error.reason) for row, error in failed]
    if len(failed) == 1:
        return DataError(
            f"cannot read {list_unreadable(named)}",
            "remove or fix this file",
        )
    return DataError(
        f"cannot read {len(failed)} of {len(index)} images: {list_unreadable(named)}",
        "remove or fix these files",
    )


def name_of(items: Items, i: int) -> str:
    """Return the path of an image, or else its name."""
    raw = None if items.blocks is not None else items.images[i]  # of a block it would be read
    if isinstance(raw, Path):
        return str(raw)
    return items.names[i] if items.names is not None else f"image {i}"
