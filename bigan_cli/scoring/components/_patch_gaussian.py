"""A Gaussian of the vectors at the positions of feature maps: Mahalanobis distance as a map."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from bigan_cli.contracts import NetworkOutputs, Options, ScoreComponent
from bigan_cli.scoring.components._rows import times

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Images whose positions are used at most, and positions that suffice for a covariance.
_MOST_IMAGES = 1024
_MOST_POSITIONS = 100_000
# Smallest variance of a direction, as a fraction of the mean variance, and of all: in a direction
# without variance, rounding errors would dominate.
_LEAST_PART = 1e-6
_LEAST_VARIANCE = 1e-12


class PatchGaussianOptions(Options):
    """Options of the Mahalanobis distances at positions."""

    shrinkage: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Shrinkage of the covariance towards the same variance in every direction.",
    )


class PatchGaussianComponent(ScoreComponent):
    """Base of the Mahalanobis distances at positions; a subclass defines the vectors.

    One mean and covariance for all positions, so that few images suffice and parts need not be
    aligned (PaDiM, Defard et al. 2021, arXiv 2011.08785, has one for each position): what is usual
    at one position is left to the standardisation of the map. Directions in which normal vectors
    hardly vary count as much as the others, and it is there that defects show (Rippel et al. 2020,
    arXiv 2005.14140).
    """

    Options = PatchGaussianOptions
    needs_feature_map = True

    @abstractmethod
    def vectors(self, outputs: NetworkOutputs) -> Tensor:
        """Return the vector at each position, ``[N, K, h, w]``."""

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return the vectors in half precision, which halves the memory they take."""
        return self.vectors(outputs).half()

    def fit_limit(self) -> int:
        """Return 1,024."""
        return _MOST_IMAGES

    def fit(self, embedded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return ``mean`` ``[K]`` and ``whitening`` ``[K, K]`` of vectors ``[N, K, h, w]``.

        Both are float32. The length of a whitened vector is its Mahalanobis distance.
        """
        import torch

        positions = embedded.movedim(1, -1).flatten(0, 2)
        chosen = torch.randperm(len(positions), generator=generator)[:_MOST_POSITIONS]
        # On the host in float64, which Metal does not have: small variances need the precision.
        points = positions[chosen.sort().values.to(positions.device)].cpu().double()
        mean = points.mean(dim=0)
        points -= mean
        variances, directions = torch.linalg.eigh(points.T @ points / len(points))
        typical = variances.mean().clamp_min(_LEAST_VARIANCE)
        variances = torch.lerp(variances, typical.expand_as(variances), self.options.shrinkage)
        scales = variances.clamp_min(_LEAST_PART * typical).rsqrt()
        return {"mean": mean.float(), "whitening": (directions * scales).float().contiguous()}

    def heatmap(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the Mahalanobis distance of each position, ``[N, h, w]``."""
        vectors = self.vectors(outputs)
        centred = vectors.movedim(1, -1).flatten(0, 2) - fitted["mean"]
        distances = times(centred, fitted["whitening"]).square().sum(dim=1).sqrt()
        return distances.view(len(vectors), *vectors.shape[2:])
