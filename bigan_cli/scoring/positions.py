"""Which positions of maps are in the region of interest; see :mod:`..data.region_of_interest`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d


def inside_of(inside: NDArray[np.bool_], maps: Tensor) -> Tensor:
    """Return the positions inside at the size of *maps* ``[N, ..., h, w]``.

    Args:
        inside: bool ``[h', w']`` for all maps alike, or ``[N, h', w']``.
        maps: Their last two axes are the positions.

    Returns:
        bool ``[1, h, w]`` or ``[N, h, w]``.
    """
    rows = torch.from_numpy(inside if inside.ndim == 3 else inside[None])
    return resized(rows, (maps.shape[-2], maps.shape[-1])).to(maps.device)


def resized(inside: Tensor, size: tuple[int, int]) -> Tensor:
    """Return bool ``[N, h, w]`` at another size: inside where any position of the cell is."""
    if inside.shape[1:] == size:
        return inside
    return adaptive_max_pool2d(inside.float(), size).bool()


def zero_outside(maps: Tensor, inside: Tensor | None) -> Tensor:
    """Return maps ``[N, h, w]`` with 0 outside; unchanged without a region of interest."""
    return maps if inside is None else maps.masked_fill(~inside, 0)


def vectors_inside(maps: Tensor, inside: Tensor) -> Tensor:
    """Return the vectors inside, ``[M, K, 1, 1]``, of feature maps ``[N, K, h, w]``."""
    counted = inside.expand(len(maps), *maps.shape[2:])
    return maps.movedim(1, -1)[counted][:, :, None, None]
