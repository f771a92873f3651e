"""One contender of ``latency.py``: scores one image many times, its latencies printed as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

# Calls before those that count.
_WARM_UP = 5


def main() -> None:
    """Score one image as often as asked, from its file each time."""
    what, model, image, calls = sys.argv[1:]
    score = detector(model, image) if what == "detector" else onnxruntime(model, image)
    for _ in range(_WARM_UP):
        score()
    seconds, cpu = [], time.process_time()
    for _ in range(int(calls)):
        started = time.perf_counter()
        score()
        seconds.append(time.perf_counter() - started)
    cpu = (time.process_time() - cpu) / int(calls)
    p50, p95 = np.quantile(seconds, [0.5, 0.95]) * 1000
    json.dump({"p50": p50, "p95": p95, "CPU time": 1000 * cpu}, sys.stdout)


def detector(run: str, image: str) -> Callable[[], object]:
    """Return what scores *image* with the detector of *run*."""
    from bigan_cli.cli.main import limit_omp_spinning

    limit_omp_spinning()  # as the command does, and before torch is imported
    import bigan_cli as bigan

    loaded = bigan.load(run, device="cpu")
    return lambda: loaded.score(image)


def onnxruntime(file: str, image: str) -> Callable[[], object]:
    """Return what scores *image* with the exported model *file*."""
    from bigan_cli.export.runners.run_onnx import Model, read_image

    model = Model(file)
    return lambda: model.run(read_image(Path(image), model)[0][None])


if __name__ == "__main__":
    main()
