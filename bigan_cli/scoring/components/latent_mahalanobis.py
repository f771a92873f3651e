"""``latent_mahalanobis``: Mahalanobis distance of E(x) to the training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._mahalanobis import MahalanobisComponent

if TYPE_CHECKING:
    from torch import Tensor


class LatentMahalanobis(MahalanobisComponent):
    """Mahalanobis distance to the training images in the encoder's latent space."""

    name = "latent_mahalanobis"
    summary = "Mahalanobis distance to the training images in the encoder's latent space"
    needs_pixels = True

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return E(x), ``[N, d]``."""
        return outputs.z


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``latent_mahalanobis``."""
    return [LatentMahalanobis]
