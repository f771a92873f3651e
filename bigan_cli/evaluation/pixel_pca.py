"""PCA on pixels, scored by the worst pixels: what a few lines find without any network."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

# Longest side that images are reduced to, by means of blocks of pixels.
_SIDE = 128
_VARIANCE = 0.9
# A defect covers a small part of an image.
_WORST_PORTION = 0.005


class PixelPCA:
    """Principal components of normal images; the score is the squared error of the worst pixels.

    Args:
        images: uint8 ``[C, H, W]``, two or more of one shape.
    """

    def __init__(self, images: Iterable[Image]) -> None:
        rows = np.stack([reduced(image).reshape(-1) for image in images])
        self._mean = rows.mean(axis=0)
        rows -= self._mean
        # From the matrix of inner products, since there are more pixels than images.
        values, vectors = np.linalg.eigh((rows @ rows.T).astype(np.float64))
        values, vectors = values[::-1].clip(0), vectors[:, ::-1]
        share = np.cumsum(values) / max(values.sum(), 1e-12)
        count = int(np.searchsorted(share, _VARIANCE)) + 1
        lengths = np.sqrt(values[:count]).clip(1e-6)
        self._axes = (rows.T @ (vectors[:, :count] / lengths)).astype(np.float32)

    def scores(self, images: Iterable[Image]) -> Floats:
        """Return float64 ``[M]``: the mean squared error of the worst 0.5 % of the pixels."""
        return np.array([self._score(image) for image in images])

    def _score(self, image: Image) -> float:
        small = reduced(image)
        row = small.reshape(-1) - self._mean
        error = np.square(row - self._axes @ (row @ self._axes))
        of_pixels = error.reshape(len(small), -1).mean(axis=0, dtype=np.float64)
        number = max(1, round(_WORST_PORTION * len(of_pixels)))
        return float(np.partition(of_pixels, -number)[-number:].mean())


def reduced(image: Image) -> NDArray[np.float32]:
    """Return an image ``[C, H, W]`` with no side above 128 pixels, float32 from 0 to 1."""
    factor = -(-max(image.shape[1:]) // _SIDE)
    height, width = (side // factor for side in image.shape[1:])
    cut = image[:, : height * factor, : width * factor].astype(np.float32) / np.float32(255)
    blocks = cut.reshape(len(image), height, factor, width, factor)
    small: NDArray[np.float32] = blocks.mean(axis=(2, 4), dtype=np.float32)
    return small
