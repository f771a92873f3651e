"""``discriminator_mahalanobis``: Mahalanobis distance in D's image features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._mahalanobis import MahalanobisComponent

if TYPE_CHECKING:
    from torch import Tensor


class DiscriminatorMahalanobis(MahalanobisComponent):
    """Mahalanobis distance to the training images in the discriminator's image features."""

    name = "discriminator_mahalanobis"
    summary = "Mahalanobis distance to the training images in the discriminator's image features"
    needs_pixels = True
    needs_image_features = True

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return D's image features of x, ``[N, K]``."""
        return outputs.image_features


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``discriminator_mahalanobis``."""
    return [DiscriminatorMahalanobis]
