"""The packages in ``plugins/``, through their installed entry points and the command line."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PACKAGES = Path(__file__).parents[2] / "plugins"
PROVIDED = {
    "bigan-hf": ("dataset", {"hf"}),
    "bigan-medmnist": ("dataset", {"medmnist"}),
    "bigan-mvtec": ("dataset", {"mvtec", "visa"}),
    "bigan-mlflow": ("tracker", {"mlflow"}),
    "bigan-ray": ("engine", {"ray"}),
    "bigan-resnet": ("architecture", {"resnet"}),
    "bigan-tensorboard": ("tracker", {"tensorboard"}),
}
SMALL = (
    *("--epochs", "2", "--latent-dim", "8", "--image-size", "16", "--device", "cpu"),
    *("--architecture", "resnet", "--feature-maps-gen", "4", "--feature-maps-disc", "4"),
)

installed = {entry.dist.name for entry in entry_points(group="bigan") if entry.dist}
missing = sorted(PROVIDED.keys() - installed)
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def plates(tmp_path_factory):
    """Return a folder in MVTec AD's layout: grey plates, of which some have a bright spot."""
    root = tmp_path_factory.mktemp("plates")
    random = np.random.default_rng(0)

    def write(folder, name, spot=None):
        plate = random.integers(60, 180, (24, 24, 3), np.uint8)
        mask = np.zeros((24, 24), np.uint8)
        if spot is not None:
            mask[spot : spot + 6, 4:12] = 255
            plate[mask > 0] += 60
            ground_truth = root / "tile" / "ground_truth" / folder.name
            ground_truth.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(ground_truth / f"{name}_mask.png")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(plate).save(folder / f"{name}.png")

    for i in range(60):
        write(root / "tile" / "train" / "good", f"{i:03d}")
    for i in range(8):
        write(root / "tile" / "test" / "good", f"{i:03d}")
        write(root / "tile" / "test" / "spot", f"{i:03d}", spot=2 * i)
    (root / "wood" / "train" / "good").mkdir(parents=True)
    return root


def test_every_package_is_here_and_provides_what_it_says(bigan):
    assert PROVIDED.keys() == {path.parent.name for path in PACKAGES.glob("*/pyproject.toml")}
    listed = json.loads(bigan("plugins", "--json").out)["plugins"]
    for package, (kind, names) in PROVIDED.items():
        own = [each["provides"] for each in listed if each["distribution"] == package]
        assert {name for provided in own for name in provided.get(kind, ())} == names, package
    plugins = bigan("plugins")
    assert plugins.code == 0
    assert "broken" not in plugins.out + plugins.err


def test_bigan_plugins_check_passes_a_data_set_with_its_files(bigan, plates):
    words = ("--data-root", plates, "--set", "data.options.category=tile")
    checked = bigan("plugins", "check", "mvtec", *words)
    assert checked.code == 0, checked.out + checked.err
    assert "normal is good: " in checked.out


@pytest.mark.parametrize("package", [name for name in PROVIDED if PROVIDED[name][0] != "engine"])
def test_the_example_in_a_readme_is_a_valid_run_file(bigan, package, tmp_path):
    text = (PACKAGES / package / "README.md").read_text(encoding="utf-8")
    example = text.split("```toml\n")[1].split("```")[0]
    assert tomllib.loads(example)
    (tmp_path / "run.toml").write_text(example, encoding="utf-8")
    checked = bigan("config", "check", tmp_path / "run.toml")
    assert (checked.code, checked.err) == (0, ""), checked.err


@pytest.mark.parametrize("package", PROVIDED)
def test_a_readme_has_every_option(package):
    from bigan_cli.plugins import load_registry

    kind, names = PROVIDED[package]
    find = getattr(load_registry(), kind)
    text = (PACKAGES / package / "README.md").read_text(encoding="utf-8")
    for name in names:
        cls = find(name)
        for option in cls.Options.model_fields:
            assert f"| `{option}` |" in text, (name, option)


def test_from_installed_packages_to_scores(bigan, plates, tmp_path):
    run = tmp_path / "run"
    train = ("train", "--dataset", "mvtec", "--data-root", plates, "--save-dir", run, *SMALL)
    lost = bigan(*train)
    assert lost.code == 1
    assert lost.err.startswith("error: which category of MVTec AD? there are tile, wood\nhint: ")
    trained = bigan(*train, "--set", "data.options.category=tile", "--fpr", "0.1")
    assert trained.code == 0, trained.err
    evaluated = bigan("evaluate", "--run", run, "--json")
    assert evaluated.code == 0, evaluated.err
    found = json.loads(evaluated.out)
    assert found["normal_classes"] == ["good"]
    assert found["masked_images"] == found["images"] == 16
    assert 0.5 < found["trained"]["pixel_auroc"] < 1
    scored = bigan("score", plates / "tile" / "test" / "spot", "--run", run, "--json")
    assert scored.code == 0, scored.err
    assert len(scored.lines) == 8


@pytest.mark.slow
def test_without_its_package_a_model_says_what_is_missing(bigan, plates, tmp_path, monkeypatch):
    run = tmp_path / "run"
    words = ("--dataset", "folder", "--data-root", plates / "tile", "--save-dir", run)
    assert bigan("train", *words, *SMALL, "--epochs", "1", "--fpr", "0.1").code == 0
    monkeypatch.setenv("BIGAN_PLUGINS", "-resnet")
    scored = bigan("score", plates / "tile" / "test" / "spot", "--run", run)
    assert scored.code == 2
    assert scored.err.startswith("error: unknown architecture 'resnet'")
