"""``cycle_matching``: distance of D_xx's features of (x, x) and (x, G(E(x)))."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class CycleMatching(ScoreComponent):
    """Mean absolute difference of D_xx's features of (x, x) and of (x, G(E(x))).

    The score of ALAD (Zenati et al. 2018, arXiv 1812.02288), an L1 distance there, a mean over
    features here, so that it does not depend on the width of the layer.
    """

    name = "cycle_matching"
    summary = "mean |f_xx(x, x) - f_xx(x, G(E(x)))|"
    requires_cycle_discriminator = "image"

    def score(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the mean absolute feature difference of each image, ``[N]``."""
        same, rebuilt = outputs.image_pair_features
        return (same - rebuilt).abs().mean(dim=1)


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``cycle_matching``."""
    return [CycleMatching]
