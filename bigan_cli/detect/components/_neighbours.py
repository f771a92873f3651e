"""Distance to the nearest training normals in a space that the networks have learned.

The space differs from component to component; the rule is one: the mean Euclidean distance to
the k nearest of a bounded bank of training normals (k-nearest-neighbour anomaly detection,
Ramaswamy et al. 2000; on learned features, Bergman et al. 2020, arXiv 2002.10445).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from bigan_cli.contracts import Observation, Options, ScoreComponent

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class NeighbourOptions(Options):
    """Options of every nearest-neighbour component."""

    neighbours: int = Field(5, ge=1, le=1000, description="How many nearest normals count.")
    bank_size: int = Field(
        4096, ge=1, description="Training normals kept, drawn at random where there are more."
    )


class NeighbourComponent(ScoreComponent):
    """Base of the nearest-neighbour components; a subclass says in which space."""

    Options = NeighbourOptions

    @abstractmethod
    def embed(self, seen: Observation) -> Tensor:
        """Return the point of each image, ``[N, K]``."""

    def fit_limit(self) -> int:
        """Return the size of the bank."""
        size: int = self.options.bank_size
        return size

    def fit(self, embedded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Keep a random part of the embedded normals ``[N, K]`` as the bank, in half precision."""
        import torch

        keep = torch.randperm(len(embedded), generator=generator)[: self.options.bank_size]
        bank = embedded.cpu()[keep]
        # Half precision halves the model file; one scale keeps large features in its range.
        scale = bank.abs().max().clamp_min(1e-12)
        return {"bank": (bank / scale).half(), "scale": scale.reshape(1)}

    def score(self, seen: Observation, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the mean distance to the nearest of the bank, ``[N]``."""
        import torch

        points = self.embed(seen).float()
        bank = fitted["bank"].float() * fitted["scale"]
        nearest = min(self.options.neighbours, len(bank))
        # The exact form: the faster one by matrix product loses small distances to rounding.
        distances = torch.cdist(points, bank, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.topk(nearest, dim=1, largest=False).values.mean(dim=1)
