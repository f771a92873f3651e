"""Small collections with the real layouts: striped plates, and defects drawn onto some."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

SIDE = 40
ORDER = ("train", "test")


class Plates:
    """Draws plates of one category: diagonal stripes of its own direction, never two alike."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.slope = 1 + seed % 3

    def good(self) -> Image.Image:
        rows, columns = np.mgrid[:SIDE, :SIDE]
        phase = self.random.uniform(0, 2 * np.pi)
        stripes = 120 + 50 * np.sin((columns + self.slope * rows) / 3 + phase)
        noisy = stripes[..., None] + self.random.normal(0, 6, (SIDE, SIDE, 3))
        return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))

    def defective(self, kind: str) -> tuple[Image.Image, Image.Image]:
        """Return a plate with a *kind* of defect, and the mask of it (0 and 255)."""
        plate, mask = self.good(), Image.new("L", (SIDE, SIDE))
        x, y = (int(v) for v in self.random.integers(4, SIDE - 16, 2))
        for picture, ink in ((plate, (250, 240, 30)), (mask, 255)):
            draw = ImageDraw.Draw(picture)
            if kind == "scratch":
                draw.line((x, y, x + 12, y + 9), fill=ink, width=3)
            else:
                draw.ellipse((x, y, x + 10, y + 10), fill=ink)
        return plate, mask


def save(picture: Image.Image, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)


def write_mvtec(root: Path, *categories: str, train: int = 12, test: int = 4) -> None:
    """Write categories as MVTec AD is laid out, with two kinds of defects."""
    for seed, category in enumerate(categories):
        plates, folder = Plates(seed), root / category
        for split, count in (("train", train), ("test", test)):
            for i in range(count):
                save(plates.good(), folder / split / "good" / f"{i:03d}.png")
        for kind in ("scratch", "blob"):
            for i in range(test):
                plate, mask = plates.defective(kind)
                save(plate, folder / "test" / kind / f"{i:03d}.png")
                save(mask, folder / "ground_truth" / kind / f"{i:03d}_mask.png")


def write_visa(root: Path, *categories: str, train: int = 12, test: int = 4) -> None:
    """Write categories as VisA is published: the kinds of defects are values of the masks."""
    rows = [("object", "split", "label", "image", "mask")]
    for seed, category in enumerate(categories):
        annotations = [("image", "label", "mask")]
        for split, label, image, mask, kinds in _visa_images(Plates(seed), train, test):
            folder = f"{category}/Data"
            where = "Normal" if label == "normal" else "Anomaly"
            number = len(annotations) - 1
            file = f"{folder}/Images/{where}/{number:04d}.JPG"
            mask_file = "" if mask is None else f"{folder}/Masks/{where}/{number:04d}.png"
            save(image, root / file)
            if mask is not None:
                save(mask, root / mask_file)
            rows.append((category, split, label, file, mask_file))
            annotations.append((file, kinds, mask_file))
        _write_table(root / category / "image_anno.csv", annotations)
    _write_table(root / "split_csv" / "1cls.csv", rows)


def _visa_images(
    plates: Plates, train: int, test: int
) -> Iterator[tuple[str, str, Image.Image, Image.Image | None, str]]:
    for split, count in (("train", train), ("test", test)):
        for _ in range(count):
            yield split, "normal", plates.good(), None, "normal"
    for value, kinds in enumerate(("scratch", "blob", "scratch,blob"), start=1):
        for _ in range(test):
            plate, mask = plates.defective(kinds)
            # Hardly to be seen in a viewer, but not zero.
            yield "test", "anomaly", plate, mask.point(lambda p, v=value: p and v), kinds


def _write_table(file: Path, rows: list[tuple[str, ...]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)


@pytest.fixture(scope="session")
def mvtec_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two categories of MVTec AD's layout; to be read only."""
    root = tmp_path_factory.mktemp("mvtec")
    write_mvtec(root, "bottle", "carpet")
    return root


@pytest.fixture(scope="session")
def visa_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two categories of VisA's published layout; to be read only."""
    root = tmp_path_factory.mktemp("visa")
    write_visa(root, "candle", "pcb1")
    return root
