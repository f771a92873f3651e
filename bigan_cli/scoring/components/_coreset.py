"""A few of many points, chosen so that none of the many lies far from all of the few.

PatchCore thins its memory of normals this way (Roth et al. 2022, arXiv 2106.08265, section
3.2): of every kind of normal something stays, however rare it is, where a random choice keeps
mostly what is common.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Random directions that the distances are measured in. A distance comes out wrong by a factor
# whose standard deviation is 1 / sqrt(2 * 128), about 6 %, in a space of any size.
_DIRECTIONS = 128
# Points that are measured together, so that no second copy of them all is made.
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
        measured: Turns some of *points* into those whose Euclidean distances count, float32.
        generator: Decides the projection and the first point.
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
    """Return the indices ``[number]`` of a greedy k-centre choice among *points* ``[N, K]``.

    The first is drawn, each other is the farthest from those before it. That leaves no point
    farther away than twice what the best choice would (Gonzalez 1985). It takes ``number``
    passes over the points, and no memory but a copy of them.
    """
    import torch

    # Around their middle, where squares are small and lose least to rounding.
    centred = points - points.mean(dim=0)
    lengths = centred.square().sum(dim=1)
    to_nearest = torch.full_like(lengths, float("inf"))
    newest = int(torch.randint(len(points), (1,), generator=generator))
    chosen = [newest]
    while len(chosen) < number:
        to_newest = lengths + lengths[newest] - 2 * (centred @ centred[newest])
        torch.minimum(to_nearest, to_newest, out=to_nearest)
        # No copy of a chosen point is farther away than it is, but none is chosen twice.
        to_nearest[newest] = -float("inf")
        newest = int(to_nearest.argmax())
        chosen.append(newest)
    return torch.tensor(chosen)
