"""What the sweeps of faults share: arguments, counting, and a folder with a small run and images.

A sweep makes many cases from a seed, runs each, and counts how they ended. It prints the counts
and the first faults of each kind, and exits with 1 if there is any fault.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import commands

_SHOWN = 5


@dataclass
class Tally:
    """How the cases of a sweep ended.

    Attributes:
        name: The sweep.
        ended: Kind of case, outcome -> number of cases.
        faults: What went wrong -> the cases.
    """

    name: str
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, outcome: str, case: object = "", *, fault: bool = False) -> None:
        """Count a case of *kind*; one that is a *fault* is shown with its *case*."""
        self.ended[kind, outcome] += 1
        if fault:
            self.faults.setdefault(f"{kind}: {outcome}", []).append(str(case))

    def report(self, options: argparse.Namespace, started: float) -> int:
        """Print the table of counts and the faults; return the exit code."""
        kinds = sorted({kind for kind, _ in self.ended})
        outcomes = sorted({outcome for _, outcome in self.ended})
        seconds = time.monotonic() - started
        print(f"\n{self.name}: {self.ended.total():,} cases, seed {options.seed}, {seconds:.0f} s")
        print("\n| kind | " + " | ".join(outcomes) + " |\n|---|" + "---:|" * len(outcomes))
        for kind in kinds:
            counts = [f"{self.ended[kind, outcome]:,}" for outcome in outcomes]
            print(f"| {kind} | " + " | ".join(counts) + " |")
        total = [f"{sum(self.ended[k, o] for k in kinds):,}" for o in outcomes]
        print("| **all** | " + " | ".join(total) + " |")
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, -1))
        print(f"\nlargest process: {peak / 1024:,.0f} MiB")
        for what, cases in self.faults.items():
            print(f"\nFAULT {what}: {len(cases)}")
            for case in cases[:_SHOWN]:
                print(f"  {case[:2000]}")
        print(f"\nfaults: {sum(map(len, self.faults.values()))}")
        return 1 if self.faults else 0


def arguments(description: str | None, count: int) -> argparse.ArgumentParser:
    """Return a parser of the options that every sweep has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--count", type=int, default=count, help="cases [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of the cases [%(default)s]")
    parser.add_argument(
        "--seconds", type=float, default=1e9, help="time limit, however many cases are done"
    )
    return parser


def cases(options: argparse.Namespace) -> Iterator[tuple[int, random.Random]]:
    """Yield the number of each case and a generator of random numbers of its own."""
    deadline = time.monotonic() + options.seconds
    for number in range(options.count):
        if time.monotonic() > deadline:
            return
        # For one case alone: its number and the seed say all.
        yield number, random.Random(f"{options.seed} {number}")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield an empty folder, which is the current one; caches are below it as well."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="bigan-faults-") as name:
        folder = Path(name).resolve()
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        # Else every sweep would make the list of fonts anew.
        os.environ.setdefault("MPLCONFIGDIR", str(Path(name).with_name("bigan-faults-fonts")))
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


SMALL = (
    *("--epochs", "2", "--save-interval", "1", "--device", "cpu", "--latent-dim", "6"),
    *("--feature-maps-gen", "4", "--feature-maps-disc", "4", "--outlier", "8"),
    *("--set", "train.max_epoch_steps=4", "--set", "output.preview_images=4"),
    *("--set", "score.components=reconstruction,latent_neighbours,distortion"),
)
"""Options of a training of a second, on the digits."""


def train_small(folder: Path, *words: object) -> Path:
    """Train a small run in *folder*."""
    done = commands.bigan("-q", "train", *SMALL, *words, "--save-dir", folder, timeout=300)
    if done.code != 0:
        raise SystemExit(f"the sweep cannot be set up: {done.err or 'it takes too long'}")
    return folder


def write_digits(folder: Path, count: int = 40) -> list[Path]:
    """Write digits as PNG files."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, pixels in enumerate(load_digits().images[:count]):
        paths.append(folder / f"{number:03d}.png")
        Image.fromarray(np.round(pixels * 255 / 16).astype(np.uint8)).save(paths[-1])
    return paths
