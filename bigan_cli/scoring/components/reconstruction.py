"""``reconstruction``: mean absolute difference of x and G(E(x))."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class Reconstruction(ScoreComponent):
    """Mean absolute difference of an image and its reconstruction, 0 to 2.

    The residual term of Zenati et al. 2018 (arXiv 1802.06222, section 3), as a mean over pixels
    and channels, so that it does not depend on the image size.

    It is small for simple images, anomalous or not, so it has weight 0.
    """

    name = "reconstruction"
    summary = "mean |x - G(E(x))| over the pixels"
    weight = 0.0

    def score(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the mean absolute error of each image, ``[N]``."""
        if outputs.on_feature_map:
            return super().score(outputs, fitted)
        error = (outputs.x - outputs.reconstruction).abs()
        if outputs.inside is None:
            return error.mean(dim=(1, 2, 3))
        pixels = outputs.inside.sum(dim=(1, 2))
        return error.mean(dim=1).masked_fill(~outputs.inside, 0).sum(dim=(1, 2)) / pixels

    def heatmap(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the absolute error of each pixel or position, averaged over channels."""
        return (outputs.x - outputs.reconstruction).abs().mean(dim=1)


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``reconstruction``."""
    return [Reconstruction]
