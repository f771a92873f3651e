"""Training features: feature maps of a frozen extractor, computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.model.cpu_threads import single_threaded_pool
from bigan_cli.model.networks import Networks, to_model_range
from bigan_cli.model.process_group import ProcessGroup

F = TypeVar("F", np.float16, np.float32)

# Feature vectors that suffice to estimate a mean and a standard deviation.
_MOST_VECTORS = 200_000
# Images from which they come, and whose features are in memory in full precision at a time.
_MOST_IMAGES = 1024
# Pixels per forward pass of the extractor.
_BATCH_PIXELS = 16 * 256 * 256


@dataclass(frozen=True, eq=False)
class TrainingFeatures:
    """Feature maps of normal images, channels last, and the extractor's normalisation.

    Attributes:
        normalisation: The extractor's state besides the backbone's weights.
        train: Of the images to train on, float16 ``[N, h, w, K]``.
        validation: Of the validation images, float32 ``[N, h, w, K]``.
        calibration: Of the calibration images, float32 ``[N, h, w, K]``.
    """

    normalisation: dict[str, Tensor]
    train: NDArray[np.float16]
    validation: NDArray[np.float32] | NDArray[np.float16]
    calibration: NDArray[np.float32] | NDArray[np.float16]


@torch.no_grad()
def prepare_features(
    networks: Networks,
    pixels: Sequence[NDArray[np.uint8]],
    seed: int,
    device: torch.device,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    inside: NDArray[np.bool_] | None = None,
    group: ProcessGroup | None = None,
) -> TrainingFeatures:
    """Set the normalisation of the extractor of *networks* and return all feature maps.

    Every image passes through the backbone once, in one of the processes.

    Args:
        networks: With a feature extractor; nothing else is changed.
        pixels: Images to train on, validation images and calibration images, each uint8
            ``[N, C, H, W]``; with cross-fitting the first alone, which are also the others.
        seed: Chooses the positions from which the normalisation is estimated.
        device: Where the extractor runs.
        on_progress: Called with (images done, total).
        inside: The positions of the images to train on that count, bool ``[h, w]`` or
            ``[N, h, w]``; by default all.
        group: The processes that compute the features of a part of the images each; all have the
            same arguments and get the same result.
    """
    assert networks.extractor is not None  # noqa: S101  checked by the caller
    extraction = Extraction(networks, device, sum(map(len, pixels)), on_progress, group)
    train, others = pixels[0], pixels[1:]
    # What the normalisation is estimated from; the images of a small folder are all of them.
    order = np.random.default_rng([seed, len(train)]).permutation(len(train))
    first, rest = np.sort(order[:_MOST_IMAGES]), np.sort(order[_MOST_IMAGES:])
    raw = extraction.raw(train, first)
    known = inside if inside is None or inside.ndim == 2 else inside[first]
    vectors = vectors_of(raw, known)
    chosen = np.random.default_rng(seed).permutation(len(vectors))[:_MOST_VECTORS]
    state = extraction.fit(torch.from_numpy(vectors[np.sort(chosen)]))
    features = np.empty((len(train), *raw.shape[1:]), np.float16)
    for index, each in zip(first, raw, strict=True):
        features[index] = extraction.normalised(each)
    # In parts: only half-precision features of all images are ever in memory.
    for part in np.array_split(rest, -(-len(rest) // _MOST_IMAGES) or 1):
        for index, each in zip(part, extraction.raw(train, part), strict=True):
            features[index] = extraction.normalised(each)
    if not others:
        return TrainingFeatures(state, features, features, features)
    exact = []
    for images in others:
        maps = extraction.raw(images, np.arange(len(images)))
        for each in maps:
            each[:] = extraction.normalised(each)
        exact.append(maps)
    return TrainingFeatures(state, features, *exact)


class Extraction:
    """The extractor of *networks* at work, with its progress.

    Args:
        networks: With an extractor.
        device: Where it runs.
        total: The number of images, for the progress.
        on_progress: Called with (images done, total).
        group: The processes that divide the images; by default this one alone.
    """

    def __init__(
        self,
        networks: Networks,
        device: torch.device,
        total: int,
        on_progress: Callable[[int, int], None],
        group: ProcessGroup | None = None,
    ) -> None:
        self._shape = networks.input_shape
        self._extractor: Any = networks.extractor
        self._device = device
        self._done, self._total, self._on_progress = 0, total, on_progress
        self._group = group or ProcessGroup()

    def raw(self, pixels: NDArray[np.uint8], index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of some images before normalisation, ``[n, h, w, K]``.

        All processes must call it with the same images.
        """
        shape = self._shape
        maps = np.empty((len(index), shape.height, shape.width, shape.channels), np.float32)
        shares = self._group.shares(len(index))
        own = shares[self._group.rank]
        self._compute(pixels, index[own], maps[own])
        self._group.exchange([torch.from_numpy(maps[each]) for each in shares])
        self._done += len(index)
        self._on_progress(self._done, self._total)
        return maps

    def _compute(
        self, pixels: NDArray[np.uint8], index: NDArray[np.int64], maps: NDArray[np.float32]
    ) -> None:
        """Write the features of the images at *index* into *maps*."""
        self._extractor.to(self._device)
        extract: Callable[[Tensor], Tensor] = self._extractor.raw
        if self._device.type == "cpu":
            extract = partial(one_at_a_time, extract)
        size = max(1, _BATCH_PIXELS // (pixels.shape[2] * pixels.shape[3]))
        for start in range(0, len(index), size):
            images = to_model_range(
                torch.from_numpy(pixels[index[start : start + size]]).to(self._device)
            )
            found = extract(images.contiguous(memory_format=torch.channels_last))
            maps[start : start + size] = found.movedim(1, -1).cpu().numpy()
            if start + size < len(index):  # as many are done in each of the other processes
                done = self._done + (start + size) * self._group.size
                self._on_progress(done, self._total)
        self._extractor.cpu()

    def fit(self, vectors: Tensor) -> dict[str, Tensor]:
        """Estimate the normalisation from vectors ``[M, K]``; return its state."""
        self._extractor.fit(vectors)
        return {
            name: value.clone()
            for name, value in self._extractor.state_dict().items()
            if not name.startswith("backbone.")
        }

    def normalised(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features ``[h, w, K]`` of an image, normalised."""
        image = torch.from_numpy(maps).movedim(-1, 0)[None]
        found: NDArray[np.float32] = self._extractor.normalise(image)[0].movedim(0, -1).numpy()
        return found


def one_at_a_time(extract: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return the features of images ``[N, C, H, W]`` on a CPU, each computed by one thread.

    The activations of several photographs do not fit into the caches, which doubles the time for
    each. And the features of an image do not depend on the other images, to the bit.
    """
    if torch.compiler.is_compiling():  # a graph for any number of images
        return extract(images)

    @torch.no_grad()
    def one(image: Tensor) -> Tensor:
        return extract(image)

    singles = images.split(1)
    threads = min(torch.get_num_threads(), len(singles))
    if threads == 1:
        return torch.cat([one(image) for image in singles])
    with single_threaded_pool(threads, "features") as pool:
        return torch.cat(list(pool.map(one, singles)))


def vectors_of(maps: NDArray[F], inside: NDArray[np.bool_] | None) -> NDArray[F]:
    """Return the vectors ``[M, K]`` of feature maps ``[N, h, w, K]``.

    Args:
        maps: Channels last.
        inside: The positions that count, bool ``[h, w]`` or ``[N, h, w]``; by default all.
    """
    if inside is None:
        return maps.reshape(-1, maps.shape[-1])
    return maps[np.broadcast_to(inside, maps.shape[:3])]


def as_samples(
    maps: NDArray[np.float16] | NDArray[np.float32], inside: NDArray[np.bool_] | None = None
) -> NDArray[np.float16]:
    """Return :func:`vectors_of` as inputs of the networks, float16 ``[M, K, 1, 1]``."""
    vectors: NDArray[Any] = vectors_of(maps, inside)
    return vectors[:, :, None, None].astype(np.float16, copy=False)
