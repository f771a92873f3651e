"""Distance to the nearest training normals in a space that the networks have learned.

The space differs from component to component; the rule is one: the mean Euclidean distance to
the k nearest of a bounded bank of training normals (k-nearest-neighbour anomaly detection,
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


# Points of the bank that are searched together.
_GROUP = 64
# A space of so many dimensions is searched in the leading ones, if there are so many points: in
# three eighths of them, but no more than these.
_WIDE = 256
_MANY = 1024
_LEADING = 256
# Points that tell which they are.
_SAMPLE = 512
# What such a search finds at least, for a closer look.
_FOUND = 16
# From how many normals for each one that it keeps a coreset is chosen, at the most: more would
# have to be embedded and passed over for each choice.
_CANDIDATES = 8


Metric = Literal["euclidean", "cosine", "root"]
METRICS = (
    "How distance is measured; cosine compares what is seen, not how strongly, and root lies "
    "between: it takes the square root of how strongly."
)


class NeighbourOptions(Options):
    """Options of every nearest-neighbour component."""

    n_neighbors: int = Field(
        5, ge=1, le=1000, description="Number of nearest neighbours that are averaged."
    )
    metric: Metric = Field("euclidean", description=METRICS)
    memory_bank_size: int = Field(
        4096,
        ge=1,
        description="Number of training feature vectors kept; subsampling chooses them.",
    )
    subsampling: Literal["random", "coreset"] = Field(
        "random",
        description="How they are chosen; coreset keeps rare kinds of normals too, out of up to "
        "eight times as many, and takes longer.",
    )
    dimensions: int | None = Field(
        None,
        ge=1,
        description="Principal components of the bank that distances are measured in, for a "
        "smaller model file; by default, and where it has no more, the whole space.",
        examples=[64],
    )


class NeighbourComponent(ScoreComponent):
    """Base of the nearest-neighbour components; a subclass says in which space."""

    Options = NeighbourOptions
    _kept: tuple[Tensor, _Bank] | None = None

    @abstractmethod
    def embed(self, outputs: NetworkOutputs) -> Tensor:
        """Return the point of each image, ``[N, K]``."""

    def fit_limit(self) -> int:
        """Return the size of the bank, times eight where a coreset is chosen."""
        size: int = self.options.memory_bank_size
        return size * _CANDIDATES if self.options.subsampling == "coreset" else size

    def fit(self, embedded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Keep a part of the embedded normals ``[N, K]`` as the bank, in half precision.

        Returns:
            ``bank``, float16 ``[M, D]``, and ``scale`` ``[1]``, by which it is to be multiplied;
            where D is less than K also ``axes`` ``[K, D]``, the directions it is measured in.
        """
        embedded = embedded.cpu()
        bank = self._measured(embedded[self._chosen(embedded, generator)].float())
        fitted: dict[str, Tensor] = {}
        dimensions = self.options.dimensions
        if dimensions is not None and dimensions < bank.shape[1]:
            fitted["axes"] = principal_axes(bank, dimensions, generator)
            bank = bank @ fitted["axes"]
        # Half precision halves the model file; one scale keeps large features in its range.
        scale = bank.abs().max().clamp_min(1e-12)
        return fitted | {"bank": (bank / scale).half(), "scale": scale.reshape(1)}

    def score(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the mean distance to the nearest of the bank, ``[N]``."""
        import torch

        points = self._measured(self.embed(outputs).float())
        if "axes" in fitted:
            points = times(points, fitted["axes"])
        bank = self._opened(fitted)
        nearest = min(self.options.n_neighbors, len(bank.points))
        candidates = bank.candidates(points, nearest)
        # The search leaves dimensions out, and loses small distances to rounding: those of the
        # few that it found are computed once more, from the differences.
        found = bank.points.index_select(0, candidates.flatten())
        apart = found.unflatten(0, candidates.shape).sub_(points[:, None])
        distances = torch.linalg.vector_norm(apart, dim=2)
        mean: Tensor = distances.topk(nearest, dim=1, largest=False).values.mean(dim=1)
        return mean

    def _chosen(self, embedded: Tensor, generator: torch.Generator) -> Tensor:
        """Return which of the embedded normals to keep, int64 ``[min(N, memory_bank_size)]``."""
        import torch

        size = self.options.memory_bank_size
        if self.options.subsampling == "coreset" and len(embedded) > size:
            return coreset(embedded, size, self._measured, generator)
        return torch.randperm(len(embedded), generator=generator)[:size]

    def _measured(self, points: Tensor) -> Tensor:
        """Return *points* such that Euclidean distances between them are the metric's.

        That of unit vectors grows with their angle, as the cosine distance does.
        """
        if self.options.metric == "euclidean":
            return points
        length = points.norm(dim=1, keepdim=True).clamp_min(1e-12)
        measured: Tensor = points / (length if self.options.metric == "cosine" else length.sqrt())
        return measured

    def _opened(self, fitted: Mapping[str, Tensor]) -> _Bank:
        """Return the bank in single precision, made once and kept while *fitted* is the same."""
        stored = fitted["bank"]
        kept = self._kept
        if kept is None or kept[0] is not stored:
            self._kept = kept = (stored, _Bank(stored.float() * fitted["scale"]))
        return kept[1]


class _Bank:
    """Points to search among, ``[M, K]``."""

    def __init__(self, points: Tensor) -> None:
        import torch

        self.points = points
        # Around their middle, where squares are small and lose least to rounding.
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
        """Return which points of the bank may be the *nearest* to each of *points*, ``[N, C]``.

        C is a few times *nearest*, since those at nearly the same distance may be taken for each
        other.
        """
        centred = points - self._centre
        number = 2 * nearest
        if self._axes is not None:
            centred = centred @ self._axes
            number = max(4 * nearest, _FOUND)
        number = min(number, len(self.points))
        # The squared distances, less the length of the point itself, which changes no order. In
        # the leading dimensions alone: as if what two points have in the others were at right
        # angles, as it nearly is where these are many.
        apart = (self._lengths + centred @ self._directions).unflatten(1, (-1, _GROUP))
        # The nearest lie in the groups whose own nearest are so: a look at these is enough.
        groups = apart.amin(dim=2).topk(min(number, apart.shape[1]), dim=1, largest=False).indices
        within = apart.gather(1, groups[..., None].expand(-1, -1, _GROUP)).flatten(1)
        found = within.topk(number, dim=1, largest=False).indices
        indices: Tensor = groups.gather(1, found // _GROUP) * _GROUP + found % _GROUP
        return indices


def _leading_axes(centred: Tensor) -> Tensor | None:
    """Return the directions in which points ``[M, K]`` differ most, ``[K, L]``.

    None where the space is not wide, or the points are few. A sample of them tells: which
    directions exactly is of little consequence, as they only decide what is looked at closely.
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
