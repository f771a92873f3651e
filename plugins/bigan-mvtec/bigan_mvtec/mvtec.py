"""``mvtec``: the MVTec Anomaly Detection dataset, and whatever has its layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bigan_mvtec.inspection import (
    GOOD,
    InspectionDataset,
    Picture,
    Pictures,
    folders_in,
    images_in,
)


class Mvtec(InspectionDataset):
    """MVTec AD: 15 products and textures, 700 to 1,024 pixels a side.

    ``ROOT/<category>`` holds ``train/good``, ``test/good``, ``test/<defect>`` and the masks
    ``ground_truth/<defect>/<name>_mask.png``. ROOT may also be the folder above
    ``mvtec_anomaly_detection``, or the folder of one category.
    """

    name = "mvtec"
    summary = "MVTec AD: products with and without defects, with masks, by category"
    title = "MVTec AD"
    folder_names = ("mvtec_anomaly_detection", "mvtec_ad", "mvtec")

    def _categories(self, folder: Path) -> Mapping[str, Path]:
        return mvtec_categories(folder)

    def _pictures(self, folder: Path) -> Pictures:
        return mvtec_pictures(folder)


def mvtec_categories(folder: Path) -> dict[str, Path]:
    """Return the categories in *folder*, name -> folder, or *folder* itself if it is one."""
    if _is_category(folder):
        return {folder.resolve().name: folder}
    return {each.name: each for each in folders_in(folder) if _is_category(each)}


def _is_category(folder: Path) -> bool:
    return (folder / "train" / GOOD).is_dir()


def mvtec_pictures(folder: Path) -> Pictures:
    """Return the images of the category in *folder*."""
    train = [Picture(file, GOOD) for file in images_in(folder / "train" / GOOD)]
    return Pictures(train, list(_test(folder)))


def _test(folder: Path) -> Iterator[Picture]:
    for kind in folders_in(folder / "test"):
        masks = {
            mask.stem.removesuffix("_mask"): mask
            for mask in images_in(folder / "ground_truth" / kind.name)
        }
        for file in images_in(kind):
            yield Picture(file, kind.name, masks.get(file.stem))
