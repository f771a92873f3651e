"""Outlier scores of the images of a folder, by nearest neighbours and without training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Distances to this many others are averaged, so that one copy does not make an image ordinary.
_NEIGHBOURS = 3
# An image this much closer to another than images usually are is nearly a copy of it.
_NEARLY = 0.5
_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True, eq=False)
class Strangeness:
    """What the distances between images say.

    Attributes:
        score: float64 ``[N]``, the mean distance to the three nearest others over that of the
            median image: 1 is ordinary, and each image is compared with the others alone
            (leave-one-out).
        nearest: int64 ``[N]``, the nearest other image.
        near_copy: bool ``[N]``, whether that is at less than half the usual distance.
    """

    score: NDArray[np.float64]
    nearest: NDArray[np.int64]
    near_copy: NDArray[np.bool_]


def strangeness(vectors: NDArray[np.float32]) -> Strangeness:
    """Compare each of N images with the others.

    Args:
        vectors: float32 ``[N, K]``, features of the images; N of 2 or more.
    """
    features = vectors.astype(np.float64)
    deviation = features.std(axis=0)
    features = (features - features.mean(axis=0)) / np.maximum(deviation, _LEAST_DEVIATION)
    count = len(features)
    near = np.empty((count, min(_NEIGHBOURS, count - 1)))
    nearest = np.empty(count, np.int64)
    lengths = (features**2).sum(axis=1)
    for i, own in enumerate(features):
        squared = lengths + lengths[i] - 2 * (features @ own)
        squared[i] = np.inf
        distance = np.sqrt(np.maximum(squared, 0))
        nearest[i] = distance.argmin()
        near[i] = np.partition(distance, near.shape[1] - 1)[: near.shape[1]]
    near.sort(axis=1)
    usual = float(np.median(near.mean(axis=1))) or 1.0
    typical = float(np.median(near[:, 0])) or 1.0
    return Strangeness(near.mean(axis=1) / usual, nearest, near[:, 0] < _NEARLY * typical)
