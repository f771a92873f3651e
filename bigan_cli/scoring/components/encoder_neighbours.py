"""``encoder_neighbours``: distance to the nearest training images in E's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._neighbours import NeighbourComponent

if TYPE_CHECKING:
    from torch import Tensor


class EncoderNeighbours(NeighbourComponent):
    """Mean distance to the nearest training images in the encoder's last feature maps.

    They have the information needed to reconstruct an image, before it is reduced to z.
    """

    name = "encoder_neighbours"
    summary = "distance to the nearest training images in the encoder's last feature maps"
    needs_encoder_features = True

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return E's features of x, ``[N, K]``."""
        return outputs.encoder_features


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``encoder_neighbours``."""
    return [EncoderNeighbours]
