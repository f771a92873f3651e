"""``patch_mahalanobis``: Mahalanobis distance of the features at each position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from bigan_cli.contracts import NetworkOutputs, ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._whitening import WhiteningOptions, whitening

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MOST_IMAGES = 1024


class PatchMahalanobisOptions(WhiteningOptions):
    """Options of ``patch_mahalanobis``."""

    layers: int = Field(
        2, ge=1, description="Layers of the backbone that are used, from the finest one on."
    )
    channels: int = Field(
        96, ge=8, le=512, multiple_of=8, description="Channels of these layers that are used."
    )
    prior: float = Field(
        50.0,
        ge=0,
        description="Weight of the covariance of all positions in that of one, in images.",
    )


class PatchMahalanobis(ScoreComponent):
    """Mahalanobis distance of each position's features from those of normal images.

    Each position has a mean and a covariance, as in PaDiM (Defard et al. 2021, arXiv 2011.08785):
    an edge is normal where every part has one. The fewer images, the more the covariance of a
    position is shrunk towards that of all together. A part of the channels suffices, since
    they are redundant; those of the finest layers locate a defect best.

    With a region of interest that differs between inputs, or of a single position, all positions
    share one mean and covariance.
    """

    name = "patch_mahalanobis"
    summary = "Mahalanobis distance of the features at each position"
    Options = PatchMahalanobisOptions
    needs_feature_map = True

    _kept: tuple[Tensor, Tensor] | None = None  # stored matrices, and the same in single precision

    def _vectors(self, outputs: NetworkOutputs) -> Tensor:
        """Return the channels used, spread evenly over the layers used, ``[N, k, h, w]``."""
        import torch

        count = sum(outputs.layer_channels[: self.options.layers])
        used = min(self.options.channels, count)
        chosen = torch.arange(used, device=outputs.x.device) * count // used
        return outputs.x[:, chosen]

    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return the channels used, in half precision, which halves the memory they take."""
        return self._vectors(outputs).half()

    def fit_limit(self) -> int:
        """Return 1,024."""
        return _MOST_IMAGES

    def fit(self, embedded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return ``mean`` ``[L, 1, k]`` and ``whitening`` ``[L, k, k]`` of ``[N, k, h, w]``.

        L is h times w. The mean is float32. The matrices are float16, to halve the model file.
        """
        import torch

        images = len(embedded)
        # On the host in float64, which Metal does not have: small variances need the precision.
        points = embedded.cpu().flatten(2).permute(2, 0, 1)
        mean = points.double().mean(dim=1, keepdim=True)
        covariances = torch.stack(
            [
                centred.T @ centred / images
                for centred in (at.double() - m for at, m in zip(points, mean, strict=True))
            ]
        )
        own = images / (images + self.options.prior)
        covariances = torch.lerp(covariances.mean(dim=0), covariances, own)
        matrices = whitening(covariances, self.options.shrinkage)
        return {"mean": mean.float(), "whitening": matrices.half().contiguous()}

    def heatmap(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the Mahalanobis distance of each position, ``[N, h, w]``."""
        vectors = self._vectors(outputs)
        centred = vectors.flatten(2).permute(2, 0, 1).contiguous() - fitted["mean"]
        # One product for each position, of all images: [L, N, k] by [L, k, k].
        whitened = centred @ self._matrices(fitted["whitening"])
        distances = whitened.square().sum(dim=2).sqrt()
        return distances.T.reshape(vectors.shape[0], *vectors.shape[2:])

    def _matrices(self, stored: Tensor) -> Tensor:
        """Return *stored* in single precision, cached while it is the same."""
        kept = self._kept
        if kept is None or kept[0] is not stored:
            self._kept = kept = (stored, stored.float())
        return kept[1]


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``patch_mahalanobis``."""
    return [PatchMahalanobis]
