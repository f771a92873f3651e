"""``patch_mahalanobis``: Mahalanobis distance of the features at each position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._patch_gaussian import PatchGaussianComponent

if TYPE_CHECKING:
    from torch import Tensor


class PatchMahalanobis(PatchGaussianComponent):
    """Mahalanobis distance of each position's features from those of normal images."""

    name = "patch_mahalanobis"
    summary = "Mahalanobis distance of the features at each position"

    def vectors(self, outputs: NetworkOutputs) -> Tensor:
        """Return the feature map."""
        return outputs.x


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``patch_mahalanobis``."""
    return [PatchMahalanobis]
