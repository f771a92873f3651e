from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigan_cli.contracts import DataLocation, Dataset
from bigan_cli.errors import DataError
from bigan_cli.testing import assert_conforms, dataset_checks
from bigan_mvtec import Visa


def visa(root: Path, category: str = "") -> Dataset:
    return Visa(Visa.Options(category=category), DataLocation(root))


def test_it_keeps_the_contract(visa_root: Path) -> None:
    assert_conforms(dataset_checks(Visa, {"category": "candle"}, visa_root))


def test_the_split_file_decides_and_annotations_name_the_defects(visa_root: Path) -> None:
    candle = visa(visa_root, "candle")
    assert candle.classes() == ("good", "blob", "combined", "scratch")
    assert candle.normal_classes() == (0,)
    train, test = candle.train_items(), candle.test_items()
    assert len(train) == 12
    assert train.masks is None
    assert np.bincount(test.labels).tolist() == [4, 4, 4, 4]
    assert test.masks is not None
    for image, label, mask in zip(test.images, test.labels, test.masks, strict=True):
        assert image.is_file()
        assert image.parts[-5] == "candle"
        assert (mask is None) == (label == 0)
        if mask is not None:
            assert mask.stem == image.stem
            assert 0 < np.asarray(Image.open(mask)).max() < 4


def test_without_annotations_all_defects_are_anomalies(tmp_path: Path, visa_root: Path) -> None:
    shutil.copytree(visa_root, tmp_path, dirs_exist_ok=True)
    (tmp_path / "pcb1" / "image_anno.csv").unlink()
    assert visa(tmp_path, "pcb1").classes() == ("good", "anomaly")


@pytest.mark.parametrize("below", ["", "1cls"])
def test_the_converted_layout_is_that_of_mvtec(
    tmp_path: Path, mvtec_root: Path, below: str
) -> None:
    if below:
        (tmp_path / below).symlink_to(mvtec_root)
    converted = visa(tmp_path if below else mvtec_root, "bottle")
    assert converted.classes() == ("good", "blob", "scratch")
    masks = converted.test_items().masks
    assert masks is not None
    assert sum(mask is not None for mask in masks) == 8


def test_only_categories_that_were_unpacked_are_offered(tmp_path: Path, visa_root: Path) -> None:
    shutil.copytree(visa_root, tmp_path, dirs_exist_ok=True)
    with pytest.raises(DataError, match="there are candle, pcb1"):
        visa(tmp_path).train_items()
    shutil.rmtree(tmp_path / "candle")
    assert len(visa(tmp_path).train_items()) == 12
    with pytest.raises(DataError, match="no category candle: there is pcb1"):
        visa(tmp_path, "candle").train_items()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("object,split,label,image\ncandle,train,normal,a.JPG\n", "has no column mask"),
        ("", "has no column object, split, label, image, mask"),
        ("object,split,label,image,mask\ncandle,valid,normal,a.JPG,\n", "unknown split 'valid'"),
        ("object,split,label,image,mask\ncandle,test,normal,a.JPG,\n", "no good images of candle"),
        (b"\xff\xfe\x00object", "cannot read"),
    ],
)
def test_a_split_file_that_makes_no_sense_is_told(
    tmp_path: Path, table: str | bytes, message: str
) -> None:
    (tmp_path / "candle").mkdir()
    (tmp_path / "split_csv").mkdir()
    raw = table if isinstance(table, bytes) else table.encode()
    (tmp_path / "split_csv" / "1cls.csv").write_bytes(raw)
    with pytest.raises(DataError, match=message):
        visa(tmp_path, "candle").train_items()
