"""One contender of ``scoring.py``: half of the work of a score, its throughput printed as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from machine import cores

from bigan_cli.cli.main import limit_omp_spinning

limit_omp_spinning()  # as the command does, and before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402

from bigan_cli.contracts import ImageShape  # noqa: E402
from bigan_cli.data.decode import read_file  # noqa: E402
from bigan_cli.model.networks import to_model_range  # noqa: E402
from bigan_cli.plugins import load_registry  # noqa: E402
from bigan_cli.scoring.detector import Detector  # noqa: E402
from bigan_cli.storage.model_file import load_detector  # noqa: E402
from bigan_cli.storage.run_directory import RunDirectory  # noqa: E402

# Files that one task of a pool reads.
_CHUNK = 32
# Images that the networks see at least, over and over the same ones.
_FEWEST_IMAGES = 20_000
_RESIDENT = 4096
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def main() -> None:
    """Do one half of the work on the files of a folder."""
    what, run, files, device = sys.argv[1:]
    model = RunDirectory.open(Path(run)).model_file("best")
    detector = load_detector(model, torch.device(device), load_registry())
    paths = sorted(path for path in Path(files).rglob("*.*") if path.suffix in (".png", ".jpg"))
    started = time.perf_counter()
    if what == "networks":
        count, seconds = run_networks(detector, paths, torch.device(device))
    else:
        reader = read_own if what == "decode" else read_plain
        count = read_in_threads(paths, detector.shape, reader)
        seconds = time.perf_counter() - started
    json.dump({"throughput": count / seconds}, sys.stdout)


def read_own(path: Path, shape: ImageShape) -> NDArray[np.uint8]:
    """Read a file as bigan does."""
    return read_file(path, shape)[0]


def read_plain(path: Path, shape: ImageShape) -> NDArray[np.uint8]:
    """Read a file as the usual script does."""
    with Image.open(path) as image:
        fitted = image.convert(_MODES[shape.channels]).resize((shape.width, shape.height))
    return np.asarray(fitted)


def read_in_threads(
    paths: list[Path], shape: ImageShape, read: Callable[[Path, ImageShape], NDArray[np.uint8]]
) -> int:
    """Read all files on as many threads as there are cores; return how many."""

    def some(start: int) -> int:
        return sum(read(path, shape) is not None for path in paths[start : start + _CHUNK])

    with ThreadPoolExecutor(cores()) as pool:
        return sum(pool.map(some, range(0, len(paths), _CHUNK)))


@torch.no_grad()
def run_networks(detector: Detector, paths: list[Path], device: torch.device) -> tuple[int, float]:
    """Pass images through the networks; return how many, and the seconds it took."""
    some = [read_own(path, detector.shape) for path in paths[:_RESIDENT]]
    size = detector.batch_size
    whole = -(-len(some) // size) * size
    pixels = torch.from_numpy(np.resize(np.stack(some), (whole, *some[0].shape))).to(device)
    rounds = -(-min(_FEWEST_IMAGES, 10 * len(paths)) // whole)
    networks = detector.members[0].networks

    def once() -> None:
        for batch in pixels.split(size):
            x = to_model_range(batch)
            z = networks.encoder(x)
            networks.generator(z)
            networks.discriminator(x, z)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    once()
    started = time.perf_counter()
    for _ in range(rounds):
        once()
    return rounds * whole, time.perf_counter() - started


if __name__ == "__main__":
    main()
