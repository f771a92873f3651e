"""Batches of training images on the device, in a given order.

Pixels stay uint8, and features float16, until a batch is used. If they fit, they are stored on
the device and a batch is one indexing operation. Otherwise a thread gathers the next batches on
the host while the device computes. No worker process is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Images uint8 [N, C, H, W], or features [N, K, 1, 1].
Samples: TypeAlias = NDArray[np.uint8] | NDArray[np.float16] | NDArray[np.float32]

# Fraction of a GPU's free memory for images; the rest is for the networks.
_GPU_SHARE = 0.5
# Batches gathered in advance.
_AHEAD = 2


def images_at_once(most: int, height: int, width: int) -> int:
    """Return the number of images per forward pass: *most*, or fewer if larger than 64x64.

    The number of pixels is then that of *most* images of 64x64.
    """
    return max(1, min(most, most * 64 * 64 // (height * width)))


class Batches(Protocol):
    """Images as batches in any order."""

    def __len__(self) -> int:
        """Return the number of images."""

    def in_order(self, order: NDArray[np.int64], batch_size: int) -> Generator[Tensor, None, None]:
        """Yield the images at the indices *order*, uint8 ``[N, C, H, W]`` on the device.

        N is *batch_size*, or less in the last batch.
        """

    def shuffled(
        self, seed: int, passes: int, steps: range, batch_size: int
    ) -> Generator[Tensor, None, None]:
        """Yield the batches of the *steps* of an epoch, counted from 0, on the device.

        Args:
            seed: Decides, with *passes* alone, the order of the images. Each pass over them has
                its own order.
            passes: How many times an epoch passes over the images, enough for all *steps*.
            steps: Consecutive steps.
            batch_size: Images of every batch.
        """


def make_batches(pixels: Samples, device: torch.device) -> Batches:
    """Return the batches of *pixels*, uint8 ``[N, C, H, W]``, resident on *device* if they fit."""
    if _fits(pixels, device):
        return ResidentBatches(pixels, device)
    return StreamedBatches(pixels, device)


def _fits(pixels: Samples, device: torch.device) -> bool:
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return pixels.nbytes <= _GPU_SHARE * free
    # Arrays are mapped from a file because they are too large for memory.
    return not isinstance(pixels, np.memmap)


class _AnyOrder(Batches):
    """Batches of images of which every order costs the same."""

    def shuffled(
        self, seed: int, passes: int, steps: range, batch_size: int
    ) -> Generator[Tensor, None, None]:
        """Yield the batches of *steps*; see :class:`Batches`."""
        order = _random_order(len(self), passes, seed)
        yield from self.in_order(
            order[steps.start * batch_size : steps.stop * batch_size], batch_size
        )


class ResidentBatches(_AnyOrder):
    """Batches of images that are all stored on the device."""

    def __init__(self, pixels: Samples, device: torch.device) -> None:
        self._pixels = _as_tensor(pixels).to(device)

    def __len__(self) -> int:
        return len(self._pixels)

    def in_order(self, order: NDArray[np.int64], batch_size: int) -> Generator[Tensor, None, None]:
        """Yield the images at *order*; see :class:`Batches`."""
        rows = torch.from_numpy(order).to(self._pixels.device)
        for start in range(0, len(order), batch_size):
            yield self._pixels[rows[start : start + batch_size]]


class StreamedBatches(_AnyOrder):
    """Batches of images on the host, gathered in advance by a thread.

    For a GPU they are gathered into pinned memory, so the copy overlaps with computation.
    """

    def __init__(self, pixels: Samples, device: torch.device) -> None:
        self._pixels = pixels
        self._device = device
        self._dtype = torch.from_numpy(np.empty(0, pixels.dtype)).dtype

    def __len__(self) -> int:
        return len(self._pixels)

    def in_order(self, order: NDArray[np.int64], batch_size: int) -> Generator[Tensor, None, None]:
        """Yield the images at *order*; see :class:`Batches`."""
        waiting: deque[Future[Tensor]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as gatherer:
            for start in range(0, len(order), batch_size):
                waiting.append(gatherer.submit(self._gather, order[start : start + batch_size]))
                if len(waiting) > _AHEAD:
                    yield self._on_device(waiting.popleft())
            while waiting:
                yield self._on_device(waiting.popleft())

    def _gather(self, rows: NDArray[np.int64]) -> Tensor:
        host = torch.empty(
            (len(rows), *self._pixels.shape[1:]),
            dtype=self._dtype,
            pin_memory=self._device.type == "cuda",
        )
        # All indices are in range; with mode="clip" numpy writes to the buffer directly.
        np.take(self._pixels, rows, axis=0, out=host.numpy(), mode="clip")
        return host

    def _on_device(self, gathered: Future[Tensor]) -> Tensor:
        # Only pinned memory can be copied asynchronously.
        return gathered.result().to(self._device, non_blocking=self._device.type == "cuda")


def _random_order(count: int, passes: int, seed: int) -> NDArray[np.int64]:
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(count, generator=generator) for _ in range(passes)]
    order: NDArray[np.int64] = torch.cat(orders).numpy()
    return order


def _as_tensor(pixels: Samples) -> Tensor:
    # PyTorch warns about arrays that are not writable, such as mapped files.
    writable = pixels.flags.writeable and pixels.flags.c_contiguous
    return torch.from_numpy(pixels if writable else pixels.copy())
