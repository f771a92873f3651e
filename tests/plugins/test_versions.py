"""A run made with plugins, and the messages when they are no longer there."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import tomli
from PIL import Image

from bigan_cli.storage.model_header import read_header

DOTS = """
import numpy as np
from bigan_cli.contracts import Dataset, Items
from bigan_cli.hookspecs import hookimpl


class Dots(Dataset):
    name = "dots"
    summary = "grey noise"
    class_names = ("dim", "bright")

    def train_items(self):
        random = np.random.default_rng(0)
        return Items(random.integers(0, 99, (120, 8, 8), np.uint8), np.zeros(120, np.int64))

    def test_items(self):
        random = np.random.default_rng(1)
        return Items(random.integers(0, 255, (20, 8, 8), np.uint8), np.arange(20) % 2)


@hookimpl
def bigan_datasets():
    return [Dots]
"""
TINY = """
from bigan_cli.contracts import Architecture
from bigan_cli.hookspecs import hookimpl


class Tiny(Architecture):
    name = "tiny"
    summary = "one layer each"

    def build(self, image_shape, latent_dim):
        import torch
        from torch import nn

        shape = (image_shape.channels, image_shape.height, image_shape.width)
        pixels = shape[0] * shape[1] * shape[2]

        class Discriminator(nn.Module):
            def __init__(self):
                super().__init__()
                self.hidden = nn.Linear(pixels + latent_dim, 4)
                self.head = nn.Linear(4, 1)

            def forward(self, x, z):
                features = torch.relu(self.hidden(torch.cat([x.flatten(1), z], dim=1)))
                return self.head(features).squeeze(1), features

        encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, latent_dim))
        generator = nn.Sequential(
            nn.Linear(latent_dim, pixels), nn.Tanh(), nn.Unflatten(1, shape)
        )
        return encoder, generator, Discriminator()


@hookimpl
def bigan_architectures():
    return [Tiny]
