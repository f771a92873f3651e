"""``encoder_neighbours``: distance to the nearest training normals in what E sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._neighbours import NeighbourComponent

if TYPE_CHECKING:
    from torch import Tensor


class EncoderNeighbours(NeighbourComponent):
    """Mean distance to the nearest training normals in the encoder's last feature maps.

    They hold what rebuilding an image takes, before it is narrowed to the latent vector.
    """

    name = "encoder_neighbours"
    summary = "distance to the nearest normals in the encoder's last feature maps"
    needs_encoder_features = True

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return E's features of x, ``[N, K]``."""
        return outputs.encoder_features


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``encoder_neighbours``."""
    return [EncoderNeighbours]
