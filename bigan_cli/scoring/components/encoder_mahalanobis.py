"""``encoder_mahalanobis``: Mahalanobis distance in E's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._mahalanobis import MahalanobisComponent

if TYPE_CHECKING:
    from torch import Tensor


class EncoderMahalanobis(MahalanobisComponent):
    """Mahalanobis distance to the training images in the encoder's last feature maps."""

    name = "encoder_mahalanobis"
    summary = "Mahalanobis distance to the training images in the encoder's last feature maps"
    needs_encoder_features = True

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return E's features of x, ``[N, K]``."""
        return outputs.encoder_features


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``encoder_mahalanobis``."""
    return [EncoderMahalanobis]
