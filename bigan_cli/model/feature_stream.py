"""Feature vectors of training images that are read again in every epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bigan_cli.data.image_stream import ImageStream, Index
from bigan_cli.model.feature_extraction import Extraction, as_samples
from bigan_cli.model.networks import Networks

# A piece of the images: its number, and its features before normalisation, float16 [n, h, w, K],
# or its pixels, uint8 [n, C, H, W].
Loaded = list[tuple[int, NDArray[np.float16] | NDArray[np.uint8]]]


class FeatureStream:
    """The feature vectors at every position of the images of an :class:`ImageStream`.

    Features are computed when their images are in the buffer. They are rounded to float16 before
    they are normalised, whether they come from the cache or not.

    Args:
        images: The images.
        networks: With an extractor whose normalisation is set.
        sample: The vectors of some of the images, float16 ``[M, K, 1, 1]``.
        device: Where the extractor runs.
        described: What besides the weights of the backbone decides the features.
        inside: The positions that count, bool ``[h, w]``; by default all.
    """

    def __init__(
        self,
        images: ImageStream,
        networks: Networks,
        sample: NDArray[np.float16],
        device: torch.device,
        described: str,
        inside: NDArray[np.bool_] | None = None,
    ) -> None:
        self.sample = sample
        self._images = images
        self._extraction = Extraction(networks, device, len(images), lambda _done, _total: None)
        self._inside = inside
        shape = networks.input_shape
        positions = shape.height * shape.width
        self._image_bytes = positions * shape.channels * np.dtype(np.float16).itemsize
        self._positions = positions if inside is None else int(inside.sum())
        self._key = (_backbone_digest(networks), device.type, described)

    def __len__(self) -> int:
        return len(self._images) * self._positions

    def windows(self, seed: int) -> Iterator[Index]:
        """Yield the windows; see :class:`~bigan_cli.model.window_batches.SampleStream`."""
        return self._images.windows(seed, self._image_bytes)

    def count(self, window: Index) -> int:
        """Return the number of vectors in a window."""
        return self._images.count(window) * self._positions

    def load(self, window: Index) -> Loaded:
        """Return the features of a window that are in the cache, else the pixels of its images.

        Raises:
            DataError: A block cannot be read; the message names it.
        """

        def read(piece: int) -> tuple[int, NDArray[np.float16] | NDArray[np.uint8]]:
            found = self._cached(piece)
            return piece, self._images.load_piece(piece, keep=False) if found is None else found

        with self._images.pool() as pool:
            return list(pool.map(read, window.tolist()))

    def samples(self, loaded: Loaded) -> NDArray[np.float16]:
        """Return the vectors of a window, normalised, float16 ``[M, K, 1, 1]``."""
        vectors = []
        while loaded:  # pieces are dropped one by one, to save memory
            piece, maps = loaded.pop(0)
            if maps.dtype == np.uint8:  # unless the window before this one has cached the piece
                found = self._cached(piece)
                maps = self._extract(piece, maps) if found is None else found  # type: ignore[arg-type]
            normalised = [self._extraction.normalised(each.astype(np.float32)) for each in maps]
            vectors.append(as_samples(np.stack(normalised), self._inside))
        return np.concatenate(vectors)

    def _cached(self, piece: int) -> NDArray[np.float16] | None:
        return self._images.cache.load(self._images.key(piece, *self._key), np.float16)

    @torch.no_grad()
    def _extract(self, piece: int, pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
        maps = self._extraction.raw(pixels, np.arange(len(pixels))).astype(np.float16)
        if self._images.is_complete(piece):
            self._images.cache.store(self._images.key(piece, *self._key), maps)
        return maps


def _backbone_digest(networks: Networks) -> str:
    extractor: Any = networks.extractor
    digest = hashlib.sha256()
    for name, value in sorted(extractor.state_dict().items()):
        if name.startswith("backbone."):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(value.cpu().numpy()).data)
    return digest.hexdigest()
