"""Principal component analysis of a component's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Directions sought beyond those wanted, and passes over the points to refine them: more than
# what Halko et al. find enough.
_EXTRA = 10
_PASSES = 4


def principal_axes(points: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return the directions in which *points* differ most, float32 ``[K, min(number, N, K)]``.

    The columns are orthonormal, the first one that of the greatest variance. They are found by
    a randomised decomposition (Halko et al. 2011, arXiv 0909.4061), which is exact where nearly
    all of them are wanted, and whose time does not grow with the square of K.

    Args:
        points: float32 ``[N, K]``, on the CPU.
        number: 1 or more.
        generator: Decides where the search starts.
    """
    import torch

    sought = min(number + _EXTRA, *points.shape)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    # torch draws the start from its global generator alone.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs as well
        _, _, axes = torch.pca_lowrank(points, q=sought, niter=_PASSES)
    # A copy: a slice would keep what is cut off.
    return axes[:, :number].contiguous()
