"""Computes features, and windows of streams, in one process and in three that divide the work.

    python divide_features.py FOLDER

The folder then has ``one.npz``, ``three-0.npz``, ``three-1.npz`` and ``three-2.npz``: the arrays,
the images that could not be read (``unreadable``), and how many images went through the backbone
(``computed``) and were decoded (``decoded``).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from forking import fork, wait

from bigan_cli.architectures.features import Features, FeaturesOptions
from bigan_cli.contracts import Blocks, ImageShape, Items
from bigan_cli.data.block_cache import BlockCache
from bigan_cli.data.image_file import DEFAULTS
from bigan_cli.data.image_stream import ImageStream
from bigan_cli.model import feature_extraction
from bigan_cli.model.feature_stream import FeatureStream
from bigan_cli.model.networks import Networks, build_networks
from bigan_cli.model.process_group import ProcessGroup, open_process_group
from bigan_cli.model.window_batches import PixelStream, WindowBatches

CPU = torch.device("cpu")
SHAPE = ImageShape(1, 32, 32)
IMAGES = np.random.default_rng(0).integers(0, 256, (50, 1, 32, 32), np.uint8)
BROKEN = (7, 31, 44)


class Raw(Sequence[Any]):
    """The images of a dataset, of which some are no pictures; counts those that are read."""

    def __init__(self) -> None:
        self.read = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: Any) -> Any:
        numbers = range(*index.indices(len(IMAGES)))
        with self._lock:
            self.read += len(numbers)
        return [b"no picture" if i in BROKEN else IMAGES[i, 0] for i in numbers]


def make_networks() -> Networks:
    """Return networks on features."""
    return build_networks(Features(FeaturesOptions()), SHAPE, 4, 0, heads={})


def make_stream(raw: Raw, cache: BlockCache) -> ImageStream:
    """Return a stream of five blocks with a buffer of 24 images."""
    bounds = np.array([0, 9, 20, 30, 41, 50])
    names = [f"block {i}" for i in range(5)]
    items = Items(raw, np.zeros(len(raw), np.int64), blocks=Blocks(bounds, names, names))
    chosen = np.setdiff1d(np.arange(len(raw)), [3, 25])
    buffer = 24 * 32 * 32
    return ImageStream(items, chosen, DEFAULTS, buffer, cache, IMAGES[:2], workers=2)


def two_epochs(stream: PixelStream | FeatureStream) -> np.ndarray:
    """Return all batches of two epochs."""
    batches = WindowBatches(stream, CPU)
    steps = len(stream) // 8
    epochs = [[*batches.shuffled(seed, 1, range(steps), 8)] for seed in (0, 1)]
    return torch.cat([batch for epoch in epochs for batch in epoch]).numpy()


def work(group: ProcessGroup, folder: Path) -> dict[str, Any]:
    """Return what one process has, having done its part."""
    computed = [0]
    extract = feature_extraction.one_at_a_time

    def counted(function: Any, images: torch.Tensor) -> torch.Tensor:
        computed[0] += len(images)
        return extract(function, images)

    feature_extraction.one_at_a_time = counted
    feature_extraction._MOST_IMAGES = 16
    networks = make_networks()
    sets = [IMAGES[:40], IMAGES[40:45], IMAGES[45:46]]  # one image is less than a share each
    features = feature_extraction.prepare_features(networks, sets, 0, CPU, group=group)
    found: dict[str, Any] = {
        "train": features.train,
        "validation": features.validation,
        "calibration": features.calibration,
        **{f"state {name}": value.numpy() for name, value in features.normalisation.items()},
        "computed": computed[0],
    }
    sample = feature_extraction.as_samples(features.train[:2])
    for name, limit in (("without cache", 0), ("with cache", 10**9)):
        raw = Raw()
        cache = BlockCache(folder / f"cache of {group.size}", limit)
        images = make_stream(raw, cache)
        found[f"vectors {name}"] = two_epochs(
            FeatureStream(images, networks, sample, CPU, "", group=group)
        )
        found[f"decoded {name}"] = raw.read
        unreadable = images.new_unreadable()
        pixels = make_stream(raw, cache)
        found[f"pixels {name}"] = two_epochs(PixelStream(pixels, IMAGES[:2], group))
        found[f"unreadable {name}"] = sorted({*unreadable, *pixels.new_unreadable()})
    return found


def main(folder: Path) -> None:
    """Do the work in three processes, then in one."""
    torch.set_num_threads(1)

    def together(rank: int) -> int:
        with open_process_group() as group:
            np.savez(folder / f"three-{rank}.npz", **work(group, folder))
        return 0

    assert wait(fork(3, together)) == [0, 0, 0]
    np.savez(folder / "one.npz", **work(ProcessGroup(), folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
