"""What a plugin does wrong while it runs is reported as its fault, in one line, with its name."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

COMPONENT = """
from bigan_cli.contracts import ScoreComponent
from bigan_cli.hookspecs import hookimpl

class Odd(ScoreComponent):
    name = "odd"
    summary = "odd"

    def embed(self, seen):
        return seen.z

    def fit(self, embedded, generator):
        return {"mean": embedded.mean(dim=0)}

    def score(self, seen, fitted):
        return (seen.z - fitted["mean"]).square().mean(dim=1)

    def heatmap(self, seen, fitted):
        return None

@hookimpl
def bigan_score_components():
    return [Odd]
"""

DATASET = """
import sqlite3, threading
import numpy as np
from collections.abc import Sequence
from bigan_cli.contracts import Dataset, Items
from bigan_cli.hookspecs import hookimpl

class Stored(Sequence):
    def __init__(self, seed):
        self.pixels = np.random.default_rng(seed).integers(0, 256, (200, 8, 8), dtype=np.uint8)
    def __len__(self):
        return 200
    def __getitem__(self, i):
        return self.pixels[i]

class Odd(Dataset):
    name = "odd"
    summary = "odd"
    class_names = ("a", "b")

    def train_items(self):
        return Items(Stored(0), np.zeros(200, int))

    def test_items(self):
        return Items(Stored(1), np.arange(200) % 2)

@hookimpl
def bigan_datasets():
    return [Odd]
"""

ARCHITECTURE = """
import torch
from torch import nn
from bigan_cli.contracts import Architecture
from bigan_cli.hookspecs import hookimpl

class Discriminator(nn.Module):
    def __init__(self, pixels, latent):
        super().__init__()
        self.hidden = nn.Linear(pixels + latent, 8)
        self.head = nn.Linear(8, 1)

    def forward(self, x, z):
        features = torch.relu(self.hidden(torch.cat([x.flatten(1), z], dim=1)))
        return self.head(features).squeeze(1), features

class Odd(Architecture):
    name = "odd"
    summary = "odd"

    def build(self, image_shape, latent_dim):
        shape = (image_shape.channels, image_shape.height, image_shape.width)
        pixels = shape[0] * shape[1] * shape[2]
        e = nn.Sequential(nn.Flatten(), nn.Linear(pixels, latent_dim))
        g = nn.Sequential(nn.Linear(latent_dim, pixels), nn.Tanh(), nn.Unflatten(1, shape))
        d = Discriminator(pixels, latent_dim)
        return e, g, d

@hookimpl
def bigan_architectures():
    return [Odd]
