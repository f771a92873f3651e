from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigan_cli.contracts import DataLocation, Dataset
from bigan_cli.errors import DataError, UsageError
from bigan_cli.testing import assert_conforms, dataset_checks
from bigan_mvtec import Mvtec


def mvtec(root: Path, category: str = "") -> Dataset:
    return Mvtec(Mvtec.Options(category=category), DataLocation(root))


def classes_of(dataset: Dataset) -> dict[str, str]:
    """The class of each test image by its name."""
    items, names = dataset.test_items(), dataset.classes()
    return {name: names[k] for name, k in zip(items.names or (), items.labels, strict=True)}


def test_it_keeps_the_contract(mvtec_root: Path) -> None:
    assert_conforms(dataset_checks(Mvtec, {"category": "bottle"}, mvtec_root))


def test_good_is_normal_and_defects_are_classes(mvtec_root: Path) -> None:
    bottle = mvtec(mvtec_root, "bottle")
    assert bottle.classes() == ("good", "blob", "scratch")
    assert bottle.normal_classes() == (0,)
    train = bottle.train_items()
    assert len(train) == 12
    assert set(train.labels.tolist()) == {0}
    assert train.masks is None
    found = classes_of(bottle)
    assert len(found) == 12
    assert found["bottle/test/good/000.png"] == "good"
    assert found["bottle/test/scratch/003.png"] == "scratch"


def test_each_defect_has_the_mask_of_its_own(mvtec_root: Path) -> None:
    items = mvtec(mvtec_root, "carpet").test_items()
    assert items.masks is not None
    for image, label, mask in zip(items.images, items.labels, items.masks, strict=True):
        if label == 0:
            assert mask is None
            continue
        assert mask == (
            mvtec_root / "carpet" / "ground_truth" / image.parent.name / f"{image.stem}_mask.png"
        )
        # The defect was drawn in yellow where the mask says so, and nowhere else.
        pixels = np.asarray(Image.open(image)).astype(int)
        yellow = pixels[..., 0] - pixels[..., 2] > 100
        assert (yellow == (np.asarray(Image.open(mask)) > 0)).all()


def test_a_defect_without_its_mask_is_still_an_image(tmp_path: Path, mvtec_root: Path) -> None:
    (tmp_path / "carpet").symlink_to(mvtec_root / "carpet")
    (tmp_path / "bottle").mkdir()
    for part in ("train", "test"):
        (tmp_path / "bottle" / part).symlink_to(mvtec_root / "bottle" / part)
    items = mvtec(tmp_path, "bottle").test_items()
    assert len(items) == 12
    assert items.masks is None


@pytest.mark.parametrize("below", ["", "mvtec_anomaly_detection"])
def test_the_root_may_be_the_folder_above(tmp_path: Path, mvtec_root: Path, below: str) -> None:
    if below:
        (tmp_path / below).symlink_to(mvtec_root)
    assert len(mvtec(tmp_path if below else mvtec_root, "bottle").train_items()) == 12


def test_the_only_category_need_not_be_named(mvtec_root: Path) -> None:
    alone = mvtec(mvtec_root / "carpet")
    assert alone.classes() == ("good", "blob", "scratch")
    assert classes_of(alone)["test/good/000.png"] == "good"


def test_categories_are_listed_where_none_is_named(mvtec_root: Path) -> None:
    with pytest.raises(DataError, match=r"which category of MVTec AD\? there are bottle, carpet"):
        mvtec(mvtec_root).train_items()


def test_a_wrong_category_is_told_with_the_nearest(mvtec_root: Path) -> None:
    with pytest.raises(DataError, match="no category botle: there are bottle, carpet") as caught:
        mvtec(mvtec_root, "botle").test_items()
    assert caught.value.hint == "did you mean 'bottle'?"


@pytest.mark.parametrize("name", ["", "missing", "file"])
def test_a_folder_without_categories_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((DataError, UsageError), match="MVTec AD is not in") as caught:
        mvtec(tmp_path / name, "bottle").train_items()
    assert "--data-root" in caught.value.hint


def test_an_empty_category_is_told(tmp_path: Path) -> None:
    (tmp_path / "bottle" / "train" / "good").mkdir(parents=True)
    with pytest.raises(DataError, match="no good images of bottle"):
        mvtec(tmp_path).train_items()


def write_loco(root: Path) -> None:
    """Write a category as MVTec LOCO AD is laid out."""
    picture, mask = Image.new("RGB", (8, 8)), Image.new("L", (8, 8), 255)
    for part in ("train/good", "validation/good", "test/good", "test/logical_anomalies"):
        folder = root / "pushpins" / part
        folder.mkdir(parents=True)
        for i in range(3):
            picture.save(folder / f"{i:03d}.png")
    for i in range(3):
        folder = root / "pushpins" / "ground_truth" / "logical_anomalies" / f"{i:03d}"
        folder.mkdir(parents=True)
        for part in range(i + 1):
            mask.save(folder / f"{part:03d}.png")


def test_loco_has_validation_images_and_a_folder_of_masks_for_each_image(tmp_path: Path) -> None:
    write_loco(tmp_path)
    pushpins = mvtec(tmp_path)
    assert len(pushpins.train_items()) == 6
    masks = pushpins.test_items().masks
    assert masks is not None
    assert [len(mask) if mask else 0 for mask in masks] == [0, 0, 0, 1, 2, 3]
    assert pushpins.warnings() == ()
    assert pushpins.describe() == (
        "train: good 6 normal; test: good 3 normal, logical_anomalies 3 anomalous; 3 with a mask"
    )


def test_masks_without_an_image_are_named(tmp_path: Path) -> None:
    write_loco(tmp_path)
    kind = tmp_path / "pushpins" / "ground_truth" / "logical_anomalies"
    (kind / "000").rename(kind / "000_gt")
    (warning,) = mvtec(tmp_path).warnings()
    assert (
        "1 in all, for instance ground_truth/logical_anomalies/000_gt/000.png"
        in warning.replace("pushpins/", "")
    )


def test_photographs_have_the_recipe_of_photographs() -> None:
    tables, _ = Mvtec.preset_for(None, None)
    assert tables == {"data": {"image_size": 384}, "model": {"architecture": "features"}}
    assert "data" not in Mvtec.preset_for(None, None, 256)[0]
    assert Mvtec.preset_for(None, "dcgan")[0]["train"]["epochs"] == 200
