"""One palette for all frames of a GIF, which has at most 256 colours.

Separate palettes would make still parts flicker, and dithering would add grain to the flat
squares of enlarged pixels. So the colours of all frames are counted together: if there are few,
they are kept exactly, otherwise k-means clusters them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# One is reserved for "unchanged from the previous frame".
MOST_COLOURS = 255

_EXACT = 24
_SAMPLE = 20_000
_ROUNDS = 12
_BLOCK = 1 << 16


@dataclass(frozen=True, eq=False)
class Palette:
    """Colours uint8 ``[K, 3]``, and the index of the nearest one for each 24-bit colour."""

    colours: NDArray[np.uint8]
    nearest: NDArray[np.uint8]

    def index(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a frame ``[H, W, 3]`` as indices into the colours, ``[H, W]``."""
        return self.nearest[_packed(frame)]


def shared_palette(frames: Iterable[NDArray[np.uint8]]) -> Palette:
    """Choose at most :data:`MOST_COLOURS` colours for all *frames* (uint8 ``[H, W, 3]``)."""
    codes, counts = _count(frames)
    seen = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)
    colours = seen if len(seen) <= MOST_COLOURS else _cluster(seen, counts)
    nearest = np.zeros(1 << 24, dtype=np.uint8)
    nearest[codes] = _assign(seen.astype(np.float32), colours.astype(np.float32))
    return Palette(colours, nearest)


def _packed(frame: NDArray[np.uint8]) -> NDArray[np.uint32]:
    wide = frame.astype(np.uint32)
    return (wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]).astype(np.uint32)


def _count(
    frames: Iterable[NDArray[np.uint8]],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the distinct colours of the frames, packed in 24 bits, and their counts."""
    total = np.zeros(1 << 24, dtype=np.uint32)
    for frame in frames:
        codes, counts = np.unique(_packed(frame), return_counts=True)
        total[codes] += counts.astype(np.uint32)
    seen = np.flatnonzero(total).astype(np.uint32)
    return seen, total[seen].astype(np.int64)


def _cluster(seen: NDArray[np.uint8], counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return :data:`MOST_COLOURS` colours near all of *seen*; the most common are kept exactly.

    Colours are weighted by the square root of their counts, so that large plain areas do not
    take the whole palette.
    """
    rng = np.random.default_rng(0)
    exact = seen[np.argsort(-counts, kind="stable")[:_EXACT]].astype(np.float32)
    weights = np.sqrt(counts)
    if len(seen) > _SAMPLE:
        chosen = rng.choice(len(seen), _SAMPLE, replace=False, p=weights / weights.sum())
        # Sampled by weight already.
        points, weights = seen[chosen].astype(np.float32), np.ones(_SAMPLE)
    else:
        points = seen.astype(np.float32)
    centres = _spread(points, weights, exact, MOST_COLOURS)
    for _ in range(_ROUNDS):
        owner = _assign(points, centres)
        mass = np.bincount(owner, weights, len(centres))
        sums = [np.bincount(owner, weights * points[:, c], len(centres)) for c in range(3)]
        means = np.stack(sums, axis=1) / np.maximum(mass, 1e-12)[:, None]
        moved = (mass > 0) & (np.arange(len(centres)) >= len(exact))
        centres[moved] = means[moved]
    return np.unique(np.rint(centres).astype(np.uint8), axis=0)


def _spread(
    points: NDArray[np.float32],
    weights: NDArray[np.float64],
    first: NDArray[np.float32],
    count: int,
) -> NDArray[np.float32]:
    """Return *count* initial centres: *first*, then the point with the largest error each time."""
    centres = np.empty((count, 3), dtype=np.float32)
    centres[: len(first)] = first
    gap = np.full(len(points), np.inf)
    for i in range(count):
        if i >= len(first):
            centres[i] = points[np.argmax(gap * np.sqrt(weights))]
        gap = np.minimum(gap, ((points - centres[i]) ** 2).sum(axis=1))
    return centres


def _assign(points: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the index of the centre nearest to each point."""
    owner = np.empty(len(points), dtype=np.uint8)
    lengths = (centres**2).sum(axis=1)
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        owner[start : start + _BLOCK] = np.argmin(lengths - 2 * block @ centres.T, axis=1)
    return owner
