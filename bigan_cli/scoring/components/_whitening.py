"""Whitening: the matrix that turns a vector's Mahalanobis distance into its length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bigan_cli.contracts import Options

if TYPE_CHECKING:
    from torch import Tensor

# Smallest variance of a direction, as a fraction of the mean variance, and of all: in a direction
# without variance, rounding errors would dominate.
_LEAST_PART = 1e-6
_LEAST_VARIANCE = 1e-12


class WhiteningOptions(Options):
    """Options of the Mahalanobis distances at positions."""

    shrinkage: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Shrinkage of the covariance towards the same variance in every direction.",
    )


def whitening(covariance: Tensor, shrinkage: float) -> Tensor:
    """Return W with ``W W^T`` the inverse of each shrunk covariance.

    The length of ``x W`` is the Mahalanobis distance of a centred row x. Directions in which
    normal vectors hardly vary count as much as the others, and it is there that defects show
    (Rippel et al. 2020, arXiv 2005.14140).

    Args:
        covariance: float64 ``[..., K, K]``, on the CPU.
        shrinkage: 0 to 1, towards the same variance in every direction.

    Returns:
        float64 ``[..., K, K]``.
    """
    import torch

    variances, directions = torch.linalg.eigh(covariance)
    typical = variances.mean(dim=-1, keepdim=True).clamp_min(_LEAST_VARIANCE)
    variances = torch.lerp(variances, typical.expand_as(variances), shrinkage)
    scales = torch.maximum(variances, _LEAST_PART * typical).rsqrt()
    matrix: Tensor = directions * scales[..., None, :]
    return matrix
