"""``discriminator_neighbours``: distance to the nearest training images in D's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._neighbours import (
    METRICS,
    Metric,
    NeighbourComponent,
    NeighbourOptions,
)

if TYPE_CHECKING:
    from torch import Tensor


class ImageNeighbourOptions(NeighbourOptions):
    """Options of ``discriminator_neighbours``."""

    metric: Metric = Field("cosine", description=METRICS)


class DiscriminatorNeighbours(NeighbourComponent):
    """Mean distance to the nearest training images in the discriminator's image features."""

    name = "discriminator_neighbours"
    summary = "distance to the nearest training images in the discriminator's image features"
    needs_pixels = True
    needs_image_features = True
    Options = ImageNeighbourOptions

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return D's image features of x, ``[N, K]``."""
        return outputs.image_features


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``discriminator_neighbours``."""
    return [DiscriminatorNeighbours]
