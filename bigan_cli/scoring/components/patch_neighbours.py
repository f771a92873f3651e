"""``patch_neighbours``: distance of each position to the nearest positions of normal images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from bigan_cli.contracts import NetworkOutputs, Options, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._rows import WIDTH, times

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Images whose positions may be kept at most.
_MOST_IMAGES = 1024


class PatchNeighboursOptions(Options):
    """Options of ``patch_neighbours``."""

    memory_bank_size: int = Field(
        3000,
        ge=1,
        le=100_000,
        description="Number of positions of training images kept, chosen at random.",
    )


class PatchNeighbours(ScoreComponent):
    """Euclidean distance of each position's features to the nearest in a memory of normal ones.

    As in PatchCore (Roth et al. 2022, arXiv 2106.08265), but for the memory, which is a random
    sample: a greedy coreset of the same size keeps rare positions and separates worse.
    """

    name = "patch_neighbours"
    summary = "distance of each position to the nearest positions of normal images"
    Options = PatchNeighboursOptions
    needs_feature_map = True

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return the feature map, float16 ``[N, K, h, w]``."""
        return outputs.x.half()

    def fit_limit(self) -> int:
        """Return 1,024."""
        return _MOST_IMAGES

    def fit(self, embedded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Keep some of the positions of feature maps ``[N, K, h, w]``, at random.

        Returns:
            ``memory``, float16 ``[M, K]``.
        """
        import torch

        positions = embedded.movedim(1, -1).flatten(0, 2)
        kept = torch.randperm(len(positions), generator=generator)[: self.options.memory_bank_size]
        return {"memory": positions[kept].half().contiguous()}

    def heatmap(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the distance of each position, ``[N, h, w]``."""
        from torch.nn.functional import pad

        memory = fitted["memory"].float()
        f = outputs.x
        positions = f.movedim(1, -1).flatten(0, 2)
        lengths = pad(memory.square().sum(dim=1), (0, -len(memory) % WIDTH), value=float("inf"))
        products = times(positions, pad(memory, (0, 0, 0, -len(memory) % WIDTH)).T)
        squared = positions.square().sum(dim=1) + (lengths - 2 * products).amin(dim=1)
        return squared.clamp_min(0).sqrt().view(f.shape[0], *f.shape[2:])


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``patch_neighbours``."""
    return [PatchNeighbours]
