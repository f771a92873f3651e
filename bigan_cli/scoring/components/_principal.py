"""Principal component analysis of a component's memory bank."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Oversampling and power iterations, more than Halko et al. recommend.
_EXTRA = 10
_PASSES = 4


def principal_axes(points: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return the principal directions of *points*, float32 ``[K, min(number, N, K)]``.

    The columns are orthonormal, in the order of decreasing variance. A randomised decomposition
    finds them (Halko et al. 2011, arXiv 0909.4061). It is exact if nearly all directions are
    wanted, and its time does not grow with the square of K.

    Args:
        points: float32 ``[N, K]``, on the CPU.
        number: 1 or more.
        generator: For the start of the decomposition.
    """
    import torch

    sought = min(number + _EXTRA, *points.shape)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    # torch.svd_lowrank uses the global generator only.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs as well
        _, _, axes = torch.pca_lowrank(points, q=sought, niter=_PASSES)
    # A copy: a slice would keep the whole tensor in memory.
    return axes[:, :number].contiguous()
