"""``joint_neighbours``: distance to the nearest training images in D's joint features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._neighbours import NeighbourComponent

if TYPE_CHECKING:
    from torch import Tensor


class JointNeighbours(NeighbourComponent):
    """Mean distance to the nearest training images in D's joint features."""

    name = "joint_neighbours"
    summary = "distance to the nearest training images in the discriminator's joint features"
    needs_pixels = True

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return the joint features of D(x, E(x)), ``[N, K]``."""
        return outputs.real[1]


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``joint_neighbours``."""
    return [JointNeighbours]
