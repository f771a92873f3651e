"""Memory of scoring many files, and of training on more images than fit.

Scoring must not need more for more files. Training on a folder whose decoded images are larger
than the memory allowed must work, and must decode every file once, in whatever many runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from children import ChildError, Spent, bigan, run
from harness import Benchmark, Target, arguments
from limits import counting, limited_group, limited_process, remove_group
from pictures import SEED, dataset_words, read_all, train, write_files

CHANNELS = 3
LOOK_EVERY = 0.2
_WHAT_PEAK_IS = (
    "Peak: resident memory of the process, pages of mapped files included. Anonymous: the most of "
    "it that was no such page, looked at five times a second."
)
UNITS = {
    "peak": "MiB",
    "anonymous": "MiB",
    "wall": "s",
    "decodes": "a file",
}


def main() -> int:
    """Run the benchmark."""
    parser = arguments(__doc__, repeats=1)
    parser.add_argument(
        "--part", choices=("scoring", "training"), action="append", help="what to run [both]"
    )
    parser.add_argument("--work-dir", type=Path, help="folder for the files [a temporary one]")
    parser.add_argument("--few", type=int, default=1_000, help="files to score [%(default)s]")
    parser.add_argument("--many", type=int, default=200_000, help="files to score [%(default)s]")
    parser.add_argument("--train", type=int, default=9_000, help="files to train on [%(default)s]")
    parser.add_argument("--side", type=int, default=256, help="of its images [%(default)s]")
    parser.add_argument(
        "--allowed", type=int, default=1_536, help="MiB of memory to train in [%(default)s]"
    )
    options = parser.parse_args()
    if options.quick:
        options.few, options.many = 200, 2_000
        options.train, options.side = 600, 32
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work_dir or Path(temporary)
        return max(MEASURES[part](folder, options) for part in options.part or MEASURES)


def measure_scoring(folder: Path, options: argparse.Namespace) -> int:
    """Score few and many files, named by a folder and by a list on standard input."""
    settings = {"seed": SEED, "files": f"{options.few} and {options.many}, 28x28 PNG"}
    benchmark = Benchmark("memory-scoring", "Memory of scoring", options, settings, UNITS)
    trained = train(folder / "run-scoring", dataset_words(None), {})
    few, many = (
        write_files(folder / f"png-{count}", count, "png") for count in (options.few, options.many)
    )
    for files in (few, many):
        (files.with_suffix(".txt")).write_text(
            "".join(f"{path}\n" for path in sorted(files.rglob("*.png"))), encoding="utf-8"
        )
        read_all(files)

    def scored(files: Path, *, listed: bool) -> dict[str, float]:
        words = ["--run", trained, "--device", "cpu", "--output", trained / "scores.csv"]
        source = files.with_suffix(".txt") if listed else None
        command = bigan("score", "-" if listed else files, *words)
        spent = run(command, stdin=source, watch_every=LOOK_EVERY)
        return {"peak": spent.peak_mib, "wall": spent.seconds, **_anonymous(spent)}

    pairs = {}
    for words, listed in (("folder", False), ("standard input", True)):
        names = [f"score {count:,} ({words})" for count in (options.few, options.many)]
        pairs[names[0]] = lambda listed=listed: scored(few, listed=listed)
        pairs[names[1]] = lambda listed=listed: scored(many, listed=listed)
    benchmark.interleave(pairs)
    for first, second in zip(*[iter(pairs)] * 2, strict=True):
        benchmark.difference(second, first, "peak", Target(most=64))
    benchmark.note(_WHAT_PEAK_IS)
    return benchmark.finish()


def measure_training(folder: Path, options: argparse.Namespace) -> int:
    """Train twice on many images, then within the memory allowed."""
    side = options.side
    decoded = options.train * CHANNELS * side**2 / 2**20
    settings = {
        "seed": SEED,
        "files": f"{options.train}, {CHANNELS}x{side}x{side}, {decoded:,.0f} MiB",
        "memory allowed": f"{options.allowed} MiB",
    }
    benchmark = Benchmark("memory-training", "Memory of training", options, settings, UNITS)
    files = write_files(folder / f"jpeg256-{options.train}", options.train, "jpeg256")
    read_all(files)
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        environment = {"XDG_CACHE_HOME": cache}
        # Small networks and batches, so that the images are the larger part.
        small = ["--feature-maps-gen", 4, "--feature-maps-disc", 4, "--latent-dim", 8]
        small += ["--batch-size", 16]
        words = ["train", "--dataset", "folder", "--data-root", files, "--image-size", options.side]
        usual = ["--epochs", 1, "--seed", SEED, "--device", "cpu", "--overwrite", *small]
        command = [*words, *usual, "--save-dir", Path(cache) / "run"]
        for name in ("train, first run", "train, second run"):
            counts = Path(cache) / "decodes"
            spent = run(counting(command, counts), environment=environment, watch_every=LOOK_EVERY)
            decodes = int(counts.read_text(encoding="ascii")) / options.train
            benchmark.add(name, {**_cost(spent), "decodes": decodes})
        both = sum(benchmark.runs(name, "decodes")[0] for name in ("train, first run", name))
        benchmark.check("decodes of a file in two runs", [both], "a file", Target(most=1))
        limits = {
            "RLIMIT_DATA": limited_process(bigan(*command), options.allowed),
            "a control group": limited_group(bigan(*command), options.allowed),
        }
        for name, limited in limits.items():
            if isinstance(limited, str):
                benchmark.note(f"Training under {name} was not tried: {limited}")
                continue
            try:
                spent = run(limited, environment=environment, watch_every=LOOK_EVERY)
            except ChildError as error:
                # The command line before it is of this machine.
                why = str(error).splitlines()[-1].rpartition(" ended with ")
                benchmark.note(f"Training under {name} failed: {''.join(why[1:]) or why[2]}")
                continue
            benchmark.add(f"train under {name} of {options.allowed:,} MiB", _cost(spent))
            # A quick run has tiny images.
            more = None if options.quick else Target(least=1)
            held = [decoded / options.allowed]
            benchmark.check(f"decoded images / memory allowed by {name}", held, "x", more)
        remove_group()
    benchmark.note(_WHAT_PEAK_IS)
    return benchmark.finish()


MEASURES = {"scoring": measure_scoring, "training": measure_training}


def _cost(spent: Spent) -> dict[str, float]:
    return {"peak": spent.peak_mib, **_anonymous(spent), "wall": spent.seconds}


def _anonymous(spent: Spent) -> dict[str, float]:
    known = spent.anonymous_mib == spent.anonymous_mib  # not NaN
    return {"anonymous": spent.anonymous_mib} if known else {}


if __name__ == "__main__":
    sys.exit(main())
