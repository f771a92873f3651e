"""Training on and scoring of large images, in tiles."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bigan_cli import train
from bigan_cli.api import Detector
from bigan_cli.contracts import ImageShape
from bigan_cli.data.tiles import Tiling
from bigan_cli.scoring.detector import Detector as FittedDetector
from bigan_cli.scoring.tiled_member import TiledMember

SMALL = ("--epochs", 1, "--fpr", 0.2, "--set", "train.max_epoch_steps=8")
DCGAN = ("--architecture", "dcgan", "--set", "model.options.feature_maps_gen=8", "--set")


def texture(height: int, width: int, seed: int) -> Image.Image:
    """Return a smooth pattern with noise, as of brushed metal."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wave = 18 * np.sin(x / 7 + rng.uniform(0, 6)) + 12 * np.sin(y / 11 + rng.uniform(0, 6))
    noise = rng.normal(0, 6, (height, width)).astype(np.float32)
    return Image.fromarray((128 + wave + noise).clip(0, 255).astype(np.uint8)).convert("RGB")


def make_folder(folder: Path, count: int, height: int, width: int) -> Path:
    folder.mkdir()
    for i in range(count):
        texture(height, width, i).save(folder / f"{i:02d}.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of good surfaces, and of scratched ones with masks to test on."""
    root = tmp_path_factory.mktemp("tiles") / "surfaces"
    for name in ("train", "test", "ground_truth"):
        (root / name).mkdir(parents=True)
    make_folder(root / "train/good", 20, 72, 100)
    make_folder(root / "test/good", 3, 72, 100)
    make_folder(root / "test/scratch", 3, 72, 100)
    (root / "ground_truth/scratch").mkdir()
    for file in (root / "test/scratch").iterdir():
        mask = Image.new("L", (100, 72))
        ImageDraw.Draw(mask).line([(20, 20), (60, 50)], fill=255, width=3)
        mask.save(root / "ground_truth/scratch" / f"{file.stem}.png")
        with Image.open(file) as image:
            image.paste((255, 255, 255), (0, 0), mask)
            image.save(file, quality=95)
    return root


@pytest.mark.slow
def test_a_run_on_tiles_scores_and_maps_whole_images(
    surfaces: Path, tmp_path: Path, bigan: Callable[..., Any]
) -> None:
    run = ("--run", tmp_path / "run")
    done = bigan(
        *("train", "--dataset", "folder", "--data-root", surfaces, "--save-dir", tmp_path / "run"),
        *("--tile", 32, *SMALL, *DCGAN, "model.options.feature_maps_disc=8"),
    )
    assert done.code == 0, done.err
    assert "72x100 pixels in 12 tiles of 3x32x32" in done.err
    config = (tmp_path / "run/config.toml").read_text()
    assert "tile = 32" in config
    assert (tmp_path / "run/reconstruction/comparison/epoch-0001.png").is_file()
    maps, image = tmp_path / "maps", surfaces / "train/good/00.jpg"
    done = bigan("score", image, *run, "--maps", maps, "--map-format", "npy", "--json")
    assert done.code == 0, done.err
    assert np.load(maps / "00.jpg.npy").shape == (72, 100)
    assert bigan("reconstruct", image, *run).code == 0
    done = bigan("evaluate", *run, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["trained"]["pixel_auroc"] is not None


def test_a_side_of_the_image_is_the_shorter_one(
    surfaces: Path, tmp_path: Path, bigan: Callable[..., Any]
) -> None:
    shown = bigan(
        *("train", "--dry-run", "--dataset", "folder", "--data-root", surfaces),
        *("--tile", 32, "--image-size", 36, *SMALL, *DCGAN, "model.options.feature_maps_disc=8"),
    )
    assert shown.code == 0, shown.err
    assert "36x50 pixels in 4 tiles" in shown.err


def test_photographs_on_tiles_keep_their_size(surfaces: Path, bigan: Callable[..., Any]) -> None:
    settings = ("data.dataset=folder", f"data.root={surfaces}", "data.tile=64")
    shown = bigan("config", "show", *(word for text in settings for word in ("--set", text)))
    assert shown.code == 0, shown.err
    assert 'architecture = "features"' in shown.out
    assert "image_size" not in shown.out


def test_large_images_without_tiles_are_refused(
    surfaces: Path, tmp_path: Path, bigan: Callable[..., Any]
) -> None:
    done = bigan(
        *("train", "--dataset", "folder", "--data-root", surfaces, "--save-dir", tmp_path / "run"),
        *("--image-size", "1200x1600"),
    )
    assert done.code == 2
    assert "--tile 256" in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.timeout(600)
def test_a_scratch_in_a_photograph_of_twelve_megapixels_is_framed_in_flat_memory(
    tmp_path: Path,
) -> None:
    # Trained and calibrated on smaller images of the same texture, which takes much less time.
    good = make_folder(tmp_path / "good", 16, 480, 480)
    run = tmp_path / "run"
    few = {"epochs": 1, "min_epoch_steps": 15, "max_epoch_steps": 15, "folds": 2}
    trained = train(good, save_dir=run, tile=256, fpr=0.25, device="cpu", **few)
    fitted = trained._detector
    tiling = Tiling.of(ImageShape(3, 3000, 4000), 256)
    assert tiling is not None
    members = [
        TiledMember(each.networks, each.components, each.provenance, tiling=tiling)
        for each in fitted.members
    ]
    large = FittedDetector(
        members, fitted.calibration, 0.25, fitted.batch_size, fitted.map_calibration
    )
    Detector(large, trained._header).save(tmp_path / "large.safetensors")

    left, top, right, bottom = 2500, 2300, 3100, 2600
    scratched = texture(3000, 4000, 100)
    ImageDraw.Draw(scratched).line([(left, top), (right, bottom)], fill=(215, 215, 210), width=6)
    files = [tmp_path / "scratched.jpg", tmp_path / "again.jpg"]
    for file in files:
        scratched.save(file, quality=95)
    (row, again), (one, two) = _score_one_after_another(tmp_path, files)
    assert row["label"] == "anomaly"
    region = max(row["regions"], key=lambda region: region["peak"])
    # The frame holds the scratch, and at most what the backbone sees around it.
    assert left - 256 < region["left"] <= left
    assert top - 256 < region["top"] <= top
    assert right <= region["left"] + region["width"] < right + 256
    assert bottom <= region["top"] + region["height"] < bottom + 256
    with Image.open(next((tmp_path / "maps").rglob("scratched*.png"))) as overlay:
        assert overlay.size == (4000, 3000)
    assert again["score"] == row["score"]
    assert two - one < 64 * 2**20, (one, two)


def _score_one_after_another(
    folder: Path, images: list[Path]
) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the rows of ``bigan score - --maps``, and the most memory used until each, in bytes.

    An image is named once the one before has its row.
    """
    words = ["score", "-", "--run", folder / "none", "--checkpoint", folder / "large.safetensors"]
    words += ["--maps", folder / "maps", "--device", "cpu", "--json"]
    rows, peaks = [], []
    with subprocess.Popen(
        [sys.executable, "-m", "bigan_cli", *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for image in images:
            process.stdin.write(f"{image}\n")
            process.stdin.flush()
            rows.append(json.loads(process.stdout.readline()))
            status = Path(f"/proc/{process.pid}/status").read_text()
            peaks.append(1024 * int(status.partition("VmHWM:")[2].split()[0]))
        process.stdin.close()
    assert process.returncode == 0
    return rows, peaks