"""

FAST = (
    *("--epochs", "1", "--device", "cpu", "--latent-dim", "4"),
    *("--feature-maps-gen", "4", "--feature-maps-disc", "4"),
)


def changed(source: str, old: str, new: str) -> str:
    assert old in source
    return source.replace(old, new)


def fault(outcome, kind: str, file: Path) -> str:
    """Return what is reported to be wrong, having checked who is blamed and how."""
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    (error,) = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert error.startswith(f"error: {kind} 'odd' ({file})")
    assert "hint: 'bigan plugins check odd'" in outcome.err
    assert "internal error" not in outcome.err
    return error


RETURNED = 'return (seen.z - fitted["mean"]).square().mean(dim=1)'
COMPONENTS = {
    "score-none": (RETURNED, "return None", "score() of", "returned None, not floats ["),
    "score-list": (RETURNED, "return [0.0] * len(seen.x)", "returned [0.0, 0.0"),
    "score-column": (RETURNED, "return seen.z[:, :1]", "a tensor of float32 [64, 1], not floats"),
    "score-numpy": (RETURNED, "return seen.z[:, 0].numpy()", "a numpy array of float32 [64]"),
    "score-integers": (RETURNED, "return seen.z[:, 0].long()", "a tensor of int64 [64]"),
    "score-raises": (RETURNED, "raise ValueError('too odd')", "in score(): ValueError: too odd ("),
    "embed-list": ("return seen.z", "return [1, 2]", "embed() of 64 images returned [1, 2]"),
    "embed-raises": ("return seen.z", "return seen.nothing", "failed in embed(): AttributeError"),
    "fit-tensor": ('return {"mean": embedded.mean(dim=0)}', "return embedded", "fit() returned"),
    "heatmap-flat": ("        return None", "        return seen.z", "heatmap() of 64 images"),
}


@pytest.mark.parametrize("case", COMPONENTS)
def test_of_a_score_component(case, bigan, tmp_path):
    old, new, *words = COMPONENTS[case]
    file = tmp_path / "odd.py"
    file.write_text(changed(COMPONENT, old, new), encoding="utf-8")
    outcome = bigan(
        *("train", "--plugin", file, *FAST, "--save-dir", tmp_path / "run"),
        *("--set", "score.components=odd"),
    )
    error = fault(outcome, "score component", file)
    assert all(word in error for word in words)


DATASETS = {
    "items-none": ("return Items(Stored(0), np.zeros(200, int))", "return None", "returned None"),
    "items-raise": ("return Items(Stored(0)", "return Item(Stored(0)", "NameError: name 'Item'"),
    "labels-column": ("np.zeros(200, int)", "np.zeros((200, 1), int)", "has labels"),
    "labels-float": ("np.zeros(200, int)", "np.full(200, 0.5)", "labels are float64, not integers"),
    "generator": ("Items(Stored(0), ", "Items((x for x in Stored(0)), ", "not a sequence"),
    "names-map": (
        "np.zeros(200, int))",
        "np.zeros(200, int), names=map(str, range(200)))",
        "not a sequence",
    ),
    "exit": ("return self.pixels[i]", "raise SystemExit(3)", "SystemExit: 3"),
    "floats": (
        "Items(Stored(0), ",
        "Items(Stored(0).pixels / 255, ",
        "a numpy array of float64 [200, 8, 8], not uint8 [N, H, W]",
    ),
    "texts": ("return self.pixels[i]", 'return "a.png"', "images[0] is 'a.png', not a pathlib"),
    "image-raises": ("return self.pixels[i]", "return self.gone[i]", "AttributeError: 'Stored'"),
    "one-thread": (
        "return self.pixels[i]",
        (
            "if i and threading.current_thread() is not threading.main_thread():\n"
            "            raise sqlite3.ProgrammingError('of another thread')\n"
            "        return self.pixels[i]"
        ),
        "in one of several threads: ProgrammingError: of another thread",
    ),
    "classes": ('class_names = ("a", "b")', "classes = lambda self: None", "classes() returned"),
    "preset": (
        'class_names = ("a", "b")',
        'class_names = ("a", "b")\n    preset_for = classmethod(lambda *_: None)',
        "preset_for() returned None, not (tables, reason)",
    ),
}


@pytest.mark.parametrize("case", DATASETS)
def test_of_a_dataset(case, bigan, tmp_path):
    old, new, word = DATASETS[case]
    file = tmp_path / "odd.py"
    file.write_text(changed(DATASET, old, new), encoding="utf-8")
    outcome = bigan(
        *("train", "--plugin", file, "--dataset", "odd", *FAST, "--save-dir", tmp_path / "run")
    )
    error = fault(outcome, "dataset", file) if case != "preset" else outcome.err
    assert word in error
    assert not (tmp_path / "run").exists()


ARCHITECTURES = {
    "none": ("return e, g, d", "return None", "build() returned None, not (encoder, generator"),
    "two": ("return e, g, d", "return e, g", "build() returned"),
    "swapped": ("return e, g, d", "return g, e, d", "(encoder, generator, discriminator)?"),
    "raises": ("return e, g, d", "raise ValueError('odd')", "failed in build() for 1x8x8: Val"),
    "double": ("return e, g, d", "return e.double(), g, d", "RuntimeError"),
    "column": (".squeeze(1), features", ", features", "float32 [2, 1], expected float32 [2]"),
    "no-pair": ("return self.head(features).squeeze(1), features", "return features", "D returned"),
    "in-training": (
        "        features = torch.relu(",
        "        assert not torch.is_grad_enabled(), 'no training'\n        features = torch.relu(",
        "failed in training: AssertionError: no training",
    ),
}


@pytest.mark.parametrize("case", ARCHITECTURES)
def test_of_an_architecture(case, bigan, tmp_path):
    old, new, word = ARCHITECTURES[case]
    file = tmp_path / "odd.py"
    file.write_text(changed(ARCHITECTURE, old, new), encoding="utf-8")
    outcome = bigan(
        *("train", "--plugin", file, "--architecture", "odd", "--epochs", "1", "--device", "cpu"),
        *("--save-dir", tmp_path / "run"),
    )
    assert word in fault(outcome, "architecture", file)


def test_of_a_package_is_reported_with_its_version(install, bigan, tmp_path):
    install("odd", changed(COMPONENT, RETURNED, "return None"), version="2.1")
    outcome = bigan(
        *("train", *FAST, "--save-dir", tmp_path / "run", "--set", "score.components=odd")
    )
    assert outcome.err.splitlines()[-2].startswith("error: score component 'odd' (bigan-odd 2.1) ")


def test_the_sources_themselves_are_right(bigan, tmp_path):
    for name, source in {"c": COMPONENT, "d": DATASET, "a": ARCHITECTURE}.items():
        (tmp_path / f"{name}.py").write_text(dedent(source), encoding="utf-8")
    plugins = [word for name in "cda" for word in ("--plugin", tmp_path / f"{name}.py")]
    outcome = bigan(
        *("train", *plugins, "--dataset", "odd", "--architecture", "odd", "--epochs", "1"),
        *("--set", "score.components=odd", "--device", "cpu", "--save-dir", tmp_path / "run"),
    )
    assert outcome.code == 0, outcome.err


@pytest.mark.slow
def test_a_named_component_whose_head_is_not_trained_is_reported(bigan, tmp_path):
    outcome = bigan(
        *("train", *FAST, "--set", "train.rotation_weight=0", "--save-dir", tmp_path / "run"),
        *("--set", "score.components=rotation,latent_neighbours"),
    )
    assert outcome.code == 0, outcome.err
    assert (
        "warning: score component 'rotation' is left out: it needs the head 'rotation', which is "
        "not trained ('train.rotation_weight' is 0)"
    ) in outcome.err
    outcome = bigan(
        *("train", *FAST, "--set", "train.rotation_weight=0", "--save-dir", tmp_path / "run2"),
        *("--set", "score.components=rotation"),
    )
    assert outcome.code == 2
    assert "'rotation' needs the head 'rotation', which is not trained" in outcome.err


@pytest.fixture
def finished(bigan, tmp_path):
    """Return a finished run that was trained with a component from a plugin file."""
    file = tmp_path / "odd.py"
    file.write_text(COMPONENT, encoding="utf-8")
    run = tmp_path / "run"
    words = ("--set", "score.components=odd,latent_neighbours", "--save-dir", run)
    assert bigan("train", "--plugin", file, *FAST, *words).code == 0
    return run


@pytest.mark.slow
def test_a_finished_run_can_try_a_new_component(finished, bigan, tmp_path):
    new = tmp_path / "even.py"
    new.write_text(COMPONENT.replace("odd", "even"), encoding="utf-8")
    plugins = ("--plugin", tmp_path / "odd.py", "--plugin", new)
    outcome = bigan(
        *("train", "--resume", "--save-dir", finished, *plugins),
        *("--set", "score.components=odd,even"),
    )
    assert outcome.code == 0, outcome.err
    assert "fitting the changed score to best.safetensors" in outcome.err
    outcome = bigan("evaluate", "--run", finished, "--json", *plugins)
    assert '"even"' in outcome.out


@pytest.mark.slow
def test_a_run_is_resumed_with_a_plugin_file_that_moved(finished, bigan, tmp_path):
    moved = (tmp_path / "elsewhere").mkdir() or tmp_path / "elsewhere" / "odd.py"
    (tmp_path / "odd.py").rename(moved)
    words = ("train", "--resume", "--save-dir", finished, "--epochs", "2")
    outcome = bigan(*words)
    assert outcome.code == 2
    assert "unknown score component 'odd'" in outcome.err
    assert "--plugin FILE names its present place" in outcome.err
    outcome = bigan(*words, "--plugin", moved)
    assert outcome.code == 0, outcome.err
    assert bigan("evaluate", "--run", finished, "--plugin", moved).code == 0
