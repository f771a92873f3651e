"""Training throughput, against plain PyTorch loops over the same networks and objective.

The peers are a loop as public scripts write it, and two that avoid what costs it most. Each
contender runs in a process of its own; its first steps, where kernels are chosen and compiled,
are reported apart.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from children import run
from harness import Benchmark, Figures, Target, arguments
from pictures import add_data_root

SEED = 0
CONTENDERS = {
    "bigan": "bigan train",
    "bigan-compiled": "bigan train --compile on",
    "bigan-fp32": "bigan train --precision fp32",
    "usual": "usual loop",
    "careful": "careful loop",
    "resident": "careful loop, images in memory",
}
UNITS = {
    "throughput": "images/s",
    "warm-up": "s",
    "memory": "MiB",
    "device memory": "MiB",
}


def main() -> int:
    """Run the benchmark."""
    parser = arguments(__doc__, repeats=5)
    parser.add_argument("--device", default="cpu", help="cpu or cuda [%(default)s]")
    parser.add_argument("--batch-size", type=int, default=64, help="images a step [%(default)s]")
    parser.add_argument("--steps", type=int, default=200, help="that count [%(default)s]")
    parser.add_argument("--warm-up", type=int, default=20, help="steps before [%(default)s]")
    add_data_root(parser)
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.steps, options.warm_up = min(options.repeats, 2), 10, 3
    words = {
        "--device": options.device,
        "--batch-size": options.batch_size,
        "--steps": options.steps,
        "--warm-up": options.warm_up,
        "--seed": SEED,
        **({"--data-root": options.data_root} if options.data_root else {}),
    }
    settings = {
        "data": "MNIST, train split" if options.data_root else "digits at 28x28",
        "networks": "dcgan, 1x28x28, 32 base maps, latent 32",
        **{k.removeprefix("--"): v for k, v in words.items() if k != "--data-root"},
    }
    name = f"training-{options.device.partition(':')[0]}-{options.batch_size}"
    title = f"Training on {options.device}, batches of {options.batch_size}"
    on_gpu = options.device.startswith("cuda")
    benchmark = Benchmark(name, title, options, settings, UNITS, with_gpu=on_gpu)
    # On a CPU, compiling gains nothing.
    contenders = {k: v for k, v in CONTENDERS.items() if on_gpu or k != "bigan-compiled"}
    benchmark.interleave({title: child(key, words) for key, title in contenders.items()})
    ours = CONTENDERS["bigan"]
    target = Target(least=10 if on_gpu else 3)
    benchmark.ratio(ours, CONTENDERS["usual"], "throughput", target)
    if on_gpu:
        benchmark.ratio(CONTENDERS["bigan-compiled"], CONTENDERS["usual"], "throughput", target)
    for key in ("careful", "resident"):
        benchmark.ratio(ours, CONTENDERS[key], "throughput")
    benchmark.ratio(CONTENDERS["bigan-fp32"], CONTENDERS["usual"], "throughput")
    benchmark.note(
        "The usual loop: PIL images through ToTensor and Normalize, four workers, fp32, separate "
        "passes for real and generated pairs, gradients through E and G in D's step, the losses "
        "read at every step. The careful ones: no gradient for E and G in D's step nor for D "
        "in theirs, the losses left on the device. None of them averages the weights, as "
        "bigan does."
    )
    benchmark.note(
        "Warm-up: from the start of the data loader or trainer to the end of the first "
        f"{options.warm_up} steps. Memory: peak of anonymous memory, workers included."
    )
    return benchmark.finish()


def child(contender: str, words: dict[str, object]) -> Callable[[], Figures]:
    """Return what trains *contender* once, in a process of its own."""
    script = Path(__file__).with_name("training_contender.py")
    command = [sys.executable, script, contender, *(w for pair in words.items() for w in pair)]

    def once() -> Figures:
        spent = run(command, watch_every=0.5)
        return {**spent.figures(), "memory": spent.anonymous_mib}

    return once


if __name__ == "__main__":
    sys.exit(main())
