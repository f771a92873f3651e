"""Tiles: large images cut into overlapping parts, and maps of the parts stitched together.

The networks see one tile at a time, at the image's full resolution. This is arithmetic on shapes
and arrays alone; it knows nothing of networks or files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape

# Pixels of the tiles that networks are trained on: about as many as 1,000 of 256x256.
TRAINING_PIXELS = 1024 * 256 * 256
# A quarter of that shows how training goes, and what maps of normal tiles look like.
VALIDATION_PIXELS = TRAINING_PIXELS // 4

S = TypeVar("S", np.float32, np.float64)
P = TypeVar("P", np.uint8, np.bool_)
Index = NDArray[np.int64]

# Neighbours share at least this part of their side: what one cuts off at its border, the other
# sees with its surroundings.
_OVERLAP = 1 / 8


@dataclass(frozen=True)
class Tiling:
    """How images of one shape are cut into tiles of one shape, evenly spread.

    Tiles are numbered row by row. Neighbours overlap by an eighth of their side or more.

    Attributes:
        image: The shape of the images.
        tile: The shape of the tiles; no side is larger than the image's.
        inside: bool ``[H, W]``, the pixels that count; tiles without any are left out. None if
            all pixels count.
    """

    image: ImageShape
    tile: ImageShape
    inside: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(
        cls, image: ImageShape, side: int | None, inside: NDArray[np.bool_] | None = None
    ) -> Tiling | None:
        """Return the tiling with square tiles of *side*, as far as the image reaches.

        None where there is no *side*.
        """
        if side is None:
            return None
        height, width = min(side, image.height), min(side, image.width)
        return cls(image, ImageShape(image.channels, height, width), inside)

    def __len__(self) -> int:
        return len(self._corners)

    @cached_property
    def _tops(self) -> list[int]:
        return _starts(self.image.height, self.tile.height)

    @cached_property
    def _lefts(self) -> list[int]:
        return _starts(self.image.width, self.tile.width)

    @cached_property
    def _corners(self) -> list[tuple[int, int]]:
        return [
            (top, left) for top in self._tops for left in self._lefts if self._counts(top, left)
        ]

    def _counts(self, top: int, left: int) -> bool:
        """Return whether any pixel of a tile counts."""
        if self.inside is None:
            return True
        part = self.inside[top : top + self.tile.height, left : left + self.tile.width]
        return bool(part.any())

    def cut(self, image: NDArray[P], number: int) -> NDArray[P]:
        """Return one tile ``[C, h, w]`` of an image ``[C, H, W]``, as a view of it."""
        top, left = self._corners[number]
        return image[:, top : top + self.tile.height, left : left + self.tile.width]

    def stitch(self, maps: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the map of an image from those of its tiles.

        Where tiles overlap it is their weighted mean; the weight of a tile falls towards its
        border. All tiles are needed, but only one batch of them in memory at a time. Where no
        tile is, the map is 0.

        Args:
            maps: Batches float32 ``[n, ..., h, w]`` of the maps of all tiles, in order.

        Returns:
            float32 ``[..., H, W]``.
        """
        stitched = np.empty(0, np.float32)
        weights = self._weights()
        corners = iter(self._corners)
        for number, heat in enumerate(each for batch in maps for each in batch):
            if not number:
                size = (self.image.height, self.image.width)
                stitched = np.zeros((*heat.shape[:-2], *size), np.float32)
            top, left = next(corners)
            weight = next(weights)
            stitched[..., top : top + heat.shape[-2], left : left + heat.shape[-1]] += weight * heat
        return stitched

    def _weights(self) -> Iterator[NDArray[np.float32]]:
        """Yield the weights ``[h, w]`` of each tile; at every pixel that counts they sum to 1."""
        down = _shares(self._tops, self.tile.height, self.image.height)
        across = _shares(self._lefts, self.tile.width, self.image.width)
        for top, one in zip(self._tops, down, strict=True):
            for left, other in zip(self._lefts, across, strict=True):
                if self._counts(top, left):
                    yield np.outer(one, other)

    def largest(self, values: NDArray[S]) -> NDArray[S]:
        """Return the largest value of each image, ``[N]``, from those of all tiles ``[N * T]``."""
        largest: NDArray[S] = values.reshape(-1, len(self)).max(axis=1)
        return largest


class Tiles:
    """Tiles of images, cut when they are indexed: the images may be mapped from a file.

    Args:
        images: uint8 ``[N, C, H, W]`` of the tiling's image shape.
        tiling: How they are cut.
        chosen: Which tiles, of all ``N * T``; by default all of them, image by image.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, images: NDArray[np.uint8], tiling: Tiling, chosen: Index | None = None
    ) -> None:
        self._images = images
        self._tiling = tiling
        self._chosen = np.arange(len(images) * len(tiling)) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    @property
    def numbers(self) -> Index:
        """Which tile of its image each is, int64 ``[n]``."""
        return self._chosen % len(self._tiling)

    def __getitem__(self, index: slice | Index) -> NDArray[np.uint8]:
        shape = self._tiling.tile
        chosen = self._chosen[index]
        tiles = np.empty((len(chosen), shape.channels, shape.height, shape.width), np.uint8)
        for row, place in enumerate(chosen.tolist()):
            image, number = divmod(place, len(self._tiling))
            tiles[row] = self._tiling.cut(self._images[image], number)
        return tiles

    def sample(self, pixels: int, seed: int) -> Tiles:
        """Return tiles of about *pixels* pixels in total.

        They are chosen at random, as many of each image, and at least one.
        """
        images, each = len(self._images), len(self._tiling)
        most = pixels // (self._tiling.tile.height * self._tiling.tile.width)
        share = min(max(1, most // max(images, 1)), each)
        order = np.random.default_rng(seed).permuted(np.tile(np.arange(each), (images, 1)), axis=1)[
            :, :share
        ]
        chosen = np.sort(order, axis=1) + each * np.arange(images)[:, None]
        return Tiles(self._images, self._tiling, chosen.reshape(-1))


def _starts(length: int, side: int) -> list[int]:
    """Return where tiles of *side* start, the first at 0 and the last at the end of *length*."""
    step = side - math.ceil(side * _OVERLAP)
    number = 1 + math.ceil((length - side) / step)
    return [round(start) for start in np.linspace(0, length - side, number).tolist()]


def _shares(starts: list[int], side: int, length: int) -> list[NDArray[np.float32]]:
    """Return the weights of tiles along one side; at every pixel they add up to 1."""
    ramp = math.ceil(side * _OVERLAP)
    position = np.arange(side)
    profile = np.minimum(np.minimum(position + 1, side - position), ramp).astype(np.float64)
    total = np.zeros(length)
    for start in starts:
        total[start : start + side] += profile
    return [(profile / total[start : start + side]).astype(np.float32) for start in starts]
