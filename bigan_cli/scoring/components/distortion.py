"""``distortion``: the logit of D's head that detects distorted images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class Distortion(ScoreComponent):
    """The logit of D's head that detects distorted copies of images.

    The head is trained with warped, cut and rotated copies of normal images as negative examples
    (Sinha et al. 2021, arXiv 2102.05113). It learns the structure of normal images, so images
    without that structure look distorted to it.
    """

    name = "distortion"
    summary = "how distorted the discriminator finds the image"
    weight = 2.0
    needs_head = "distortion"

    def score(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the logit of each image, ``[N]``."""
        if outputs.on_feature_map:
            return super().score(outputs, fitted)
        return outputs.heads[self.needs_head][:, 0]

    def heatmap(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor | None:
        """Return the logit of each position, ``[N, h, w]``; None on pixels."""
        return outputs.heads[self.needs_head][:, 0] if outputs.on_feature_map else None


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``distortion``."""
    return [Distortion]
