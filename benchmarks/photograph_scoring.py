"""Throughput of scoring photographs on a CPU, against the pretrained network alone.

    python benchmarks/photograph_scoring.py --peer-python peer/bin/python

The images are in memory, so decoding has no part. The peer is timm's network of the same name up
to the same layer, in an environment of its own that has timm (that of anomalib does).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from children import run
from harness import Benchmark, Figures, Target, arguments
from pictures import SEED, train, write_files

CONTENDER = Path(__file__).with_name("photograph_scoring_contender.py")
UNITS = {"throughput": "images/s"}
_SIDE = 288


def main() -> int:
    """Run the benchmark."""
    parser = arguments(__doc__, repeats=5)
    parser.add_argument("--images", type=int, default=192, help="per round [%(default)s]")
    parser.add_argument("--peer-python", type=Path, help="Python of an environment with timm")
    parser.add_argument(
        "--run", type=Path, help="a run with the features architecture; by default one is trained"
    )
    options = parser.parse_args()
    count = 8 if options.quick else options.images
    settings = {"seed": SEED, "images of a round": count, "side": _SIDE}
    benchmark = Benchmark(
        "photograph-scoring-cpu",
        "Throughput of scoring photographs on cpu",
        options,
        settings,
        UNITS,
    )
    with tempfile.TemporaryDirectory() as temporary:
        trained = options.run or train_on_photographs(Path(temporary))
        measure(benchmark, trained, count, options.peer_python)
    return benchmark.finish()


def train_on_photographs(folder: Path) -> Path:
    """Train a run on a few photographs; it need not be good."""
    images = write_files(folder / "jpeg256", 40, "jpeg256")
    words = ["--dataset", "folder", "--data-root", images, "--image-size", _SIDE]
    return train(folder / "run", words, {})


def measure(benchmark: Benchmark, trained: Path, count: int, peer: Path | None) -> None:
    """Measure the contenders in turn."""
    ours, network, timm = "bigan: score", "bigan: network alone", "timm: network alone"
    contenders = {
        ours: contender(sys.executable, "score", trained, count),
        network: contender(sys.executable, "network", trained, count),
    }
    if peer is not None:
        contenders[timm] = contender(str(peer), "timm", _SIDE, count)
    benchmark.interleave(contenders)
    benchmark.ratio(ours, network, "throughput", Target(least=0.9))
    if peer is not None:
        benchmark.ratio(ours, timm, "throughput", Target(least=0.9))
        benchmark.ratio(network, timm, "throughput")
    benchmark.note(
        "Score: network, all components, calibration. Network alone: bigan's, in the same batches. "
        "timm: tf_efficientnet_lite0 without its last block and its classifier, channels last, at "
        "the best of the batch sizes 1, 8 and 32, each with one thread for a batch and as many "
        "batches at a time as there are cores, and with all threads for one batch."
    )


def contender(python: str, what: str, model: object, count: int) -> Callable[[], Figures]:
    """Return what measures one contender in a process of its own."""
    return lambda: run([python, CONTENDER, what, model, count]).figures()


if __name__ == "__main__":
    sys.exit(main())
