"""What the ends of epochs cost: validation, pictures, the detector, models and status files.

Read off a real ``bigan train``: the time of the run less the time of its training steps.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from pathlib import Path

from children import bigan, run
from harness import Benchmark, Target, arguments
from pictures import SEED, add_data_root, dataset_words

UNITS = {"wall": "s", "run": "s", "steps": "s", "all else": "s"}
NAME = "bigan train"


def main() -> int:
    """Run the benchmark."""
    parser = arguments(__doc__, repeats=3)
    parser.add_argument("--epochs", type=int, default=30, help="of each run [%(default)s]")
    parser.add_argument("--device", default="cpu", help="cpu or cuda [%(default)s]")
    add_data_root(parser)
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.epochs, options.data_root = 1, min(options.epochs, 10), None
    settings = {
        "data": "MNIST 8" if options.data_root else "digits 8 at 28x28",
        "epochs": options.epochs,
        "save interval": "the default",
        "device": options.device,
        "seed": SEED,
    }
    name = f"epoch-end-{options.device.partition(':')[0]}"
    on_gpu = options.device.startswith("cuda")
    title = f"Ends of epochs on {options.device}"
    benchmark = Benchmark(name, title, options, settings, UNITS, with_gpu=on_gpu)
    with tempfile.TemporaryDirectory() as folder:
        save_dir = Path(folder) / "run"
        words = [*dataset_words(options.data_root), "--device", options.device, "--seed", SEED]
        usual = ["--epochs", options.epochs, "--save-dir", save_dir, "--overwrite"]
        command = bigan("train", *words, *usual)
        benchmark.interleave({NAME: lambda: read_off(run(command).seconds, save_dir)})
    steps = benchmark.runs(NAME, "steps")
    pairs = zip(benchmark.runs(NAME, "all else"), steps, strict=True)
    shares = [100 * rest / all_steps for rest, all_steps in pairs]
    benchmark.check("all else / steps", shares, "%", Target(most=5))
    benchmark.note(
        "Steps: the training steps of all epochs. All else: the rest of the time from the "
        "start of training to its end: validation, the detector, pictures, models, status, also "
        "those of the untrained network. Run: both. Wall: the whole process, its start and the "
        "reading of images included."
    )
    return benchmark.finish()


def read_off(wall: float, save_dir: Path) -> dict[str, float]:
    """Return where the time of a run went, in seconds."""
    info = json.loads((save_dir / "run.json").read_text(encoding="utf-8"))
    lines = (save_dir / "stats" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [json.loads(line) for line in lines]
    config = tomllib.loads((save_dir / "config.toml").read_text(encoding="utf-8"))
    batch = config["train"]["batch_size"]
    images = info["data"]["images"]["train"] // batch * batch
    steps = sum(images / epoch["images_per_second"] for epoch in epochs)
    run_seconds = float(info["seconds"])
    return {"wall": wall, "run": run_seconds, "steps": steps, "all else": run_seconds - steps}


if __name__ == "__main__":
    sys.exit(main())
