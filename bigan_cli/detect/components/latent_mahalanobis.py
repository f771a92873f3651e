"""``latent_mahalanobis``: how far E(x) lies from the training normals, by how they spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigan_cli.contracts import Observation, Options, ScoreComponent
from bigan_cli.detect.components._rows import times
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Enough for a covariance that shrinkage hardly touches, up to some hundred latent dimensions.
_MOST = 16_384
# A direction has at least this part of the mean variance: in one where all normals lie on one
# point, rounding would count without limit.
_LEAST_PART = 1e-6
# The mean variance is at least this, far below what an encoder that has not collapsed gives.
_LEAST_VARIANCE = 1e-12


class LatentMahalanobisOptions(Options):
    """Options of ``latent_mahalanobis``."""

    shrinkage: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = Field(
        "auto",
        description="How far the covariance is drawn towards the same variance in every "
        "direction, 0 to 1; auto takes what the number of normals calls for.",
    )


class LatentMahalanobis(ScoreComponent):
    """Mahalanobis distance of E(x) to the mean of the training normals.

    A step counts as much as the normals' standard deviation in its direction is small, as Lee
    et al. 2018 (arXiv 1807.03888) judge the features of a classifier. The covariance is shrunk
    towards a multiple of the identity (Ledoit and Wolf 2004), so few normals will do.
    """

    name = "latent_mahalanobis"
    summary = "Mahalanobis distance to the normals in the encoder's latent space"
    Options = LatentMahalanobisOptions

    def embed(self, seen: Observation) -> Tensor:
        """Return E(x), ``[N, d]``."""
        return seen.z

    def fit_limit(self) -> int:
        """Return 16,384, of which a mean and a covariance are known well enough."""
        return _MOST

    def fit(self, embedded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return ``mean`` ``[d]`` and ``whitening`` ``[d, d]`` of normals ``[N, d]``, float32.

        ``(z - mean) @ whitening`` has the identity for its covariance: its length is the
        distance.
        """
        import torch

        # On the host in float64, which Metal does not have: small variances are lost in less.
        points = embedded.cpu().double()
        mean = points.mean(dim=0)
        variances, directions = torch.linalg.eigh(self._covariance(points - mean))
        least = _LEAST_PART * variances.mean().clamp_min(_LEAST_VARIANCE)
        # Laid out as it is when it is read back, for the same sums in the same order.
        whitening = (directions / variances.clamp_min(least).sqrt()).float().contiguous()
        return {"mean": mean.float(), "whitening": whitening}

    def score(self, seen: Observation, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the distance of each image, ``[N]``."""
        whitened = times(seen.z.float() - fitted["mean"], fitted["whitening"])
        return whitened.square().sum(dim=1).sqrt()

    def _covariance(self, centred: Tensor) -> Tensor:
        """Return the shrunk covariance ``[d, d]`` of *centred* points, float64 ``[N, d]``."""
        import torch

        covariance = centred.T @ centred / len(centred)
        shrinkage = self.options.shrinkage
        if shrinkage == "auto":
            shrinkage = ledoit_wolf_shrinkage(centred, covariance)
        same = covariance.diagonal().mean() * torch.eye(len(covariance), dtype=covariance.dtype)
        return torch.lerp(covariance, same, shrinkage)


def ledoit_wolf_shrinkage(centred: Tensor, covariance: Tensor) -> float:
    """Return how far to shrink a covariance towards its mean variance times the identity.

    The intensity, 0 to 1, at which the expected squared error is estimated to be the least:
    what the covariance varies by from sample to sample, as a part of how far it is from the
    target (Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance
    matrices", lemma 3.4).

    Args:
        centred: ``[N, d]``, with mean 0.
        covariance: Theirs, ``[d, d]``, with N as the divisor.
    """
    squared = covariance.square().sum()
    away = squared - covariance.trace().square() / len(covariance)
    # The mean of |x x^T - S|^2 over the points x, without a matrix for each of them.
    noise = (centred.square().sum(dim=1).square().mean() - squared) / len(centred)
    # It is the target already, or two points show one direction and nothing of its noise.
    if away <= 0 or len(centred) < 3:
        return 1.0
    return float((noise / away).clamp(0, 1))


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``latent_mahalanobis``."""
    return [LatentMahalanobis]
