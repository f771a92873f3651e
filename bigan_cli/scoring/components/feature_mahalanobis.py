"""``feature_mahalanobis``: Mahalanobis distance of the image's mean features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._mahalanobis import MahalanobisComponent, MahalanobisOptions

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_LEAST_DEVIATION = 1e-6


class FeatureMahalanobisOptions(MahalanobisOptions):
    """Options of ``feature_mahalanobis``."""

    shrinkage: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = Field(
        0.05,
        description="Shrinkage of the covariance towards the same variance in every direction, "
        "0 to 1; auto estimates it.",
    )
    directions: int = Field(
        1024,
        ge=1,
        description="Directions of the greatest variance that have one of their own; the others "
        "share one.",
    )


class FeatureMahalanobis(MahalanobisComponent):
    """Mahalanobis distance of the mean of the features over all positions.

    Single positions do not show whether the whole image is normal: an image of something else may
    have normal parts.
    """

    name = "feature_mahalanobis"
    summary = "Mahalanobis distance of the image's mean features"
    needs_feature_map = True
    Options = FeatureMahalanobisOptions

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return the mean of each channel over the positions that count, ``[N, K]``."""
        # Over both axes: of flattened ones OpenVINO (2026.4) computes wrong means in a batch.
        if outputs.inside is None:
            return outputs.x.float().mean(dim=(2, 3))
        inside = outputs.inside[:, None]
        counted = outputs.x.float().masked_fill(~inside, 0)
        return counted.sum(dim=(2, 3)) / inside.sum(dim=(2, 3))

    def fit(self, embedded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the base class's tensors for standardised means, and their ``deviation``."""
        deviation = embedded.std(dim=0, correction=0).clamp_min(_LEAST_DEVIATION)
        return {**super().fit(embedded / deviation, generator), "deviation": deviation}

    def points(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the standardised means, ``[N, K]``."""
        return self.embed(outputs) / fitted["deviation"]


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``feature_mahalanobis``."""
    return [FeatureMahalanobis]
