"""``feature_matching``: distance of D's features of an image and its reconstruction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class FeatureMatching(ScoreComponent):
    """Mean absolute difference of D's joint features of (x, E(x)) and of (G(E(x)), E(x)).

    The feature-matching term of Zenati et al. 2018 (arXiv 1802.06222, section 3), as a mean
    over features, so that it does not depend on the width of the layer.
    """

    name = "feature_matching"
    summary = "mean |f_D(x, E(x)) - f_D(G(E(x)), E(x))|"
    needs_pixels = True
    weight = 0.25

    def score(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the mean absolute feature difference of each image, ``[N]``."""
        return (outputs.real[1] - outputs.fake[1]).abs().mean(dim=1)


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``feature_matching``."""
    return [FeatureMatching]
