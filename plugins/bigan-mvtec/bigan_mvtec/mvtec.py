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
    """MVTec AD: 15 products and textures, 700 to 1,024 pixels a side; and MVTec LOCO AD.

    ``ROOT/<category>`` holds ``train/good``, ``test/good``, ``test/<defect>`` and the masks
    ``ground_truth/<defect>/<name>_mask.png``, or, as in LOCO, a folder of masks for each image,
    ``ground_truth/<defect>/<name>/``. Images in ``validation/good`` are added to those of
    ``train``. ROOT may also be the folder above ``mvtec_anomaly_detection``, or the folder of one
    category.
    """

    name = "mvtec"
    summary = "MVTec AD: products with and without defects, with masks, by category"
    title = "MVTec AD"
    folder_names = (
        *("mvtec_anomaly_detection", "mvtec_ad", "mvtec"),
        *("mvtec_loco_anomaly_detection", "mvtec_loco"),
    )

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
    good = (folder / split / GOOD for split in ("train", "validation"))
    train = [Picture(file, GOOD) for each in good for file in images_in(each)]
    test = list(_test(folder))
    used = {mask for picture in test for mask in _as_tuple(picture.mask)}
    masks = (mask for kind in folders_in(folder / "ground_truth") for mask in _all_masks(kind))
    return Pictures(train, test, [mask for mask in masks if mask not in used])


def _test(folder: Path) -> Iterator[Picture]:
    for kind in folders_in(folder / "test"):
        masks = _masks(folder / "ground_truth" / kind.name)
        for file in images_in(kind):
            yield Picture(file, kind.name, masks.get(file.stem))


def _masks(folder: Path) -> dict[str, Path | tuple[Path, ...]]:
    """Return the masks of a kind of defects: name of the image -> its mask, or several."""
    single = {mask.stem.removesuffix("_mask"): mask for mask in images_in(folder)}
    several = {each.name: tuple(images_in(each)) for each in folders_in(folder)}
    return {**{name: masks for name, masks in several.items() if masks}, **single}


def _all_masks(folder: Path) -> Iterator[Path]:
    yield from images_in(folder)
    for each in folders_in(folder):
        yield from images_in(each)


def _as_tuple(mask: Path | tuple[Path, ...] | None) -> tuple[Path, ...]:
    if mask is None:
        return ()
    return mask if isinstance(mask, tuple) else (mask,)
