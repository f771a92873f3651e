"""``residual_mahalanobis``: Mahalanobis distance of x - G(E(x)) at each position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._patch_gaussian import PatchGaussianComponent

if TYPE_CHECKING:
    from torch import Tensor


class ResidualMahalanobis(PatchGaussianComponent):
    """Mahalanobis distance of each position's residual from the residuals of normal images.

    ``reconstruction`` adds up the errors of all channels alike. Some channels are rebuilt badly in
    every normal image and some always well; an error counts by how unusual it is.
    """

    name = "residual_mahalanobis"
    summary = "Mahalanobis distance of x - G(E(x)) at each position"

    def vectors(self, outputs: NetworkOutputs) -> Tensor:
        """Return the feature map minus its reconstruction."""
        return outputs.x - outputs.reconstruction


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``residual_mahalanobis``."""
    return [ResidualMahalanobis]
