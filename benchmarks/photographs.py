"""How well defects are detected on photographs, against anomalib's PatchCore and PaDiM.

    pip install elpv-dataset
    python benchmarks/photographs.py --peer-python peer/bin/python

For each kind of ELPV solar cells and each seed: the folder is laid out, bigan trains on it and is
evaluated with its defaults, and so are the peers, with the same pretrained weights, in an
environment of their own (``anomalib_contender.py``). The seed divides the normal cells and seeds
the training. Then the synthetic parts, for bigan and for PCA on their pixels.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import elpv
import synthetic_parts
from children import bigan, run
from harness import Benchmark, Target, arguments
from machine import ROOT

PEERS = ("patchcore", "padim")
KINDS = {"mono": Target(least=0.96), "poly": Target(least=0.90)}
# Parts of the score, by the weights of the standardised components.
PARTS_OF_SCORE = {
    "the paper's score": {"reconstruction": 1.0, "discriminator": 1.0},
    "the networks alone": {"residual_mahalanobis": 1.0, "discriminator": 0.5, "distortion": 0.5},
    "features alone": {"patch_mahalanobis": 2.0, "feature_mahalanobis": 1.0},
}
# One thread for each: the peers must not lose to a machine with many.
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def measure_bigan(folder: Path, results: Path, seed: int) -> Mapping[str, float]:
    """Train and evaluate with the defaults; return the figures."""
    words = ("--dataset", "folder", "--data-root", folder, "--save-dir", results)
    training = run(
        bigan("train", *words, "--seed", seed, "--device", "cpu"), environment=_ONE_THREAD
    )
    evaluated = run(
        bigan("evaluate", "--run", results, "--device", "cpu", "--json"), environment=_ONE_THREAD
    )
    document = json.loads(evaluated.out)
    trained: dict[str, Any] = document["trained"]
    figures = {"AUROC": trained["auroc"]["value"], "training": training.seconds}
    figures |= {f"AUROC of {name}": value for name, value in trained["components"].items()}
    figures["AUROC of untrained networks"] = document["untrained"]["auroc"]["value"]
    if trained["pixel_auroc"] is not None:
        figures |= {"pixel AUROC": trained["pixel_auroc"], "AUPRO": trained["pixel_aupro"]}
    figures |= parts_of_score(results / "stats" / "scores.csv")
    for each in document["classes"]:
        if each["outlier"] and len(document["classes"]) > 2:
            figures[f"AUROC of {each['name']}"] = each["auroc"]["value"]
    return figures


def parts_of_score(table: Path) -> Mapping[str, float]:
    """Return the AUROC of parts of the score, from the standardised components of each image."""
    from sklearn.metrics import roc_auc_score

    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    anomalous = [row["outlier"] == "1" for row in rows]
    figures = {}
    for name, weights in PARTS_OF_SCORE.items():
        scores = [sum(weight * float(row[c]) for c, weight in weights.items()) for row in rows]
        figures[f"AUROC of {name}"] = float(roc_auc_score(anomalous, scores))
    return figures


def measure_peer(python: Path, model: str, folder: Path, seed: int) -> Mapping[str, float]:
    """Run one of anomalib's models; return the figures."""
    script = ROOT / "benchmarks" / "anomalib_contender.py"
    spent = run([python, script, folder, "--model", model, "--seed", seed], environment=_ONE_THREAD)
    figures = spent.figures()
    return {"AUROC": figures["auroc"], "training": figures["seconds_fit"]}


def worst_pixels(folder: Path) -> Mapping[str, float]:
    """Return the AUROC of PCA on pixels, by the mean of the worst 0.5 % of squared errors."""
    import numpy as np
    from PIL import Image
    from sklearn.decomposition import PCA
    from sklearn.metrics import roc_auc_score

    def read(files: list[Path]) -> Any:
        images = [Image.open(file).convert("L").resize((128, 96)) for file in files]
        return np.stack([np.asarray(image, np.float32).ravel() for image in images])

    pca = PCA(32, random_state=0).fit(read(sorted(folder.glob("train/good/*.png"))))
    files = sorted(folder.glob("test/*/*.png"))
    pixels = read(files)
    errors = np.square(pixels - pca.inverse_transform(pca.transform(pixels)))
    worst = np.sort(errors, axis=1)[:, -round(0.005 * errors.shape[1]) :].mean(axis=1)
    anomalous = [file.parent.name != "good" for file in files]
    return {"AUROC": float(roc_auc_score(anomalous, worst))}


class Units(dict[str, str]):
    """The unit of a quantity: seconds, or none."""

    def __missing__(self, quantity: str) -> str:
        return "s" if quantity == "training" else ""


def main() -> int:
    """Measure, print and write the result."""
    parser = arguments(__doc__ or "", repeats=3)
    parser.add_argument(
        "--peer-python", type=Path, help="a Python with anomalib; without it no peer is measured"
    )
    options = parser.parse_args()
    seeds = range(1 if options.quick else options.repeats)
    benchmark = Benchmark(
        "photographs",
        "Defects on photographs: image AUROC with default settings",
        options,
        {"seeds": list(seeds), "kinds": list(KINDS), "parts": list(synthetic_parts.PARTS)},
        Units(),
    )

    def add(contender: str, figures: Mapping[str, float]) -> None:
        print(f"{contender}: {figures['AUROC']:.4f}", file=sys.stderr, flush=True)
        benchmark.add(contender, figures)

    with tempfile.TemporaryDirectory() as work:
        for seed in seeds:
            for kind in KINDS:
                folder = Path(work) / f"{kind}-{seed}"
                elpv.lay_out(elpv.installed(), folder, kind, seed)
                add(f"bigan, ELPV {kind}", measure_bigan(folder, Path(f"{folder}-run"), seed))
                for model in PEERS if options.peer_python else ():
                    figures = measure_peer(options.peer_python, model, folder, seed)
                    add(f"{model}, ELPV {kind}", figures)
        for part in synthetic_parts.PARTS:
            folder = Path(work) / part
            synthetic_parts.write(folder, part, seed=0, train=150, good=80, defective=80)
            add(f"bigan, synthetic {part}", measure_bigan(folder, Path(f"{folder}-run"), 0))
            add(f"PCA on pixels, synthetic {part}", worst_pixels(folder))
    for kind, target in KINDS.items():
        benchmark.check(
            f"bigan, ELPV {kind}", benchmark.runs(f"bigan, ELPV {kind}", "AUROC"), "AUROC", target
        )
        for model in PEERS if options.peer_python else ():
            contenders = (f"bigan, ELPV {kind}", f"{model}, ELPV {kind}")
            benchmark.difference(*contenders, "AUROC", Target(least=0))
    plate = "bigan, synthetic plate"
    benchmark.check(plate, benchmark.runs(plate, "AUROC"), "AUROC", Target(least=0.95))
    return benchmark.finish()


if __name__ == "__main__":
    sys.exit(main())
