"""``residual_mahalanobis``: Mahalanobis distance of x - G(E(x)) at each position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._rows import times
from bigan_cli.scoring.components._whitening import WhiteningOptions, whitening

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Images whose positions are used at most, and positions that suffice for a covariance.
_MOST_IMAGES = 1024
_MOST_POSITIONS = 100_000


class ResidualMahalanobis(ScoreComponent):
    """Mahalanobis distance of each position's residual from the residuals of normal images.

    ``reconstruction`` adds up the errors of all channels alike. Some channels are rebuilt badly in
    every normal image and some always well; an error counts by how unusual it is. All positions
    share one mean and covariance: E and G know nothing of the position, either.
    """

    name = "residual_mahalanobis"
    summary = "Mahalanobis distance of x - G(E(x)) at each position"
    Options = WhiteningOptions
    needs_feature_map = True

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return the residuals in half precision, which halves the memory they take."""
        return (outputs.x - outputs.reconstruction).half()

    def fit_limit(self) -> int:
        """Return 1,024."""
        return _MOST_IMAGES

    def fit(self, embedded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return ``mean`` ``[K]`` and ``whitening`` ``[K, K]`` of residuals ``[N, K, h, w]``.

        Both are float32.
        """
        import torch

        positions = embedded.movedim(1, -1).flatten(0, 2)
        chosen = torch.randperm(len(positions), generator=generator)[:_MOST_POSITIONS]
        # On the host in float64, which Metal does not have: small variances need the precision.
        points = positions[chosen.sort().values.to(positions.device)].cpu().double()
        mean = points.mean(dim=0)
        points -= mean
        matrix = whitening(points.T @ points / len(points), self.options.shrinkage)
        return {"mean": mean.float(), "whitening": matrix.float().contiguous()}

    def heatmap(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the Mahalanobis distance of each position, ``[N, h, w]``."""
        residuals = outputs.x - outputs.reconstruction
        centred = residuals.movedim(1, -1).flatten(0, 2) - fitted["mean"]
        distances = times(centred, fitted["whitening"]).square().sum(dim=1).sqrt()
        return distances.view(residuals.shape[0], *residuals.shape[2:])


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``residual_mahalanobis``."""
    return [ResidualMahalanobis]
