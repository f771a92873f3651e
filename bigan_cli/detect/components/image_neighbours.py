"""``image_neighbours``: distance to the nearest training normals as D sees the image alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigan_cli.contracts import Observation, ScoreComponent
from bigan_cli.detect.components._neighbours import NeighbourComponent
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class ImageNeighbours(NeighbourComponent):
    """Mean distance to the nearest training normals in the discriminator's image features."""

    name = "image_neighbours"
    summary = "distance to the nearest normals in the discriminator's image features"
    needs_image_features = True

    def embed(self, seen: Observation) -> Tensor:
        """Return D's image features of x, ``[N, K]``."""
        return seen.image_features


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``image_neighbours``."""
    return [ImageNeighbours]