"""
COMPONENTS = ("--set", 'score.components=["reconstruction"]')
GONE = "and now: it does not exist; --plugin FILE names its present place"
FAST = ("--epochs", "1", "--device", "cpu", "--latent-dim", "2", *COMPONENTS)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.new("L", (8, 8), 40).save(path)
    return path


@pytest.fixture
def with_files(tmp_path, bigan) -> Path:
    """Return a folder with dots.py, tiny.py and a run made with both."""
    (tmp_path / "dots.py").write_text(DOTS, encoding="utf-8")
    (tmp_path / "tiny.py").write_text(TINY, encoding="utf-8")
    words = ("--plugin", tmp_path / "dots.py", "--plugin", tmp_path / "tiny.py")
    chosen = ("--dataset", "dots", "--architecture", "tiny", "--save-dir", tmp_path / "run")
    outcome = bigan("train", *words, *chosen, *FAST)
    assert outcome.code == 0, outcome.err
    return tmp_path


@pytest.fixture
def with_package(install, tmp_path, bigan) -> Path:
    """Return a run made with the architecture of an installed package."""
    install("tiny", TINY, package="bigan-tinyconv", version="0.1.0")
    outcome = bigan("train", "--architecture", "tiny", *FAST, "--save-dir", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    return tmp_path / "run"


def test_a_run_and_its_models_say_whence_their_plugins_came(with_files):
    expected = [
        {"kind": kind, "name": name, "distribution": str(with_files / file), "version": ""}
        for kind, name, file in (
            ("dataset", "dots", "dots.py"),
            ("architecture", "tiny", "tiny.py"),
        )
    ]
    run = with_files / "run"
    assert json.loads((run / "run.json").read_text())["plugin_versions"] == expected
    header = read_header(run / "models" / "best.safetensors")
    assert [version.as_dict() for version in header.plugin_versions] == expected


@pytest.mark.slow
def test_scoring_needs_no_data_set(with_files, picture, bigan):
    (with_files / "dots.py").unlink()
    run = ("--run", with_files / "run", "--plugin", with_files / "tiny.py")
    outcome = bigan("score", picture, *run)
    assert (outcome.code, outcome.err.count("dots")) == (0, 0), outcome.err
    assert bigan("reconstruct", picture, *run).code == 0

    gone = bigan("evaluate", *run)
    assert gone.code == 2
    assert gone.err.splitlines() == [
        "error: unknown dataset 'dots'",
        f"hint: this run was trained with the plugin file {with_files / 'dots.py'}, {GONE}",
    ]
    other = bigan("evaluate", *run, "--dataset", "digits", "--inlier", "0")
    assert other.code == 0, other.err
    (with_files / "moved.py").write_text(DOTS, encoding="utf-8")
    assert bigan("evaluate", *run, "--plugin", with_files / "moved.py").code == 0


@pytest.mark.parametrize("command", ["score", "evaluate", "reconstruct", "train"])
def test_files_that_only_a_run_names_are_not_run(command, with_files, picture, bigan):
    touched = with_files / "touched"
    for name in ("tiny.py", "dots.py"):
        with (with_files / name).open("a") as file:
            file.write(f"open({str(touched)!r}, 'w')\n")
    outcome = {
        "score": lambda: bigan("score", picture, "--run", with_files / "run"),
        "reconstruct": lambda: bigan("reconstruct", picture, "--run", with_files / "run"),
        "evaluate": lambda: bigan("evaluate", "--run", with_files / "run"),
        "train": lambda: bigan("train", "--resume", "--save-dir", with_files / "run"),
    }[command]()
    assert outcome.code == 2
    assert f"only if you name it: --plugin {with_files / 'tiny.py'}" in outcome.err
    assert not touched.exists()


@pytest.mark.parametrize(
    "command",
    ["score", *(pytest.param(c, marks=pytest.mark.slow) for c in ("evaluate", "reconstruct"))],
)
def test_a_file_that_is_needed_is_named_and_may_lie_elsewhere(command, with_files, picture, bigan):
    shutil.move(with_files / "tiny.py", with_files / "elsewhere.py")
    words = (*([] if command == "evaluate" else [picture]), "--run", with_files / "run")
    words = (*words, "--plugin", with_files / "dots.py")
    outcome = bigan(command, *words)
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        "error: unknown architecture 'tiny'",
        f"hint: this run was trained with the plugin file {with_files / 'tiny.py'}, {GONE}",
    ]
    outcome = bigan(command, *words, "--plugin", with_files / "elsewhere.py")
    assert outcome.code == 0, outcome.err
    nowhere = bigan(command, *words, "--plugin", with_files / "elsewere.py")
    assert nowhere.err.splitlines() == [
        f"error: plugin file {with_files / 'elsewere.py'}: it does not exist",
        "hint: did you mean 'elsewhere.py'?",
    ]


@pytest.mark.slow
def test_a_file_named_now_goes_before_that_of_the_run(with_files, picture, bigan):
    shutil.copy(with_files / "tiny.py", with_files / "other.py")
    outcome = bigan(
        "score", picture, "--run", with_files / "run", "--plugin", with_files / "other.py"
    )
    assert outcome.code == 0, outcome.err


def test_a_missing_package_is_named(with_package, picture, bigan, site):
    (site / "bigan_tinyconv-0.1.0.dist-info" / "entry_points.txt").unlink()
    wanted = [
        "error: unknown architecture 'tiny'",
        "hint: this run was trained with bigan-tinyconv 0.1.0: pip install bigan-tinyconv",
    ]
    for words in (("score", picture), ("evaluate",), ("reconstruct",)):
        outcome = bigan(*words, "--run", with_package)
        assert (outcome.code, outcome.err.splitlines()) == (2, wanted)
    outcome = bigan("train", "--resume", "--save-dir", with_package)
    assert outcome.code == 2
    assert outcome.err.splitlines()[0].endswith("unknown architecture 'tiny'")
    assert outcome.err.splitlines()[1] == wanted[1]


def test_a_package_that_is_switched_off_is_named(with_package, picture, bigan, monkeypatch):
    monkeypatch.setenv("BIGAN_PLUGINS", "-bigan-tinyconv")
    outcome = bigan("score", picture, "--run", with_package)
    assert outcome.err.splitlines()[1] == "hint: BIGAN_PLUGINS disables tiny (bigan-tinyconv)"


@pytest.mark.slow
def test_a_package_of_another_version_is_named(with_package, picture, bigan, site, install):
    shutil.rmtree(site / "bigan_tinyconv-0.1.0.dist-info")
    install("tiny", DOTS, package="bigan-tinyconv", version="0.2.0")
    # The module that was imported before has the same name.
    sys.modules.pop("plugin_bigan_tinyconv")
    outcome = bigan("score", picture, "--run", with_package)
    assert outcome.err.splitlines()[1] == (
        "hint: this run was trained with bigan-tinyconv 0.1.0, and 0.2.0 is installed: "
        "pip install bigan-tinyconv==0.1.0"
    )


@pytest.mark.slow
def test_what_comes_with_bigan_is_not_listed(install, tmp_path, bigan):
    outcome = bigan("train", *FAST, "--feature-maps-gen", "4", "--save-dir", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["plugin_versions"] == []
    assert tomli.loads((tmp_path / "run" / "config.toml").read_text())["plugins"] == []
