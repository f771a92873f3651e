"""Latency of scoring one image on a CPU: the command, the detector and the exported model.

The image is decoded from its file each time. The command and ``run_onnx.py`` are processes of
their own, which start and load the model first; the others have done so.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from children import bigan, run
from harness import Benchmark, Figures, arguments
from pictures import SEED, dataset_words, train, write_files

UNITS = {"wall": "ms", "p50": "ms", "p95": "ms", "CPU time": "ms"}
CONTENDER = Path(__file__).with_name("latency_contender.py")
# Model -> the kind of the image that it scores.
KINDS = {"pixels 28x28": "png", "photographs 256x256": "jpeg256"}


def main() -> int:
    """Run the benchmark."""
    parser = arguments(__doc__, repeats=5)
    parser.add_argument("--calls", type=int, default=100, help="scores per round [%(default)s]")
    parser.add_argument(
        "--run",
        type=Path,
        action="append",
        help="measure this run, 'pixels' then 'photographs', in place of training one; its "
        "model.onnx is used where there is one",
    )
    parser.add_argument(
        "--data-root",
        type=Path,
        default=os.environ.get("BIGAN_DATA_DIR"),
        help="folder with MNIST/raw, for the model of pixels [BIGAN_DATA_DIR; else the digits]",
    )
    options = parser.parse_args()
    calls = 10 if options.quick else options.calls
    settings = {"seed": SEED, "calls of a round": calls}
    benchmark = Benchmark("latency-cpu", "Latency of one image on cpu", options, settings, UNITS)
    with tempfile.TemporaryDirectory() as temporary:
        given = dict(zip(KINDS, options.run or [], strict=False))
        for name, kind in KINDS.items():
            measure(benchmark, name, kind, given.get(name), Path(temporary), options, calls)
    benchmark.note(
        "Detector and onnxruntime: from the file to the score and the heatmap, in a process that "
        "has the model loaded, one image at a time on all cores. p50 and p95 are of the calls of a "
        "round. Processes: from the command to the row of one image. CPU time is of all threads, "
        "and about the same on a busy machine."
    )
    load, cores = os.getloadavg()[0], os.cpu_count()
    benchmark.note(f"Load average in the last minute: {load:.1f}, on {cores} cores.")
    return benchmark.finish()


def measure(
    benchmark: Benchmark,
    name: str,
    kind: str,
    trained: Path | None,
    folder: Path,
    options: argparse.Namespace,
    calls: int,
) -> None:
    """Measure one model."""
    images = write_files(folder / kind, 40, kind)
    if trained is None:
        words: list[object] = ["--dataset", "folder", "--data-root", images, "--image-size", 256]
        if kind == "png":
            words = dataset_words(options.data_root)
        trained = train(folder / f"run-{kind}", words, {})
    exported = trained / "model.onnx"
    if not exported.exists():
        exported = folder / f"{kind}.onnx"
        run(bigan("export", "--run", trained, "--output", exported))
    image = min(path for path in images.rglob("*.*") if path.suffix in (".png", ".jpg"))
    script = Path(__file__).parents[1] / "bigan_cli" / "export" / "runners" / "run_onnx.py"
    command, runner = f"{name}: bigan score (process)", f"{name}: run_onnx.py (process)"
    ours, theirs = f"{name}: detector", f"{name}: onnxruntime"
    benchmark.interleave(
        {
            command: started(bigan("score", image, "--run", trained, "--device", "cpu")),
            runner: started([sys.executable, script, exported, image]),
            ours: in_process("detector", trained, image, calls),
            theirs: in_process("onnxruntime", exported, image, calls),
        },
        discarded=1,
    )
    benchmark.ratio(theirs, ours, "CPU time")
    benchmark.ratio(runner, command, "CPU time")


def started(command: list[object] | list[str]) -> Callable[[], Figures]:
    """Return what runs *command* once and returns its wall time and CPU time."""

    def once() -> Figures:
        spent = run(command)
        return {"wall": 1000 * spent.seconds, "CPU time": 1000 * spent.cpu_seconds}

    return once


def in_process(what: str, model: Path, image: Path, calls: int) -> Callable[[], Figures]:
    """Return what scores *image* many times in one process."""
    return lambda: run([sys.executable, CONTENDER, what, model, image, calls]).figures()


if __name__ == "__main__":
    sys.exit(main())
