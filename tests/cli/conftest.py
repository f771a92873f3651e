"""Small real runs, trained once through the command line, for the tests of what comes after."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from bigan_cli.cli.main import main

SMALL = (
    *("--epochs", "2", "--save-interval", "2", "--device", "cpu", "--latent-dim", "8"),
    *("--feature-maps-gen", "4", "--feature-maps-disc", "4"),
)


def _write_digits(folder: Path, start: int, stop: int, *, only: int | None = None) -> list[Path]:
    """Write digits number *start* to *stop* as PNG files ``NUMBER_CLASS.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    written = []
    for i in range(start, stop):
        label = int(digits.target[i])
        if only is None or label == only:
            path = folder / f"{i:04d}_{label}.png"
            pixels = np.round(digits.images[i] * 255 / 16).astype(np.uint8)
            Image.fromarray(pixels).save(path)
            written.append(path)
    return written


@pytest.fixture
def write_digits() -> Callable[..., list[Path]]:
    """Return the function that writes digits as PNG files."""
    return _write_digits


@pytest.fixture
def small_options() -> tuple[str, ...]:
    """Return the options of a training run that takes a second."""
    return SMALL


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run on the digits with 8 as the anomaly; to be read only."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "--outlier", "8", *SMALL, "--save-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of that run, to be written into."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture(scope="session")
def own_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run on a folder of normal images alone, with no anomaly anywhere."""
    base = tmp_path_factory.mktemp("own")
    _write_digits(base / "good", 0, 1200, only=3)
    words = ["train", "--dataset", "folder", "--data-root", str(base / "good"), *SMALL]
    assert main([*words, "--save-dir", str(base / "run")]) == 0
    return base


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 150 digits as PNG files, in two levels; to be read only."""
    base = tmp_path_factory.mktemp("pictures") / "pictures"
    _write_digits(base, 0, 100)
    _write_digits(base / "more", 100, 150)
    return base
