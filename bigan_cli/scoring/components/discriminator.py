"""``discriminator``: the negative logit of D(x, E(x))."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class Discriminator(ScoreComponent):
    """The negative logit of D(x, E(x)).

    It ranks images as the cross-entropy term of Zenati et al. 2018 (arXiv 1802.06222, section 3)
    does, since that is an increasing function of it, and never saturates.

    It has weight 0: the better the generator, the closer D's output is to chance.
    """

    name = "discriminator"
    summary = "-logit of D(x, E(x))"
    weight = 0.0

    def score(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the negative logit of each image, ``[N]``."""
        return super().score(outputs, fitted) if outputs.on_feature_map else -outputs.real[0]

    def heatmap(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor | None:
        """Return the negative logit of each position, ``[N, h, w]``; None on pixels."""
        return -outputs.real[0] if outputs.on_feature_map else None


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``discriminator``."""
    return [Discriminator]
