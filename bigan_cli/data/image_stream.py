"""Training images that are read again in every epoch, since they fit neither in memory nor on disk.

They are stored in blocks, such as runs of images in a tar shard. Blocks are cut into pieces, and
the pieces that are in the buffer together are a window. An epoch reads all pieces in random order,
window by window, and takes the images of a window in random order. Which images these are depends
on the seed alone: where a piece comes from, and whether it is in the cache, changes nothing. An
image that cannot be read is replaced by another one, so that the number of images, and with it all
that follows, does not depend on reading them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape, Items
from bigan_cli.data.block_cache import BlockCache
from bigan_cli.data.decode import PREPROCESSING, read_image
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.load import name_of
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.data.unreadable import UnreadableImage

Index = NDArray[np.int64]

# A window has at least this many pieces, so that its images are from different places.
_LEAST_PIECES = 8


class ImageStream:
    """The images of some blocks, cut into pieces of which several fit into the buffer.

    Args:
        items: All images, with their blocks.
        chosen: int64, the sorted indices of the images of this stream.
        options: How files are read.
        buffer: Bytes of the buffer.
        cache: Keeps decoded pieces.
        replacements: Images that are taken in place of those that cannot be read, uint8
            ``[M, C, H, W]``; all images are brought to their shape.
        roi: The pixels outside of this region get one value.
        workers: Number of threads; 0 for one per core, at most 8.
    """

    def __init__(
        self,
        items: Items,
        chosen: Index,
        options: DecodeOptions,
        buffer: int,
        cache: BlockCache,
        replacements: NDArray[np.uint8],
        roi: RegionOfInterest | None = None,
        workers: int = 0,
    ) -> None:
        if items.blocks is None:
            raise ValueError("these images are not stored in blocks")
        self.shape = ImageShape(*replacements.shape[1:])
        self.cache = cache
        self._items = items
        self._versions = items.blocks.versions
        self._chosen = chosen
        self._options = options
        self._roi = roi
        self._buffer = buffer
        self._replacements = replacements
        self._lock = threading.Lock()
        self._unreadable: dict[int, str] = {}
        self._reported = 0
        self._incomplete: set[int] = set()
        self._workers = workers
        # [P, 3]: the block of each piece, its first image and the end; [P, 2]: the first and the
        # end of its images in *chosen*; and [P]: their number.
        pieces = _cut(items.blocks.bounds, max(1, buffer // self.image_bytes // _LEAST_PIECES))
        rows = np.searchsorted(chosen, pieces[:, 1:])
        used = rows[:, 1] > rows[:, 0]
        self._pieces, self._rows = pieces[used], rows[used]
        self._counts = self._rows[:, 1] - self._rows[:, 0]

    def __len__(self) -> int:
        return len(self._chosen)

    @property
    def image_bytes(self) -> int:
        """The bytes of one image in memory."""
        return math.prod((self.shape.channels, self.shape.height, self.shape.width))

    def count(self, pieces: Index) -> int:
        """Return the number of images in some pieces."""
        return int(self._counts[pieces].sum())

    def windows(self, seed: int, image_bytes: int | None = None) -> Iterator[Index]:
        """Yield the numbers of the pieces of each window, int64 ``[K]``; each piece is in one.

        Args:
            seed: Decides their order.
            image_bytes: What is kept of an image takes so much; by default its pixels are kept.
        """
        most = max(1, self._buffer // (image_bytes or self.image_bytes))
        order = np.random.default_rng(seed).permutation(len(self._pieces))
        start = held = 0
        for end, count in enumerate(self._counts[order].tolist()):
            if held and held + count > most:
                yield np.sort(order[start:end])  # in the order that they are stored in
                start, held = end, 0
            held += count
        yield np.sort(order[start:])

    def key(self, piece: int, *more: str) -> str:
        """Return the key in the cache of the images of a piece, or of what *more* says of them."""
        block, first, stop = self._pieces[piece].tolist()
        chosen = self._images_of(piece)
        described = [
            self._versions[block],
            [first, stop, _digest(chosen)],
            [PREPROCESSING, str(self.shape), self._options.sample_bits, self._options.keep_aspect],
            "" if self._roi is None else _digest(np.packbits(self._roi.inside)),
            more,
        ]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()

    def rows(self, pieces: Index) -> list[slice]:
        """Return the rows of each of some pieces in an array of the images of all of them."""
        ends = np.cumsum([0, *self._counts[pieces]]).tolist()
        return [slice(start, end) for start, end in pairwise(ends)]

    def load(self, pieces: Index, own: slice = slice(None)) -> NDArray[np.uint8]:
        """Return the images of some pieces, uint8 ``[N, C, H, W]``, in the order of the pieces.

        Args:
            pieces: Their numbers.
            own: Which of the pieces are read; the images of others are undefined.

        Raises:
            DataError: A block cannot be read; the message names it.
        """
        shape = self.shape
        out = np.empty((self.count(pieces), shape.channels, shape.height, shape.width), np.uint8)

        def fill(piece: int, rows: slice) -> None:
            out[rows] = self.load_piece(piece)

        with self.pool() as pool:
            for _ in pool.map(fill, pieces.tolist()[own], self.rows(pieces)[own]):
                pass
        return out

    def load_piece(self, piece: int, *, keep: bool = True) -> NDArray[np.uint8]:
        """Return the images of one piece, from the cache if they are there.

        Args:
            piece: Its number.
            keep: Whether they are stored in the cache.

        Raises:
            DataError: The block cannot be read; the message names it.
        """
        key = self.key(piece)
        found = self.cache.load(key, np.uint8)
        if found is None:
            found = self._decode(piece)
            if keep and self.is_complete(piece):
                self.cache.store(key, found)
        return found

    def is_complete(self, piece: int) -> bool:
        """Return whether no image of a piece that was read is replaced; others are not cached."""
        return piece not in self._incomplete

    def new_unreadable(self) -> list[tuple[str, str]]:
        """Return the names and reasons of images found to be unreadable since the last call."""
        found = self.take_unreadable()
        return [(name_of(self._items, index), reason) for index, reason in sorted(found)]

    def take_unreadable(self) -> list[tuple[int, str]]:
        """Return the indices and reasons that :meth:`new_unreadable` would return as names."""
        with self._lock:
            found = list(self._unreadable.items())[self._reported :]
            self._reported += len(found)
        return found

    def add_unreadable(self, found: Iterable[tuple[int, str]]) -> None:
        """Add images that another process has found to be unreadable."""
        with self._lock:
            for index, reason in found:
                self._unreadable.setdefault(index, reason)

    def pool(self) -> ThreadPoolExecutor:
        """Return new threads to read pieces with."""
        return ThreadPoolExecutor(self._workers or min(8, os.cpu_count() or 1), "blocks")

    def _images_of(self, piece: int) -> Index:
        first, last = self._rows[piece]
        return self._chosen[first:last]

    def _decode(self, piece: int) -> NDArray[np.uint8]:
        _, first, stop = self._pieces[piece].tolist()
        chosen = self._images_of(piece).tolist()
        raw = self._items.images[first:stop]
        pixels = np.empty(
            (len(chosen), self.shape.channels, self.shape.height, self.shape.width), np.uint8
        )
        for row, index in enumerate(chosen):
            try:
                pixels[row] = read_image(raw[index - first], self.shape, self._options)
            except UnreadableImage as error:
                pixels[row] = self._replacements[index % len(self._replacements)]
                with self._lock:
                    self._unreadable.setdefault(index, error.reason)
                    self._incomplete.add(piece)
        return pixels if self._roi is None else self._roi.fill(pixels)


def _cut(bounds: Index, most: int) -> Index:
    """Return (block, first image, end) of pieces of at most *most* images, int64 ``[P, 3]``."""
    pieces = [
        (block, start, min(start + most, stop))
        for block, (first, stop) in enumerate(pairwise(bounds.tolist()))
        for start in range(first, stop, most)
    ]
    return np.array(pieces, np.int64).reshape(-1, 3)


def _digest(array: NDArray[np.generic]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()
