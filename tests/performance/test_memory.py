"""Scoring takes no more memory for more files."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image

# ``ru_maxrss`` of a process starts at that of the process which started it, and pytest is large:
# a small one stands between.
LAUNCHER = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "bigan_cli", *sys.argv[1:]], stdout=subprocess.DEVNULL)
unit = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit)
sys.exit(done.returncode)
"""
MEBIBYTE = 2**20


def peak_memory(*words: object) -> float:
    """Return the peak resident memory of ``bigan`` with *words*, in MiB."""
    command = [sys.executable, "-c", LAUNCHER, *map(str, words)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=150)
    return int(done.stdout) / MEBIBYTE


@pytest.fixture
def files(tmp_path):
    """Make a folder of that many images, too large to be held by the thousand unnoticed."""

    def make(count: int):
        stream = io.BytesIO()
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(stream, "PNG")
        folder = tmp_path / str(count)
        folder.mkdir()
        for i in range(count):
            (folder / f"{i}.png").write_bytes(stream.getvalue())
        return folder

    return make


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no getrusage")
def test_scoring_ten_times_the_files_takes_no_more_memory(bigan, files, tmp_path):
    # At 3x64x64, 4,500 more images held would be 53 MiB more.
    options = ("--epochs", 1, "--device", "cpu", "--latent-dim", 4, "--image-size", 64)
    networks = ("--feature-maps-gen", 4, "--feature-maps-disc", 4, "--input-channels", 3)
    run = tmp_path / "run"
    code = bigan("train", "--dataset", "digits", *options, *networks, "--save-dir", run).code
    assert code == 0
    few, many = (
        peak_memory("score", files(count), "--run", run, "--output", tmp_path / f"{count}.csv")
        for count in (500, 5000)
    )
    assert many - few < 32, (few, many)


def test_an_epoch_over_shards_takes_the_memory_of_its_buffer(tmp_path, write_tar) -> None:
    """12,288 bytes for each of 2,000 images are 23 MiB, 12 times the buffer."""
    import torch

    from bigan_cli.contracts import DataLocation
    from bigan_cli.data.block_cache import BlockCache
    from bigan_cli.data.image_file import DEFAULTS
    from bigan_cli.data.image_stream import ImageStream
    from bigan_cli.datasets.shards import Shards
    from bigan_cli.model.window_batches import PixelStream, WindowBatches

    for shard in range(2):
        stream = io.BytesIO()
        Image.new("RGB", (64, 64), (shard, 0, 0)).save(stream, "PNG")
        write_tar(tmp_path / f"{shard}.tar", {f"{i}.png": stream.getvalue() for i in range(1000)})
    options = Shards.Options.from_table({"urls": [str(tmp_path)]})
    items = Shards(options, DataLocation(tmp_path)).train_items()
    cache, sample = BlockCache(tmp_path, 0), np.empty((1, 3, 64, 64), np.uint8)
    images = ImageStream(items, np.arange(2000), DEFAULTS, 2 * 2**20, cache, sample)
    samples = PixelStream(images, sample)
    batches = WindowBatches(samples, torch.device("cpu"))
    tracemalloc.start()
    try:
        seen = sum(map(len, batches.shuffled(0, 1, range(40), 50)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen == 2000
    assert 2 < peak / MEBIBYTE < 8  # two windows, the one that is made, and what is decoded
