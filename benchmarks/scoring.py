"""Throughput of ``bigan score``, against decoding alone and the networks alone.

Nothing can score faster than its slower half. The start of the process is taken out by scoring
a large and a small set: what counts is the difference of files over the difference of seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from children import bigan, run
from harness import Benchmark, Figures, Target, arguments
from pictures import SEED, dataset_words, read_all, train, write_files

UNITS = {"throughput": "images/s", "large set": "s", "small set": "s", "memory": "MiB"}


@dataclass(frozen=True)
class Load:
    """Files to score.

    Attributes:
        kind: As ``pictures.write_files`` calls it.
        words: What they are, for people.
        large: Files of the large set.
        small: Files of the small set.
    """

    kind: str
    words: str
    large: int
    small: int


LOADS = (
    Load("png", "28x28 PNG", 100_000, 10_000),
    Load("jpeg", "1024x768 JPEG", 5_000, 500),
)
QUICK = (Load("png", "28x28 PNG", 2_000, 500), Load("jpeg", "1024x768 JPEG", 64, 16))


def main() -> int:
    """Run the benchmark."""
    parser = arguments(__doc__, repeats=3)
    parser.add_argument("--device", default="cpu", help="cpu or cuda [%(default)s]")
    parser.add_argument("--work-dir", type=Path, help="folder for the files [a temporary one]")
    parser.add_argument(
        "--data-root",
        type=Path,
        default=os.environ.get("BIGAN_DATA_DIR"),
        help="folder with MNIST/raw, for the model [BIGAN_DATA_DIR; else the digits]",
    )
    options = parser.parse_args()
    settings = {"device": options.device, "seed": SEED}
    settings["model of PNG"] = "MNIST 8" if options.data_root else "digits 8 at 28x28"
    settings["model of JPEG"] = "folder, 3x64x64"
    name = f"scoring-{options.device.partition(':')[0]}"
    on_gpu = options.device.startswith("cuda")
    title = f"Scoring on {options.device}"
    benchmark = Benchmark(name, title, options, settings, UNITS, with_gpu=on_gpu)
    with tempfile.TemporaryDirectory() as temporary:
        for load in QUICK if options.quick else LOADS:
            measure(benchmark, load, options.work_dir or Path(temporary), options)
    benchmark.note(
        "Score: files of the large set less those of the small one, by the difference of their "
        "times. Decoding alone: on as many threads as there are cores, with bigan's own reading, "
        "and with Pillow's open, convert and resize. Networks alone: E, G and D as the score "
        "needs them, in the same batches, on images in memory. In turn: what one would reach by "
        "decoding first and passing through the networks after; on a CPU both want all its cores."
    )
    return benchmark.finish()


def measure(benchmark: Benchmark, load: Load, folder: Path, options: argparse.Namespace) -> None:
    """Run one load."""
    large = write_files(folder / f"{load.kind}-{load.large}", load.large, load.kind)
    small = write_files(folder / f"{load.kind}-{load.small}", load.small, load.kind)
    if load.kind == "png":
        words = dataset_words(options.data_root)
    else:
        normal = write_files(folder / "jpeg-300", 300, load.kind)
        words = ["--dataset", "folder", "--data-root", normal, "--image-size", 64]
    trained = train(folder / f"run-{load.kind}", words, {})
    read_all(large)
    read_all(small)
    device = options.device
    ours, own, plain, networks = (
        f"{load.words}: {what}"
        for what in ("bigan score", "own decoding alone", "Pillow alone", "networks alone")
    )
    benchmark.interleave(
        {
            ours: scored(trained, large, small, load, device),
            own: alone("decode", trained, large, device),
            plain: alone("pillow", trained, large, device),
            networks: alone("networks", trained, large, device),
        }
    )
    rounds = list(
        zip(
            *(benchmark.runs(name, "throughput") for name in (ours, plain, own, networks)),
            strict=True,
        )
    )
    label = f"{ours} / the slower of Pillow and networks"
    shares = [score / min(pillow, forward) for score, pillow, _, forward in rounds]
    benchmark.check(label, shares, "x", Target(least=0.9))
    label = f"{ours} / the slower of own decoding and networks"
    shares = [score / min(decoding, forward) for score, _, decoding, forward in rounds]
    benchmark.check(label, shares, "x")
    label = f"{ours} / own decoding and networks in turn"
    in_turn = [score * (1 / decoding + 1 / forward) for score, _, decoding, forward in rounds]
    benchmark.check(label, in_turn, "x")
    benchmark.ratio(ours, plain, "throughput")


def scored(
    trained: Path, large: Path, small: Path, load: Load, device: str
) -> Callable[[], Figures]:
    """Return what scores both sets once, each in a process of its own."""

    def once() -> Figures:
        spent = []
        for files in (large, small):
            output = trained / "scores.csv"
            words = ["--run", trained, "--device", device, "--output", output]
            spent.append(run(bigan("score", files, *words)))
        seconds = spent[0].seconds - spent[1].seconds
        return {
            "throughput": (load.large - load.small) / seconds,
            "large set": spent[0].seconds,
            "small set": spent[1].seconds,
            "memory": spent[0].peak_mib,
        }

    return once


def alone(what: str, trained: Path, files: Path, device: str) -> Callable[[], Figures]:
    """Return what does one half of the work, in a process of its own."""
    script = Path(__file__).with_name("scoring_contender.py")
    return lambda: run([sys.executable, script, what, trained, files, device]).figures()


if __name__ == "__main__":
    sys.exit(main())
