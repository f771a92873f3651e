"""What the code blocks are run with in place of what they name: little work, and no download."""

from __future__ import annotations

import re
from pathlib import Path

# In the text of a block. Folders of other machines are below that of the page.
_TEXT = (
    (r"(?<![\w.:/])~?/(data|models|shared)/", r"{here}/\1/"),
    # Spark reads object stores by files of Java that its Python package does not have.
    (r"s3a://bucket\b", r"{here}/bucket"),
    (r"--array=0-31", r"--array=0-1"),
    (r"--cpus-per-task=4", r"--cpus-per-task=1"),
    (r"\b(completions: |parallelism: |auto/)32\b", r"\g<1>2"),
    (r"\{000\.\.099\}", r"{{0..1}}"),
    (r"--inlier all\b", r"--inlier 3"),
    (r"--inlier 3 --inlier 4\b", r"--inlier 3"),
    (r"python -m venv venv", r"python -m venv --without-pip venv"),
)

# Options that make a training short. They replace those of the page.
_FEW_EPOCHS = ("--epochs", "2", "--save-interval", "2", "--device", "cpu")
_SMALL_NETWORKS = ("--latent-dim", "8", "--feature-maps-gen", "4", "--feature-maps-disc", "4")
_FEW_STEPS = (
    *("--image-size", "96", "--fpr", "0.2", "--no-self-test"),
    *("--set", "train.min_epoch_steps=4", "--set", "train.max_epoch_steps=4"),
    # Cross-fitting would train three times.
    *(
        "--set",
        "data.calibration=held-out",
        "--set",
        "data.calibration_portion=0.4",
        "--set",
        "output.preview_images=2",
    ),
)
_SMALL_BENCHMARK = (
    *("--device", "cpu", "--jobs", "2", "--set", "train.epochs=1", "--set", "model.latent_dim=8"),
    *("--set", "model.options.feature_maps_gen=4", "--set", "model.options.feature_maps_disc=4"),
)
_DATASETS = {
    "mnist": "digits",
    "fashion_mnist": "digits",
    "Ankle boot": "9",
    "cifar10": "digits",
    "ship": "8",
}


def small_text(text: str, here: Path) -> str:
    """Return the text of a block that is run in the folder *here*."""
    for pattern, small in _TEXT:
        text = re.sub(pattern, small.format(here=here), text)
    return text


def small_command(words: list[str]) -> list[str]:
    """Return the words of a call of ``bigan`` that takes seconds."""
    if "--data-root" not in words:
        named = zip(["", *words], words, strict=False)
        words = [w if before == "--output" else _DATASETS.get(w, w) for before, w in named]
    if "examples/mnist.toml" in words:
        words += ["--dataset", "digits"]
    if words[0] == "benchmark":
        return [*words, *_SMALL_BENCHMARK]
    if words[0] != "train" or {"--help", "--resume"} & set(words):
        return words
    if any(word.endswith("/config.toml") for word in words):
        return words  # of a run that was short
    if "shards" in words:
        return [*words, *_FEW_EPOCHS, *_SMALL_NETWORKS, "--fpr", "0.2"]
    if "--architecture" in words:
        return [*words, *_FEW_EPOCHS]
    own_folder = "--data-root" in words and not {"--plugin", "hf"} & set(words)
    photographs = "folder" in words or own_folder
    return [*words, *_FEW_EPOCHS, *(_FEW_STEPS if photographs else _SMALL_NETWORKS)]


def small_script(words: list[str]) -> list[str]:
    """Return the words behind ``python`` for a script of ``benchmarks/`` that takes seconds."""
    if Path(words[0]).name == "elpv.py":
        return [*words, "--limit", "20"]
    if Path(words[0]).name not in ("startup.py", "plugins_startup.py"):
        return words
    output = [] if {"--quick", "--output"} & set(words) else ["--output", "benchmarks/results"]
    return [*words, "--quick", "--repeats", "1", *output]
