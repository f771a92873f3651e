"""Mahalanobis distance to the training images in a learned feature space.

The components differ in the space only. Lee et al. 2018 (arXiv 1807.03888) use this distance in
the features of a classifier.
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

# Images that suffice to estimate a mean and a covariance.
_MOST = 4096
# Smallest variance of a direction, as a fraction of the mean variance: in a direction without
# variance, rounding errors would dominate.
_LEAST_PART = 1e-6
# Smallest mean variance, far below that of networks that have not collapsed.
_LEAST_VARIANCE = 1e-12


class MahalanobisOptions(Options):
    """Options of every Mahalanobis component."""

    shrinkage: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = Field(
        "auto",
        description="Shrinkage of the covariance towards the same variance in every "
        "direction, 0 to 1; auto estimates it (Ledoit and Wolf 2004).",
    )
    directions: int = Field(
        256,
        ge=1,
        description="Directions of the greatest variance that have one of their own; the others "
        "share one.",
    )


class MahalanobisComponent(ScoreComponent):
    """Base of the Mahalanobis components; a subclass defines the space.

    The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf 2004, "A
    well-conditioned estimator for large-dimensional covariance matrices"), so few images
    suffice. Directions beyond the leading ones share their mean variance, so the model file
    stays small for any number of features.
    """

    Options = MahalanobisOptions

    @abstractmethod
    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return the point of each image, ``[N, K]``."""

    def fit_limit(self) -> int:
        """Return 4,096."""
        return _MOST

    def fit(self, embedded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the fitted tensors from embedded training images ``[N, K]``; all float32.

        ``mean`` is ``[K]``, ``axes`` the directions ``[K, D]``, ``precision`` the inverse of
        their variances ``[D]``, and ``rest`` that of all other directions ``[1]``.
        """
        import torch

        # On the host in float64, which Metal does not have: small variances need the precision.
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
            # Contiguous, as after loading, for the same order of summation.
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
        # Not as a difference of squared lengths, which would cancel.
        beside = centred - times(along, fitted["axes"].T)
        # No matrix product: its bits would depend on the other images of the batch.
        squared = (along.square() * fitted["precision"]).sum(dim=1)
        distance: Tensor = (squared + beside.square().sum(dim=1) * fitted["rest"]).sqrt()
        return distance


def _axes(centred: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return the directions ``[K, D]`` of largest variance of points ``[N, K]``, float64."""
    import torch

    if centred.shape[1] <= number:  # all of them, and exactly
        every: Tensor = torch.linalg.eigh(centred.T @ centred).eigenvectors
        return every
    return principal_axes(centred.float(), number, generator).double()


def ledoit_wolf_shrinkage(centred: Tensor) -> float:
    """Return the Ledoit-Wolf shrinkage of a covariance, 0 to 1 (Ledoit and Wolf 2004, lemma 3.4).

    It minimises the estimated mean squared error: the sampling variance of the covariance,
    relative to its distance from the mean variance times the identity. scikit-learn's function
    gives the same value; for 2,000 points in 256 dimensions it takes 100 ms, this one 11 ms.

    Args:
        centred: The points ``[N, K]``, float64, with mean 0.
    """
    count, size = centred.shape
    # The squared Frobenius norm of the covariance, from the smaller of the two Gram matrices.
    product = centred @ centred.T if count < size else centred.T @ centred
    squared = (product / count).square().sum()
    variance = centred.square().sum() / count
    away = squared - variance.square() / size
    # The mean of |x x^T - S|^2 over the points x, without a matrix for each of them.
    noise = (centred.square().sum(dim=1).square().mean() - squared) / count
    # The covariance equals the target, or two points do not allow an estimate of its noise.
    if away <= 0 or count < 3:
        return 1.0
    return float((noise / away).clamp(0, 1))
