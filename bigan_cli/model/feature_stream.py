"""Feature vectors of training images that are read again in every epoch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bigan_cli.data.image_stream import ImageStream, Index
from bigan_cli.model.feature_extraction import Extraction, as_samples
from bigan_cli.model.networks import Networks
from bigan_cli.model.process_group import ProcessGroup
from bigan_cli.model.window_exchange import exchange_rows

# The features of a piece before normalisation, float16 [n, h, w, K], or its pixels, uint8
# [n, C, H, W].
Piece = NDArray[np.float16] | NDArray[np.uint8]
# A window, and those of its pieces that are this process's, by their numbers.
Loaded = tuple[Index, dict[int, Piece]]


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
        group: The processes that divide the work; by default this one alone.
    """

    def __init__(
        self,
        images: ImageStream,
        networks: Networks,
        sample: NDArray[np.float16],
        device: torch.device,
        described: str,
        inside: NDArray[np.bool_] | None = None,
        group: ProcessGroup | None = None,
    ) -> None:
        self.sample = sample
        self._group = group or ProcessGroup()
        self._images = images
        self._extraction = Extraction(networks, device, len(images), lambda _done, _total: None)
        self._inside = inside
        shape = networks.input_shape
        positions = shape.height * shape.width
        self._map_shape = (shape.height, shape.width, shape.channels)
        self._image_bytes = math.prod(self._map_shape) * np.dtype(np.float16).itemsize
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
        """Return this process's pieces of a window: features that are cached, else pixels.

        Raises:
            DataError: A block cannot be read; the message names it.
        """

        def read(piece: int) -> Piece:
            found = self._cached(piece)
            return self._images.load_piece(piece, keep=False) if found is None else found

        own = window[self._group.own_turns].tolist()
        with self._images.pool() as pool:
            return window, dict(zip(own, pool.map(read, own), strict=True))

    def samples(self, loaded: Loaded) -> NDArray[np.float16]:
        """Return the vectors of a window, normalised, float16 ``[M, K, 1, 1]``."""
        window, own = loaded
        maps = np.empty((self._images.count(window), *self._map_shape), np.float16)
        for piece, rows in zip(window.tolist(), self._images.rows(window), strict=True):
            if piece in own:
                maps[rows] = self._features(piece, own.pop(piece))  # dropped, to save memory
        exchange_rows(self._group, self._images, window, maps)
        for each in maps:
            each[:] = self._extraction.normalised(each.astype(np.float32))
        return as_samples(maps, self._inside)

    def _features(self, piece: int, loaded: Piece) -> NDArray[np.float16]:
        if loaded.dtype == np.uint8:  # unless the window before this one has cached the piece
            found = self._cached(piece)
            return self._extract(piece, loaded) if found is None else found  # type: ignore[arg-type]
        return loaded  # type: ignore[return-value]

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
