"""Quality in faster arithmetic: AUROC of MNIST classes for several seeds and variants.

A variant is good if its result is within the range of other seeds.
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import mean

from children import bigan, run
from harness import Benchmark, Figures, Target, arguments
from pictures import add_data_root, dataset_words

UNITS = {"AUROC": "", "wall": "s"}
VARIANTS = ("fp32=--precision fp32", "bf16=--precision bf16")


def main() -> int:
    """Run the benchmark; its rounds are the seeds 0, 1, 2, ..."""
    parser = arguments(__doc__, repeats=3)
    parser.add_argument(
        "--class",
        dest="classes",
        type=int,
        action="append",
        help="normal class; repeatable [0, 3 and 8]",
    )
    parser.add_argument("--epochs", type=int, default=30, help="of each run [%(default)s]")
    parser.add_argument("--device", default="cpu", help="cpu or cuda [%(default)s]")
    parser.add_argument(
        "--variants",
        action="append",
        metavar="NAME=OPTIONS",
        help=f"options of bigan train; repeatable, the first is the reference {list(VARIANTS)}",
    )
    add_data_root(parser)
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.epochs, options.data_root = min(options.repeats, 2), 2, None
    classes = options.classes or ([8] if options.quick else [0, 3, 8])
    variants = dict(variant.split("=", 1) for variant in options.variants or VARIANTS)
    settings = {
        "data": "MNIST" if options.data_root else "digits at 28x28",
        "epochs": options.epochs,
        "device": options.device,
        "seeds": f"0 to {options.repeats - 1}",
        **variants,
    }
    name = f"precision-{options.device.partition(':')[0]}"
    on_gpu = options.device.startswith("cuda")
    title = f"AUROC by arithmetic on {options.device}"
    benchmark = Benchmark(name, title, options, settings, UNITS, with_gpu=on_gpu)
    with tempfile.TemporaryDirectory() as folder:
        for inlier in classes:
            words: list[object] = [
                *dataset_words(options.data_root, inlier),
                *("--epochs", options.epochs, "--device", options.device),
                *("--save-dir", Path(folder) / "run", "--overwrite"),
            ]
            benchmark.interleave(
                {
                    _title(inlier, variant): trained([*words, *shlex.split(extra)], folder)
                    for variant, extra in variants.items()
                }
            )
    reference, *others = variants
    for inlier in classes:
        known = benchmark.runs(_title(inlier, reference), "AUROC")
        spread = max(known) - min(known)
        benchmark.check(f"class {inlier}: spread of {reference} over the seeds", [spread], "")
        for other in others:
            found = benchmark.runs(_title(inlier, other), "AUROC")
            lost = mean(known) - mean(found)
            label = f"class {inlier}: mean of {reference} - mean of {other}"
            benchmark.check(label, [lost], "", Target(most=spread))
    return benchmark.finish()


def _title(inlier: int, variant: str) -> str:
    return f"class {inlier}, {variant}"


def trained(words: list[object], folder: str) -> Callable[[], Figures]:
    """Return what trains and evaluates once, with the next seed at each call."""
    seeds = count()

    def once() -> Figures:
        spent = run(bigan("train", *words, "--seed", next(seeds)))
        evaluated = run(bigan("evaluate", "--run", Path(folder) / "run", "--json"))
        return {"AUROC": auroc(json.loads(evaluated.out)), "wall": spent.seconds}

    return once


def auroc(document: dict[str, object]) -> float:
    """Return the AUROC of the trained network in what ``bigan evaluate --json`` printed."""
    found: object = document
    for key in ("trained", "auroc", "value"):
        found = found[key]  # type: ignore[index]
    return float(found)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
