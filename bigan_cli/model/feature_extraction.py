"""Training features: feature maps of a frozen extractor, computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.model.cpu_threads import single_threaded_pool
from bigan_cli.model.networks import Networks, to_model_range

F = TypeVar("F", np.float16, np.float32)

# Feature vectors that suffice to estimate a mean and a standard deviation.
_MOST_VECTORS = 200_000
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
) -> TrainingFeatures:
    """Set the normalisation of the extractor of *networks* and return all feature maps.

    Every image passes through the backbone once.

    Args:
        networks: With a feature extractor; nothing else is changed.
        pixels: Images to train on, validation images and calibration images, each uint8
            ``[N, C, H, W]``; with cross-fitting the first alone, which are also the others.
        seed: Chooses the positions from which the normalisation is estimated.
        device: Where the extractor runs.
        on_progress: Called with (images done, total).
        inside: The positions of the images to train on that count, bool ``[h, w]`` or
            ``[N, h, w]``; by default all.
    """
    extractor = networks.extractor
    assert extractor is not None  # noqa: S101  checked by the caller
    extractor.to(device)
    total = sum(map(len, pixels))
    raw_features: Callable[[Tensor], Tensor] = extractor.raw  # type: ignore[assignment]
    if device.type == "cpu":
        raw_features = partial(one_at_a_time, raw_features)
    raw: list[NDArray[np.float32]] = []
    done = 0
    for images in pixels:
        maps = np.empty((len(images), *_channels_last(networks)), np.float32)
        for start, batch in _batches(images, device):
            found: Tensor = raw_features(batch)
            maps[start : start + len(batch)] = found.movedim(1, -1).cpu().numpy()
            done += len(batch)
            on_progress(done, total)
        raw.append(maps)
    extractor.cpu()
    vectors = vectors_of(raw[0], inside)
    chosen = np.random.default_rng(seed).permutation(len(vectors))[:_MOST_VECTORS]
    extractor.fit(torch.from_numpy(vectors[np.sort(chosen)]))  # type: ignore[operator]
    normalise: Callable[[Tensor], Tensor] = extractor.normalise  # type: ignore[assignment]
    normalised = [_normalised(maps, normalise) for maps in raw]
    state = {
        name: value.clone()
        for name, value in extractor.state_dict().items()
        if not name.startswith("backbone.")
    }
    train = normalised[0].astype(np.float16)
    if len(normalised) == 1:
        return TrainingFeatures(state, train, train, train)
    return TrainingFeatures(state, train, *normalised[1:])


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


def _channels_last(networks: Networks) -> tuple[int, int, int]:
    shape = networks.input_shape
    return shape.height, shape.width, shape.channels


def _normalised(
    maps: NDArray[np.float32], normalise: Callable[[Tensor], Tensor]
) -> NDArray[np.float32]:
    """Normalise maps ``[N, h, w, K]`` in place, one image at a time; return them."""
    for each in maps:
        image = torch.from_numpy(each)
        image.copy_(normalise(image.movedim(-1, 0)[None])[0].movedim(0, -1))
    return maps


def _batches(pixels: NDArray[np.uint8], device: torch.device) -> Iterator[tuple[int, Tensor]]:
    size = max(1, _BATCH_PIXELS // (pixels.shape[2] * pixels.shape[3]))
    for start in range(0, len(pixels), size):
        # A copy: torch warns about arrays that are not writable, such as memory-mapped ones.
        chunk = np.array(pixels[start : start + size])
        images = to_model_range(torch.from_numpy(chunk).to(device))
        yield start, images.contiguous(memory_format=torch.channels_last)
