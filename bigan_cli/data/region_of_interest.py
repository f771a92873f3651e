"""The region of interest: which pixels of an image count, for images of any size.

It is arithmetic on masks alone; :mod:`bigan_cli.data.read_region` makes one from the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bigan_cli.contracts import ImageShape
from bigan_cli.data.tiles import Tiling

Mask = NDArray[np.bool_]

FILL = 127
"""The value of pixels outside: the middle grey, which is about 0 for the networks."""

# Weights of a resizing filter add up to 1 with rounding errors.
_ALL = 1 - 1e-4


@dataclass(frozen=True, eq=False)
class RegionOfInterest:
    """The pixels that count; what is outside changes no score and no map.

    Attributes:
        mask: bool ``[H, W]``, True inside; at the images' own size, or any other of their
            aspect ratio.
        shape: The shape that images are resized to.
    """

    mask: Mask
    shape: ImageShape

    @cached_property
    def inside(self) -> Mask:
        """The pixels of resized images that count, bool ``[H, W]``.

        Everything that such a pixel is computed from in resizing is inside of the mask. So at the
        border the region is narrower by up to one pixel.
        """
        height, width = self.shape.height, self.shape.width
        if self.mask.shape == (height, width):
            return self.mask
        share = Image.fromarray(self.mask.astype(np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        inside: Mask = np.asarray(share) > _ALL
        return inside

    def at_size(self, height: int, width: int) -> Mask:
        """Return the mask at another size, bool ``[height, width]``, by nearest neighbour."""
        if self.mask.shape == (height, width):
            return self.mask
        resized = Image.fromarray(self.mask).resize((width, height), Image.Resampling.NEAREST)
        return np.asarray(resized, np.bool_)

    def fill(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return resized images ``[..., H, W]`` with :data:`FILL` outside of the region."""
        return np.where(self.inside, pixels, np.uint8(FILL))

    def positions(self, height: int, width: int) -> Mask:
        """Return which positions of a map of the image count, bool ``[height, width]``.

        A position counts if any pixel of its cell does.
        """
        return _any_in_cells(self.inside, height, width)

    def tile_positions(self, tiling: Tiling, height: int, width: int) -> Mask:
        """Return which positions of maps of the T tiles count, bool ``[T, height, width]``."""
        image = self.inside[None]
        return np.stack(
            [
                _any_in_cells(tiling.cut(image, number)[0], height, width)
                for number in range(len(tiling))
            ]
        )


def _any_in_cells(mask: Mask, height: int, width: int) -> Mask:
    """Return whether a cell of a grid of *height* x *width* has any pixel of *mask*."""
    if mask.shape == (height, width):
        return mask
    rows = [mask[cell].any(axis=0) for cell in _cells(len(mask), height)]
    by_row = np.stack(rows)
    columns = [by_row[:, cell].any(axis=1) for cell in _cells(mask.shape[1], width)]
    return np.stack(columns, axis=1)


def _cells(length: int, number: int) -> list[slice]:
    """Return the parts that *length* is divided into, which touch all of it."""
    return [slice(i * length // number, -(-(i + 1) * length // number)) for i in range(number)]
