"""``latent_neighbours``: distance of E(x) to the nearest training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._neighbours import NeighbourComponent

if TYPE_CHECKING:
    from torch import Tensor


class LatentNeighbours(NeighbourComponent):
    """Mean distance to the nearest training images in the encoder's latent space."""

    name = "latent_neighbours"
    summary = "distance to the nearest training images in the encoder's latent space"
    needs_pixels = True

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return E(x), ``[N, K]``."""
        return outputs.z


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``latent_neighbours``."""
    return [LatentNeighbours]
