"""How soon the command line answers, against what it cannot do without.

Commands that need no network are compared with ``python -c "import typer"``; the first score of
a trained run against ``python -c "import torch"``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from children import bigan, run
from harness import Benchmark, Figures, Target, arguments

SEED = 0
IMPORT_TYPER = "python -c 'import typer'"
IMPORT_TORCH = "python -c 'import torch'"
COMPLETION = {
    "completion of 'bigan tr'": "bigan tr",
    "completion of 'bigan train --ep'": "bigan train --ep",
}
HELP = {
    "bigan --help": ["--help"],
    "bigan train --help": ["train", "--help"],
    "bigan animate --help": ["animate", "--help"],
}
PLUGINS = "bigan plugins"
NO_PLUGINS = {"BIGAN_PLUGINS": ""}


def main() -> int:
    """Run the benchmark."""
    options = arguments(__doc__, repeats=21).parse_args()
    if options.quick:
        options.repeats = min(options.repeats, 3)
    benchmark = Benchmark(
        "startup", "Start-up of the command line", options, {"seed": SEED}, {"wall": "s"}
    )
    with tempfile.TemporaryDirectory() as folder:
        image, trained = train(Path(folder))
        quick = {
            IMPORT_TYPER: timed([sys.executable, "-c", "import typer"]),
            **{name: timed(bigan(), completing(line)) for name, line in COMPLETION.items()},
            **{name: timed(bigan(*words)) for name, words in HELP.items()},
            PLUGINS: timed(bigan("plugins"), NO_PLUGINS),
        }
        slow = {
            IMPORT_TORCH: timed([sys.executable, "-c", "import torch"]),
            "bigan score ONE.png": timed(bigan("score", image, "--run", trained)),
        }
        benchmark.interleave(quick, discarded=1)
        benchmark.interleave(slow, discarded=1)
    for name in (*COMPLETION, *HELP):
        benchmark.ratio(name, IMPORT_TYPER, "wall", Target(most=1.5))
    benchmark.ratio(PLUGINS, IMPORT_TYPER, "wall", Target(most=2))
    benchmark.ratio("bigan score ONE.png", IMPORT_TORCH, "wall", Target(most=1.3))
    benchmark.note(
        "All modules are compiled already, as they are for everybody from the second start on; "
        "files are in the memory of the system."
    )
    benchmark.note(
        "'bigan plugins' lists what comes with bigan. It imports other plugins to check them, and "
        "pydantic with them, which alone takes longer than typer."
    )
    return benchmark.finish()


def completing(line: str) -> dict[str, str]:
    """Return how a bash asks for the completion of *line*, as set up by --install-completion."""
    return {
        "_BIGAN_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }


def timed(command: list[str], environment: dict[str, str] | None = None) -> Callable[[], Figures]:
    """Return what runs *command* once and returns its wall time."""

    def once() -> Figures:
        return {"wall": run(command, environment=environment).seconds}

    return once


def train(folder: Path) -> tuple[Path, Path]:
    """Train a small run on the digits; return one image to score, and the run."""
    trained = folder / "run"
    words = ["--dataset", "digits", "--inlier", "0", "--seed", SEED, "--device", "cpu"]
    run(bigan("train", *words, "--epochs", 3, "--save-dir", trained))
    image = folder / "one.png"
    program = (
        "import sys, numpy; from PIL import Image; from sklearn.datasets import load_digits;"
        "digit = load_digits().images[0] * 255 / 16;"
        "Image.fromarray(digit.astype(numpy.uint8)).save(sys.argv[1])"
    )
    run([sys.executable, "-c", program, image])
    return image, trained


if __name__ == "__main__":
    sys.exit(main())
