"""Mahalanobis distance to the training normals in a space that the networks have learned.

The space differs from component to component; the rule is one: a step away from the normals'
mean counts as much as their standard deviation in its direction is small, as Lee et al. 2018
(arXiv 1807.03888) judge the features of a classifier.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigan_cli.contracts import NetworkOutputs, Options, ScoreComponent
from bigan_cli.scoring.components._principal import principal_axes
from bigan_cli.scoring.components._rows import times

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# A mean and a covariance are known well enough from as many normals.
_MOST = 4096
# A direction has at least this part of the mean variance: in one where all normals lie on one
# point, rounding would count without limit.
_LEAST_PART = 1e-6
# The mean variance is at least this, far below what networks that have not collapsed give.
_LEAST_VARIANCE = 1e-12


class MahalanobisOptions(Options):
    """Options of every Mahalanobis component."""

    shrinkage: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = Field(
        "auto",
        description="How far the covariance is drawn towards the same variance in every "
        "direction, 0 to 1; auto takes what the number of normals calls for.",
    )
    directions: int = Field(
        256,
        ge=1,
        description="Directions of the greatest variance that have one of their own; the others "
        "share one.",
    )


class MahalanobisComponent(ScoreComponent):
    """Base of the Mahalanobis components; a subclass says in which space.

    The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf 2004, "A
    well-conditioned estimator for large-dimensional covariance matrices"), so few normals will
    do, and what lies outside its first directions has the mean variance found there, so the
    model file stays small however many features there are.
    """

    Options = MahalanobisOptions

    @abstractmethod
    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return the point of each image, ``[N, K]``."""

    def fit_limit(self) -> int:
        """Return 4,096."""
        return _MOST

    def fit(self, embedded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return what makes distances of lengths, from normals ``[N, K]``; all float32.

        ``mean`` is ``[K]``, ``axes`` the directions ``[K, D]``, ``precision`` one over the
        variance in each of them ``[D]``, and ``rest`` the same of all others ``[1]``.
        """
        import torch

        # On the host in float64, which Metal does not have: small variances are lost in less.
        points = embedded.cpu().double()
        mean = points.mean(dim=0)
        points = points - mean
        axes = _axes(points, self.options.directions, generator)
        along = (points @ axes).square().mean(dim=0)
        everywhere = points.square().mean(dim=0).sum()
        beside = (everywhere - along.sum()).clamp_min(0) / max(1, len(mean) - len(along))
        typical = everywhere / len(mean)
        shrinkage = self.options.shrinkage
        if shrinkage == "auto":
            shrinkage = ledoit_wolf_shrinkage(points)
        least = _LEAST_PART * typical.clamp_min(_LEAST_VARIANCE)
        variances = torch.cat([along, beside.reshape(1)])
        variances = torch.lerp(variances, typical.expand_as(variances), shrinkage).clamp_min(least)
        precision = variances.reciprocal().float()
        return {
            "mean": mean.float(),
            # Laid out as they are when they are read back, for the same sums in the same order.
            "axes": axes.float().contiguous(),
            "precision": precision[:-1].contiguous(),
            "rest": precision[-1:].clone(),
        }

    def points(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the point of each image in the space of the distance, ``[N, K]``."""
        return self.embed(outputs).float()

    def score(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the distance of each image, ``[N]``."""
        centred = self.points(outputs, fitted) - fitted["mean"]
        along = times(centred, fitted["axes"])
        # Not as a difference of lengths, which would leave their rounding where little is left.
        beside = centred - times(along, fitted["axes"].T)
        # No matrix product: of the same image it would not always give the same bits.
        squared = (along.square() * fitted["precision"]).sum(dim=1)
        distance: Tensor = (squared + beside.square().sum(dim=1) * fitted["rest"]).sqrt()
        return distance


def _axes(centred: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return the directions ``[K, D]`` in which points ``[N, K]`` differ most, float64."""
    import torch

    if centred.shape[1] <= number:  # all of them, and exactly
        every: Tensor = torch.linalg.eigh(centred.T @ centred).eigenvectors
        return every
    return principal_axes(centred.float(), number, generator).double()


def ledoit_wolf_shrinkage(centred: Tensor) -> float:
    """Return how far to shrink a covariance towards its mean variance times the identity.

    The intensity, 0 to 1, at which the expected squared error is estimated to be the least:
    what the covariance varies by from sample to sample, as a part of how far it is from the
    target (Ledoit and Wolf 2004, lemma 3.4).

    Args:
        centred: The points ``[N, K]``, float64, with mean 0.
    """
    count, size = centred.shape
    # The squares of all entries of the covariance, by the smaller of two matrices that have
    # the same.
    product = centred @ centred.T if count < size else centred.T @ centred
    squared = (product / count).square().sum()
    variance = centred.square().sum() / count
    away = squared - variance.square() / size
    # The mean of |x x^T - S|^2 over the points x, without a matrix for each of them.
    noise = (centred.square().sum(dim=1).square().mean() - squared) / count
    # It is the target already, or two points show one direction and nothing of its noise.
    if away <= 0 or count < 3:
        return 1.0
    return float((noise / away).clamp(0, 1))
