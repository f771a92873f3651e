"""Batches of training samples that are too many for memory, from one window after another.

A window is what a bounded buffer holds (see :mod:`bigan_cli.data.image_stream`). Its samples are
taken in random order while a thread loads the next window. The order of an epoch depends on its
seed alone, so that training can be resumed at any step.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.data.image_stream import ImageStream, Index
from bigan_cli.model.batches import Batches, Samples, make_batches
from bigan_cli.model.process_group import ProcessGroup
from bigan_cli.model.window_exchange import exchange_rows


@runtime_checkable
class SampleStream(Protocol):
    """Training samples that are loaded window by window."""

    @property
    def sample(self) -> Samples:
        """Some of them, in memory: images uint8 ``[N, C, H, W]``, or vectors ``[N, K, 1, 1]``."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def windows(self, seed: int) -> Iterator[Index]:
        """Yield the windows of one pass over all samples; *seed* decides their order."""

    def count(self, window: Index) -> int:
        """Return the number of samples in a window."""

    def load(self, window: Index) -> Any:
        """Read a window; called in a thread."""

    def samples(self, loaded: Any) -> Samples:
        """Return the samples of a loaded window; called by the thread that trains."""


class PixelStream:
    """The images of an :class:`ImageStream` as samples.

    Args:
        images: The images.
        sample: Some of them, uint8 ``[N, C, H, W]``.
        group: The processes that divide the work; by default this one alone.
    """

    def __init__(
        self, images: ImageStream, sample: Samples, group: ProcessGroup | None = None
    ) -> None:
        self._images = images
        self._group = group or ProcessGroup()
        self.sample = sample

    def __len__(self) -> int:
        return len(self._images)

    def windows(self, seed: int) -> Iterator[Index]:
        """Yield the windows; see :class:`SampleStream`."""
        return self._images.windows(seed)

    def count(self, window: Index) -> int:
        """Return the number of images in a window."""
        return self._images.count(window)

    def load(self, window: Index) -> tuple[Index, NDArray[np.uint8]]:
        """Return a window, and its images as far as they are this process's."""
        return window, self._images.load(window, self._group.own_turns)

    def samples(self, loaded: tuple[Index, NDArray[np.uint8]]) -> Samples:
        """Return the images of a window, those of the other processes included."""
        window, pixels = loaded
        exchange_rows(self._group, self._images, window, pixels)
        return pixels


class WindowBatches:
    """Batches of a :class:`SampleStream`; two windows are in memory at a time.

    Args:
        stream: The samples.
        device: Where batches are.
    """

    def __init__(self, stream: SampleStream, device: torch.device) -> None:
        self._stream = stream
        self._device = device
        self._sample = make_batches(stream.sample, device)

    def __len__(self) -> int:
        return len(self._stream)

    def in_order(self, order: Index, batch_size: int) -> Generator[Tensor, None, None]:
        """Yield those of the samples in memory that are at the indices *order*."""
        return self._sample.in_order(order, batch_size)

    def shuffled(
        self, seed: int, passes: int, steps: range, batch_size: int
    ) -> Generator[Tensor, None, None]:
        """Yield the batches of *steps*; see :class:`~bigan_cli.model.batches.Batches`."""
        held: list[Tensor] = []
        missing = batch_size
        for samples, rows in self._windows(seed, passes, steps, batch_size):
            taken = 0
            while taken < len(rows):
                chosen = rows[taken : taken + missing]
                held.append(samples[chosen])
                taken += len(chosen)
                missing -= len(chosen)
                if not missing:
                    yield held[0] if len(held) == 1 else torch.cat(held)
                    held, missing = [], batch_size

    def _windows(
        self, seed: int, passes: int, steps: range, batch_size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the samples of each window on the device, and the rows to take, int64 ``[M]``."""
        plan = self._plan(seed, passes, steps.start * batch_size, steps.stop * batch_size)
        pool = ThreadPoolExecutor(1, thread_name_prefix="windows")
        try:
            following = next(plan, None)
            loading = following and pool.submit(self._stream.load, following[0])
            while following and loading:
                rows, loaded = following[1], loading.result()
                following = next(plan, None)
                loading = following and pool.submit(self._stream.load, following[0])
                samples = torch.from_numpy(self._stream.samples(loaded)).to(self._device)
                del loaded
                yield samples, torch.from_numpy(rows).to(self._device)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _plan(self, seed: int, passes: int, first: int, end: int) -> Iterator[tuple[Index, Index]]:
        """Yield the windows with samples *first* to *end* of an epoch, and their rows to take."""
        position = 0
        for number in range(passes):
            for place, window in enumerate(self._stream.windows(seed + number)):
                size = self._stream.count(window)
                if position + size > first:
                    rows = np.random.default_rng([seed, number, place]).permutation(size)
                    yield window, rows[max(0, first - position) : end - position]
                position += size
                if position >= end:
                    return


def batches_of(train: Samples | SampleStream, device: torch.device) -> Batches:
    """Return the batches of samples in memory, or of a stream."""
    if isinstance(train, np.ndarray):
        return make_batches(train, device)
    return WindowBatches(train, device)
