"""The decoded and resized images of one split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bigan_cli.contracts import Mask, RawImage


@dataclass(frozen=True)
class ImageSet:
    """Images of one size, resident in memory or memory-mapped.

    Attributes:
        pixels: uint8 ``[N, C, H, W]``.
        labels: int64 ``[N]``, the dataset's class of each image.
        outlier: bool ``[N]``, whether the image is an anomaly under the run's protocol.
        names: Name of each image in results.
        masks: Ground-truth mask or masks of each image, or None, if the dataset has masks.
        sources: The original images of the dataset, read when indexed, or None.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    outlier: NDArray[np.bool_]
    names: Sequence[str]
    masks: Sequence[Mask | tuple[Mask, ...] | None] | None = None
    sources: Sequence[RawImage] | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def drawn(self, count: int, rng: np.random.Generator) -> ImageSet:
        """Return a random sample of *count* images, normal ones first; all if there are fewer.

        Half of them are anomalies, if there are enough; more if there are few normal images.
        """
        count = min(count, len(self))
        anomalies = rng.permutation(np.flatnonzero(self.outlier))
        normals = rng.permutation(np.flatnonzero(~self.outlier))
        wanted = min(len(anomalies), max(count // 2, count - len(normals)))
        chosen = np.concatenate([normals[: count - wanted], anomalies[:wanted]])
        return self.take(chosen.astype(np.int64))

    def take(self, index: NDArray[np.int64]) -> ImageSet:
        """Return the images at *index*, in that order, without their sources."""
        return ImageSet(
            self.pixels[index],
            self.labels[index],
            self.outlier[index],
            [self.names[i] for i in index],
            None if self.masks is None else [self.masks[i] for i in index],
        )
