"""One contender of ``photograph_scoring.py``: its throughput in images/s, printed as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

# Passes over all images; the fastest counts, as any disturbance only slows.
_PASSES = 4


def main() -> None:
    """Measure the contender named on the command line."""
    what, model, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    passes = timm(int(model), count) if what == "timm" else [bigan(what, model, count)]
    print(json.dumps({"throughput": max(count / fastest(once) for once in passes)}))


def fastest(once: Callable[[], object]) -> float:
    """Return the seconds of the fastest pass."""
    once()
    seconds = []
    for _ in range(_PASSES):
        started = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def bigan(what: str, run: str, count: int) -> Callable[[], object]:
    """Return what scores all images with the detector of *run*, or only extracts features."""
    import bigan_cli
    from bigan_cli.scoring.inference import run_batches

    detector = bigan_cli.load(run, device="cpu")._detector  # noqa: SLF001
    member, shape = detector.members[0], detector.shape
    pixels = np.random.default_rng(0).integers(
        0, 256, (count, shape.channels, shape.height, shape.width), np.uint8
    )
    if what == "score":
        return partial(detector.score, pixels)
    networks = member._inference  # noqa: SLF001
    return lambda: list(
        run_batches(networks, pixels, detector.batch_size, lambda outputs, _: outputs.x)
    )


def timm(side: int, count: int) -> list[Callable[[], object]]:
    """Return passes of timm's network over all images, by size of batch and use of threads."""
    from timm import create_model

    network = create_model("tf_efficientnet_lite0", pretrained=False).eval()
    network = network.to(memory_format=torch.channels_last)
    images = torch.rand(count, 3, side, side).contiguous(memory_format=torch.channels_last)
    threads = torch.get_num_threads()

    def batch(x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            # The stages up to the one with 192 channels: blocks 0 to 14.
            return network.blocks[:6](network.bn1(network.conv_stem(x)))

    def in_turn(size: int) -> None:
        torch.set_num_threads(threads)
        for x in images.split(size):
            batch(x)

    def side_by_side(size: int) -> None:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(batch, images.split(size)))

    return [partial(way, size) for size in (1, 8, 32) for way in (in_turn, side_by_side)]


if __name__ == "__main__":
    main()
