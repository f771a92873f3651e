"""``visa``: the Visual Anomaly dataset, as published or converted to MVTec's layout."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from bigan_cli.errors import DataError
from bigan_mvtec.inspection import GOOD, InspectionDataset, Picture, Pictures
from bigan_mvtec.mvtec import mvtec_categories, mvtec_pictures

_SPLIT = Path("split_csv", "1cls.csv")
_COLUMNS = ("object", "split", "label", "image", "mask")
_ANNOTATION = "image_anno.csv"
_SEVERAL = "combined"

Row = dict[str, str]


class Visa(InspectionDataset):
    """VisA: 12 products, about 1,500 x 1,000 pixels.

    As published, ROOT holds a folder for each category and ``split_csv/1cls.csv``, which says
    what is for training; ``<category>/image_anno.csv`` names the kinds of defects, without it
    all are of the class ``anomaly``. An image with several kinds is of the class ``combined``.
    Converted (``ROOT/<category>/train/good`` and so on, or ``ROOT/1cls/...``) it is read like
    MVTec AD, and the folders name the classes.
    """

    name = "visa"
    summary = "VisA: products with and without defects, with masks, by category"
    title = "VisA"
    folder_names = ("1cls", "visa", "VisA", "VisA_20220922", "visa_pytorch")

    def _categories(self, folder: Path) -> Mapping[str, Path]:
        if (folder / _SPLIT).is_file():
            names = sorted({row["object"] for row in _rows(folder / _SPLIT, _COLUMNS)})
            # What was not unpacked is not offered.
            return {name: folder / name for name in names if (folder / name).is_dir()}
        return mvtec_categories(folder)

    def _pictures(self, folder: Path) -> Pictures:
        base = folder.parent
        if not (base / _SPLIT).is_file():
            return mvtec_pictures(folder)
        kinds = _kinds_of_defects(folder / _ANNOTATION)
        splits: dict[str, list[Picture]] = {"train": [], "test": []}
        for row in _rows(base / _SPLIT, _COLUMNS):
            if row["object"] != folder.name:
                continue
            if row["split"] not in splits:
                raise DataError(f"{base / _SPLIT}: unknown split '{row['split']}'")
            label = GOOD if row["label"] == "normal" else kinds.get(row["image"], row["label"])
            mask = base / row["mask"] if row["mask"] else None
            splits[row["split"]].append(Picture(base / row["image"], label, mask))
        return Pictures(splits["train"], splits["test"])


def _kinds_of_defects(file: Path) -> dict[str, str]:
    """Return the class of each defective image, by its path as the tables write it."""
    if not file.is_file():
        return {}
    labels = {row["image"]: row["label"] for row in _rows(file, ("image", "label"))}
    return {image: _SEVERAL if "," in label else label for image, label in labels.items()}


def _rows(file: Path, columns: tuple[str, ...]) -> list[Row]:
    """Return the rows of a table with a head line.

    Raises:
        DataError: It cannot be read, or lacks one of *columns*.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, restval=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise DataError(f"{file} has no column {', '.join(missing)}")
    return rows
