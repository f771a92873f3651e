"""Coreset selection: a subset of points such that no point is far from all selected ones.

PatchCore reduces its memory this way (Roth et al. 2022, arXiv 2106.08265, section 3.2): rare
kinds of normal images stay in it, while a random subset keeps mostly common ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Number of random directions for distances. The relative error of a distance has a standard
# deviation of 1 / sqrt(2 * 128), about 6 %, in a space of any dimension.
_DIRECTIONS = 128
# Points per block, so that there is no second copy of all of them.
_BLOCK = 1024


def coreset(
    points: Tensor,
    number: int,
    measured: Callable[[Tensor], Tensor],
    generator: torch.Generator,
) -> Tensor:
    """Return which of *points* to keep, int64 ``[number]``, in the order of their choice.

    Args:
        points: ``[N, K]``, on the CPU.
        number: 1 to N.
        measured: Maps points to the space whose Euclidean distances count, float32.
        generator: For the projection and the first point.
    """
    return _farthest_first(_projected(points, measured, generator), number, generator)


def _projected(
    points: Tensor, measured: Callable[[Tensor], Tensor], generator: torch.Generator
) -> Tensor:
    """Return the measured points in random directions, float32 ``[N, min(K, 128)]``.

    Such a projection nearly keeps the ratios of distances (Johnson and Lindenstrauss 1984).
    """
    import torch

    blocks = (measured(block.float()) for block in points.split(_BLOCK))
    width = points.shape[1]
    if width <= _DIRECTIONS:
        return torch.cat(list(blocks))
    directions = torch.randn(width, _DIRECTIONS, generator=generator)
    return torch.cat([block @ directions for block in blocks])


def _farthest_first(points: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return the indices ``[number]`` of a greedy k-centre selection among *points* ``[N, K]``.

    The first is random, each other is the farthest from those before it. The largest distance to
    the selection is at most twice the optimum (Gonzalez 1985). It needs ``number`` passes over
    the points and the memory of one copy of them.
    """
    import torch

    # Centred, so that squares are small and rounding errors least.
    centred = points - points.mean(dim=0)
    lengths = centred.square().sum(dim=1)
    to_nearest = torch.full_like(lengths, float("inf"))
    newest = int(torch.randint(len(points), (1,), generator=generator))
    chosen = [newest]
    while len(chosen) < number:
        to_newest = lengths + lengths[newest] - 2 * (centred @ centred[newest])
        torch.minimum(to_nearest, to_newest, out=to_nearest)
        # No point is selected twice, not even if all distances are 0.
        to_nearest[newest] = -float("inf")
        newest = int(to_nearest.argmax())
        chosen.append(newest)
    return torch.tensor(chosen)
