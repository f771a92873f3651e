"""The score component ``newplugin`` for bigan.

It works without changes: it is the largest local difference between an image and its
reconstruction. Replace it by your own score; README.md lists what is available.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bigan_cli.contracts import NetworkOutputs, Options, ScoreComponent
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class NewPluginOptions(Options):
    """The table ``[score.options.newplugin]`` of a config file that uses this component."""

    window: Literal[1, 3, 5, 7] = Field(
        3, description="Side of the square that differences are averaged over, in pixels."
    )


class NewPluginScore(ScoreComponent):
    """Largest local mean of the difference between an image and its reconstruction, 0 to 2."""

    name = "newplugin"
    summary = "largest local mean of |x - G(E(x))|"
    Options = NewPluginOptions
    # Its weight in the mean of all components where the config file gives none.
    weight = 1.0

    def score(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the largest value of each heatmap, ``[N]``."""
        return self.heatmap(outputs, fitted).amax(dim=(1, 2))

    def heatmap(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the local mean of the difference at each pixel, ``[N, H, W]``."""
        from torch.nn.functional import avg_pool2d

        side = self.options.window
        difference = (outputs.x - outputs.reconstruction).abs().mean(dim=1, keepdim=True)
        local = avg_pool2d(difference, side, stride=1, padding=side // 2, count_include_pad=False)
        return local.squeeze(1)


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide the score component."""
    return [NewPluginScore]
