"""Inference in batches of one fixed shape."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bigan_cli.data.tiles import Tiles
from bigan_cli.model.cpu_threads import single_threaded_pool
from bigan_cli.model.networks import Networks, to_model_range
from bigan_cli.scoring.inference_networks import InferenceNetworks, prepare_for_inference
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs

T = TypeVar("T")
# Images uint8 [N, C, H, W], or feature maps [N, h, w, K] where the networks work on feature maps.
Inputs: TypeAlias = NDArray[np.uint8] | NDArray[np.float16] | NDArray[np.float32]


def run_batches(
    networks: Networks | InferenceNetworks,
    inputs: Inputs | Tiles,
    batch_size: int,
    fn: Callable[[LazyNetworkOutputs, int], T],
    inside: NDArray[np.bool_] | None = None,
) -> Iterator[T]:
    """Yield *fn* of each batch, in order; several batches are computed concurrently.

    Every batch has exactly *batch_size* images; the last one is padded with copies of its first
    image, whose results *fn* must drop.

    Args:
        networks: On their device. A CPU computes as many batches at a time as torch has threads.
        inputs: Images or tiles, uint8 ``[N, C, H, W]``, or feature maps, ``[N, h, w, K]``.
        batch_size: Images of every batch; the last one is padded with copies of its first image,
            whose results are to be dropped.
        fn: Called in any thread, with the outputs of a batch and the number of real images.
        inside: Which positions are in the region of interest, bool ``[h, w]`` for all inputs
            alike, or ``[T, h, w]`` for T inputs in turn; None without a region.
    """
    prepared = prepare_for_inference(networks)

    def run(start: int) -> T:
        # Outputs are lazy: they are computed inside fn.
        with torch.no_grad():
            chunk = inputs[start : start + batch_size]
            return fn(*_batch(prepared, chunk, batch_size, _rows(inside, start, len(chunk))))

    starts = range(0, len(inputs), batch_size)
    threads = torch.get_num_threads() if prepared.device.type == "cpu" else 1
    if threads == 1 or not starts:
        yield from map(run, starts)
        return
    with single_threaded_pool(min(threads, len(starts)), "inference") as pool:
        waiting = deque(pool.submit(run, start) for start in starts[: 2 * threads])
        for start in starts[2 * threads :]:
            yield waiting.popleft().result()
            waiting.append(pool.submit(run, start))
        for future in waiting:
            yield future.result()


def _batch(
    networks: InferenceNetworks,
    chunk: Inputs,
    batch_size: int,
    inside: NDArray[np.bool_] | None,
) -> tuple[LazyNetworkOutputs, int]:
    """Return the outputs for *chunk*, padded, and the number of real images."""
    count = len(chunk)
    # Copies a read-only array, such as a mapped file, of which torch would warn.
    chunk = np.require(chunk, requirements=["C", "W"])
    padding = np.zeros(batch_size - count, np.int64)
    if len(padding):
        chunk = np.concatenate([chunk, chunk[padding]])
    positions = None
    if inside is not None:
        rows = inside if len(inside) == 1 else np.concatenate([inside, inside[padding]])
        positions = torch.from_numpy(rows).to(networks.device)
    x = to_model_range(torch.from_numpy(chunk).to(networks.device))
    if chunk.dtype != np.uint8:
        return LazyNetworkOutputs(networks, features=x.movedim(-1, 1), inside=positions), count
    x = x.contiguous(memory_format=networks.layout)
    features = networks.inputs(x, count)
    return LazyNetworkOutputs(networks, x, features, inside=positions), count


def _rows(inside: NDArray[np.bool_] | None, start: int, number: int) -> NDArray[np.bool_] | None:
    """Return the positions of some inputs, bool ``[n, h, w]``, or ``[1, h, w]`` for all alike."""
    if inside is None:
        return None
    if inside.ndim == 2:
        return inside[None]
    return inside[np.arange(start, start + number) % len(inside)]
