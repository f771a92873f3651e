"""Images as the networks see them, a batch of one fixed shape at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bigan_cli.model.cpu_threads import single_threaded_pool
from bigan_cli.model.networks import Networks, to_model_range
from bigan_cli.scoring.inference_networks import InferenceNetworks, ready
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs

T = TypeVar("T")


def observe(
    networks: Networks | InferenceNetworks,
    pixels: NDArray[np.uint8],
    batch_size: int,
) -> Iterator[tuple[LazyNetworkOutputs, int]]:
    """Yield each batch as the networks see it, with how many of its images are real.

    Every batch has exactly *batch_size* images; the last one is filled up with copies of its
    first image, whose results are to be dropped.
    """
    prepared = ready(networks)
    for start in range(0, len(pixels), batch_size):
        with torch.no_grad():
            yield _batch(prepared, pixels[start : start + batch_size], batch_size)


def run_batches(
    networks: Networks | InferenceNetworks,
    pixels: NDArray[np.uint8],
    batch_size: int,
    look: Callable[[LazyNetworkOutputs, int], T],
) -> Iterator[T]:
    """Yield what *look* makes of each batch of :func:`observe`, in order, several at a time.

    Args:
        networks: On their device; a CPU works on as many batches at a time as torch has threads.
        pixels: uint8 ``[N, C, H, W]``.
        batch_size: Images in a batch.
        look: Called with a batch and how many of its images are real, in any thread.
    """
    prepared = ready(networks)

    def one(start: int) -> T:
        # What is seen is computed when it is looked at.
        with torch.no_grad():
            chunk = pixels[start : start + batch_size]
            return look(*_batch(prepared, chunk, batch_size))

    starts = range(0, len(pixels), batch_size)
    threads = torch.get_num_threads() if prepared.device.type == "cpu" else 1
    if threads == 1 or not starts:
        yield from map(one, starts)
        return
    with single_threaded_pool(min(threads, len(starts)), "look") as pool:
        waiting = deque(pool.submit(one, start) for start in starts[: 2 * threads])
        for start in starts[2 * threads :]:
            yield waiting.popleft().result()
            waiting.append(pool.submit(one, start))
        for future in waiting:
            yield future.result()


def _batch(
    networks: InferenceNetworks, chunk: NDArray[np.uint8], batch_size: int
) -> tuple[LazyNetworkOutputs, int]:
    """Return *chunk*, filled up, as the networks see it, and how many of its images are real."""
    count = len(chunk)
    # A copy of what may not be written to, such as a mapped file: torch warns of it.
    chunk = np.require(chunk, requirements=["C", "W"])
    if count < batch_size:
        filling = np.repeat(chunk[:1], batch_size - count, axis=0)
        chunk = np.concatenate([chunk, filling])
    x = to_model_range(torch.from_numpy(chunk).to(networks.device))
    x = x.contiguous(memory_format=networks.layout)
    return LazyNetworkOutputs(networks, x), count
