"""Distance to the nearest training images in a learned feature space.

The components differ in the space only: each is the mean Euclidean distance to the k nearest
vectors of a bounded memory bank of training images (k-nearest-neighbour anomaly detection,
Ramaswamy et al. 2000; on learned features, Bergman et al. 2020, arXiv 2002.10445).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bigan_cli.contracts import NetworkOutputs, Options, ScoreComponent
from bigan_cli.scoring.components._coreset import coreset
from bigan_cli.scoring.components._principal import principal_axes
from bigan_cli.scoring.components._rows import WIDTH, times

if TYPE_CHECKING:
    import torch
    from torch import Tensor


# Points of the bank per block of the search.
_GROUP = 64
# A space of at least this many dimensions is searched in its leading ones if there are enough
# points: in three eighths of them, up to a maximum.
_WIDE = 256
_MANY = 1024
_LEADING = 256
# Sample from which the leading directions are computed.
_SAMPLE = 512
# Smallest number of candidates of such a search.
_FOUND = 16
# A coreset is selected among at most this many images per selected one: each must be embedded,
# and compared in every step.
_CANDIDATES = 8


Metric = Literal["euclidean", "cosine", "root"]
METRICS = (
    "Metric of the distances: Euclidean; of vectors normalised to length 1 (cosine); or of "
    "vectors divided by the square root of their length (root)."
)


class NeighbourOptions(Options):
    """Options of every nearest-neighbour component."""

    n_neighbors: int = Field(
        5, ge=1, le=1000, description="Number of nearest neighbours to average."
    )
    metric: Metric = Field("euclidean", description=METRICS)
    memory_bank_size: int = Field(
        4096,
        ge=1,
        description="Number of training feature vectors kept; subsampling chooses them.",
    )
    subsampling: Literal["random", "coreset"] = Field(
        "random",
        description="How they are chosen; coreset keeps rare kinds of normal images too, out of up "
        "to eight times as many, and takes longer.",
    )
    dimensions: int | None = Field(
        None,
        ge=1,
        description="Number of principal components of the bank to measure distances in, for a "
        "smaller model file; by default the whole space.",
        examples=[64],
    )


class NeighbourComponent(ScoreComponent):
    """Base of the nearest-neighbour components; a subclass defines the space."""

    Options = NeighbourOptions
    _kept: tuple[Tensor, _Bank] | None = None

    @abstractmethod
    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return the point of each image, ``[N, K]``."""

    def fit_limit(self) -> int:
        """Return the size of the bank, times eight for a coreset."""
        size: int = self.options.memory_bank_size
        return size * _CANDIDATES if self.options.subsampling == "coreset" else size

    def fit(self, embedded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Select the bank among the embedded training images ``[N, K]``, in half precision.

        Returns:
            ``bank``, float16 ``[M, D]``, and ``scale`` ``[1]``, a factor of all its values; if D
            is less than K also ``axes`` ``[K, D]``, its principal directions.
        """
        embedded = embedded.cpu()
        bank = self._measured(embedded[self._chosen(embedded, generator)].float())
        fitted: dict[str, Tensor] = {}
        dimensions = self.options.dimensions
        if dimensions is not None and dimensions < bank.shape[1]:
            fitted["axes"] = principal_axes(bank, dimensions, generator)
            bank = bank @ fitted["axes"]
        # Half precision halves the model file; the scale keeps large features in its range.
        scale = bank.abs().max().clamp_min(1e-12)
        return fitted | {"bank": (bank / scale).half(), "scale": scale.reshape(1)}

    def score(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the mean distance to the nearest neighbours in the bank, ``[N]``."""
        import torch

        points = self._measured(self.embed(outputs).float())
        if "axes" in fitted:
            points = times(points, fitted["axes"])
        bank = self._opened(fitted)
        nearest = min(self.options.n_neighbors, len(bank.points))
        candidates = bank.candidates(points, nearest)
        # The search uses the leading dimensions and rounds small distances, so the distances of
        # its candidates are computed again from the differences.
        found = bank.points.index_select(0, candidates.flatten())
        apart = found.unflatten(0, candidates.shape).sub_(points[:, None])
        distances = torch.linalg.vector_norm(apart, dim=2)
        mean: Tensor = distances.topk(nearest, dim=1, largest=False).values.mean(dim=1)
        return mean

    def _chosen(self, embedded: Tensor, generator: torch.Generator) -> Tensor:
        """Return indices of embedded images to keep, int64 ``[min(N, memory_bank_size)]``."""
        import torch

        size = self.options.memory_bank_size
        if self.options.subsampling == "coreset" and len(embedded) > size:
            return coreset(embedded, size, self._measured, generator)
        return torch.randperm(len(embedded), generator=generator)[:size]

    def _measured(self, points: Tensor) -> Tensor:
        """Return *points* mapped such that Euclidean distances are those of the metric.

        The Euclidean distance of unit vectors increases with the cosine distance.
        """
        if self.options.metric == "euclidean":
            return points
        length = points.norm(dim=1, keepdim=True).clamp_min(1e-12)
        measured: Tensor = points / (length if self.options.metric == "cosine" else length.sqrt())
        return measured

    def _opened(self, fitted: Mapping[str, Tensor]) -> _Bank:
        """Return the bank in single precision, cached while *fitted* is the same."""
        stored = fitted["bank"]
        kept = self._kept
        if kept is None or kept[0] is not stored:
            self._kept = kept = (stored, _Bank(stored.float() * fitted["scale"]))
        return kept[1]


class _Bank:
    """The points of a bank ``[M, K]``, prepared for the search."""

    def __init__(self, points: Tensor) -> None:
        import torch

        self.points = points
        # Centred, so that squares are small and rounding errors least.
        self._centre = points.mean(dim=0)
        centred = points - self._centre
        groups = -(-len(points) // _GROUP)
        short = groups * _GROUP - len(points)
        lengths = centred.square().sum(dim=1)
        self._lengths = torch.nn.functional.pad(lengths, (0, short), value=float("inf"))
        self._axes = _leading_axes(centred)
        if self._axes is not None:
            centred = centred @ self._axes
        self._directions = torch.nn.functional.pad(-2 * centred.T, (0, short)).contiguous()

    def candidates(self, points: Tensor, nearest: int) -> Tensor:
        """Return the candidates for the *nearest* neighbours of each point, indices ``[N, C]``.

        C is a few times *nearest*, since the search is approximate.
        """
        centred = points - self._centre
        number = 2 * nearest
        if self._axes is not None:
            centred = centred @ self._axes
            number = max(4 * nearest, _FOUND)
        number = min(number, len(self.points))
        # Squared distances minus the squared length of the point, which keeps the order. The
        # other dimensions count as if orthogonal, as they nearly are in high dimensions.
        apart = (self._lengths + centred @ self._directions).unflatten(1, (-1, _GROUP))
        # The nearest are in the groups with the smallest minima: search only these.
        groups = apart.amin(dim=2).topk(min(number, apart.shape[1]), dim=1, largest=False).indices
        within = apart.gather(1, groups[..., None].expand(-1, -1, _GROUP)).flatten(1)
        found = within.topk(number, dim=1, largest=False).indices
        indices: Tensor = groups.gather(1, found // _GROUP) * _GROUP + found % _GROUP
        return indices


def _leading_axes(centred: Tensor) -> Tensor | None:
    """Return the directions of largest variance of points ``[M, K]``, ``[K, L]``.

    None if the space has few dimensions, or there are few points. They are computed from a
    sample: they only decide the candidates, whose distances are computed exactly.
    """
    import torch

    count, dimensions = centred.shape
    if dimensions < _WIDE or count < _MANY:
        return None
    leading = min(dimensions * 3 // 8 // WIDTH * WIDTH, _LEADING)
    sample = centred[:_SAMPLE].cpu()  # Metal has no eigendecomposition
    _, vectors = torch.linalg.eigh(sample @ sample.T)
    axes, _ = torch.linalg.qr(sample.T @ vectors[:, -leading:])
    leading_axes: Tensor = axes.contiguous().to(centred.device)
    return leading_axes
