"""Folders of normal images that a model is adapted to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigan_cli.contracts import ImageShape
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.normal_folder import read_normal_folder
from bigan_cli.errors import DataError


def write(root: Path, *names: str) -> None:
    for value, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), value, np.uint8)).save(path)


@pytest.mark.parametrize("name", ["bad/1.png", "test/scratch/1.png", "x/ground_truth/1.png"])
def test_subfolders_of_anomalies_and_masks_are_not_taken_as_normal(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path, "0.png", name)
    with pytest.raises(DataError, match="suggests anomalies or masks"):
        read_normal_folder([tmp_path], ImageShape(1, 8, 8), DecodeOptions())


def test_what_is_named_is_taken(tmp_path: Path) -> None:
    write(tmp_path, "rejected by mistake/1.png", "line 2/2.png", "bad/3.png")
    folders = [tmp_path / "rejected by mistake", tmp_path / "line 2", tmp_path / "bad/3.png"]
    assert len(read_normal_folder(folders, ImageShape(1, 8, 8), DecodeOptions())) == 3
