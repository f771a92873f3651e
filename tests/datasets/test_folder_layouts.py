"""Layouts of known collections, and names that speak against taking all images as normal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigan_cli.contracts import DataLocation
from bigan_cli.datasets.folder import Folder
from bigan_cli.errors import DataError, UsageError


def write(root: Path, *files: str, marked: bool = False) -> None:
    pixels = np.zeros((8, 8), np.uint8)
    pixels[2:4, 2:4] = 255 * marked
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def folder(root: Path, **options: object) -> Folder:
    return Folder(Folder.Options.model_validate(options), DataLocation(root))


def test_mvtec_in_any_case(tmp_path: Path) -> None:
    write(tmp_path, "Train/Good/1.png", "TEST/good/1.png", "TEST/Scratch/1.png")
    write(tmp_path, "Ground_Truth/scratch/1_MASK.PNG", marked=True)
    data = folder(tmp_path)
    assert data.describe() == (
        "Train: Good 1 normal; TEST: good 1 normal, Scratch 1 anomalous; Ground_Truth: 1 mask"
    )
    assert data.classes() == ("Good", "Scratch")
    assert data.test_items().masks == [None, (tmp_path / "Ground_Truth/scratch/1_MASK.PNG",)]
    assert data.warnings() == []


def test_loco_has_a_folder_of_masks_for_each_image(tmp_path: Path) -> None:
    write(tmp_path, "train/good/1.png", "validation/good/2.png", "test/logical/000.png")
    masks = ("ground_truth/logical/000/000.png", "ground_truth/logical/000/001.png")
    write(tmp_path, *masks, marked=True)
    data = folder(tmp_path)
    assert len(data.train_items()) == 2
    assert data.test_items().masks == [tuple(tmp_path / mask for mask in masks)]


def test_dagm_masks_tell_which_images_are_anomalous(tmp_path: Path) -> None:
    write(tmp_path, "Train/1.PNG", "Train/2.PNG", "Test/3.PNG", "Test/4.PNG")
    write(tmp_path, "Train/Label/2_label.PNG", "Test/Label/4_label.PNG", marked=True)
    data = folder(tmp_path)
    assert data.classes() == ("good", "defect")
    assert data.train_items().labels.tolist() == [0, 1]
    assert data.test_items().labels.tolist() == [0, 1]


def test_a_mask_that_fits_no_image_leaves_dagm_unknown(tmp_path: Path) -> None:
    write(tmp_path, "Train/1.PNG", "Train/2.PNG")
    write(tmp_path, "Train/Label/2_label.PNG", "Train/Label/9_label.PNG", marked=True)
    with pytest.raises(DataError, match=r"for instance Train/Label/9_label\.PNG"):
        folder(tmp_path).train_items()


@pytest.mark.parametrize("split", [("kos01", "kos02"), ("train", "test")])
def test_kolektor_has_masks_beside_images_and_blank_ones(
    tmp_path: Path, split: Sequence[str]
) -> None:
    for name in split:
        write(tmp_path, f"{name}/0.jpg", f"{name}/1.jpg", f"{name}/0_label.bmp")
        write(tmp_path, f"{name}/1_label.bmp", marked=True)
    data = folder(tmp_path)
    items = [data.train_items(), data.test_items()]
    assert sum(len(each) for each in items) == 4
    assert sum(each.labels.sum() for each in items) == 2
    assert data.normal_classes() == (0,)


def test_kaggle_train_val_and_test(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        write(tmp_path, f"{split}/ok_front/{split}.png", f"{split}/def_front/{split}.png")
    data = folder(tmp_path)
    assert data.classes() == ("ok_front", "def_front")
    assert len(data.train_items()) == 4
    assert len(data.test_items()) == 2
    assert "val: def_front 1 anomalous, ok_front 1 normal (normal ones added to train)" in (
        data.describe()
    )


def test_val_is_the_test_split_where_there_is_no_other(tmp_path: Path) -> None:
    write(tmp_path, "train/good/1.png", "val/good/2.png", "val/defect/3.png")
    data = folder(tmp_path)
    assert sorted(data.test_items().names or ()) == ["val/defect/3.png", "val/good/2.png"]
    assert "(used as test)" in data.describe()


TELLING = [
    (("normal_dir/1.png", "abnormal_dir/1.png", "mask_dir/1.png"), "layout=defects"),
    (("images/good/1.png", "images/bad/1.png"), "layout=defects"),
    (("clean/1.png", "defect/1.png"), "layout=defects"),
    (("Data/Images/Normal/1.png", "Data/Images/Anomaly/1.png"), "layout=defects"),
    (("Class1/1.png", "Class1_def/1.png"), "normal=Class1"),
    (("bad/1.png",), "normal=NAME"),
    (("a/good/1.png", "a/bad/1.png", "b/1.png"), "options.normal"),
    (("a/good/1.png", "a/other/1.png"), "layout=defects"),
    (("train/widget/1.png", "train/bad/1.png"), "normal=widget"),
    (("train/good/1.png", "train/good/bad batch/2.png"), "options.normal"),
    (("train_good/1.png", "test_good/1.png", "test_bad/1.png"), "train/good"),
    (("bottle/train/good/1.png", "cable/train/good/1.png", "cable/test/bent/1.png"), "data.root"),
    (("1.png", "2.png", "masks/x.png"), "name of its image"),
    (("Test/good/1.png",), "train"),
    (("train/good/1.png", "Train/good/1.png"), "leave one"),
    (("MT_Free/1.png", "MT_Crack/1.png", "MT_Blowhole/1.png"), "normal=NAME"),
    # Other languages
    (("良品/1.png", "不良品/1.png"), "layout=defects"),
    (("正常/1.png", "异常/1.png"), "layout=defects"),
    (("合格/1.png", "不合格/1.png"), "layout=defects"),
    (("无缺陷/1.png", "缺陷/1.png"), "layout=defects"),
    (("양품/1.png", "불량/1.png"), "layout=defects"),
    (("Gutteile/1.png", "Schlechtteile/1.png"), "layout=defects"),
    (("in_ordnung/1.png", "nicht_in_ordnung/1.png"), "layout=defects"),
    (("sans_défaut/1.png", "avec_défaut/1.png"), "layout=defects"),
    (("a/1.png", "Kratzer/1.png"), "normal=a"),
    (("годные/1.png", "брак/1.png"), "layout=defects"),
    # Opposites
    (("yes/1.png", "no/1.png"), "normal=NAME"),
    (("0/1.png", "1/1.png"), "normal=NAME"),
    (("sealed/1.png", "unsealed/1.png"), "normal=NAME"),
    (("x/with_cap/1.png", "x/without_cap/1.png"), "normal=NAME"),
    (("a/closed/1.png", "a/not closed/1.png", "b/1.png"), "normal=NAME"),
    # Names of files
    (("ok_1.png", "ng_1.png"), "layout=normal"),
    (("a/cast_def_0_1.png", "a/cast_0_2.png"), "layout=normal"),
    (("缺陷_1.png", "2.png"), "layout=normal"),
    (("train/1.png", "train/scratch_1.png", "test/good/1.png"), "layout=normal"),
]


@pytest.mark.parametrize(("files", "hint"), TELLING)
def test_names_that_speak_against_it_are_refused(
    tmp_path: Path, files: Sequence[str], hint: str
) -> None:
    write(tmp_path, *files, marked=True)
    with pytest.raises(DataError) as caught:
        folder(tmp_path).train_items()
    assert hint in caught.value.hint
    if not any(part.casefold() in ("train", "test") for part in Path(files[0]).parts):
        everything = folder(tmp_path, layout="normal")
        assert len(everything.train_items()) == len(files)


@pytest.mark.parametrize(
    "options",
    [
        {"normal": "a", "anomalous": "b", "masks": "c"},
        {"normal": "a", "masks": ("c",)},
        {"anomalous": "b", "masks": "c"},
    ],
)
def test_the_user_says_what_folders_are(tmp_path: Path, options: dict[str, object]) -> None:
    write(tmp_path, "a/1.png", "b/2.png")
    write(tmp_path, "c/2.png", marked=True)
    data = folder(tmp_path, **options)
    assert data.classes() == ("a", "b")
    assert data.normal_classes() == (0,)
    assert data.train_items().masks == [None, (tmp_path / "c/2.png",)]


@pytest.mark.parametrize("kind", ["normal", "anomalous", "masks"])
def test_folders_named_but_not_there_are_refused(tmp_path: Path, kind: str) -> None:
    write(tmp_path, "a/1.png")
    with pytest.raises(UsageError, match="no folder nowhere"):
        folder(tmp_path, **{kind: "nowhere"}).train_items()


@pytest.mark.parametrize("layout", ["defects", "classes"])
def test_masks_are_no_class(tmp_path: Path, layout: str) -> None:
    write(tmp_path, "good/1.png", "crack/1.png", "Masks/crack/1.png", "ground_truth/crack/2.png")
    data = folder(tmp_path, layout=layout)
    assert sorted(data.classes()) == ["crack", "good"]
    assert "Masks: 1 mask" in data.describe()


@pytest.mark.parametrize(
    ("files", "described"),
    [
        (
            ("train/ok/1.png", "test/ok/1.png", "test/ko/1.png"),  # BTAD
            "train: ok 1 normal; test: ko 1 anomalous, ok 1 normal",
        ),
        (
            ("train/a/1.png", "valid/a/2.png", "test/a/3.png"),  # Roboflow
            "train: a 1 normal; valid: a 1 normal (normal ones added to train); test: a 1 normal",
        ),
        (
            ("train/good/1.png", "holdout/good/1.png", "holdout/bad/1.png"),
            "train: good 1 normal; holdout: bad 1 anomalous, good 1 normal (used as test)",
        ),
        (
            ("訓練/良品/1.png", "テスト/不良/1.png", "テスト/良品/1.png"),
            "訓練: 良品 1 normal; テスト: 不良 1 anomalous, 良品 1 normal",
        ),
        (
            ("Training/gut/1.png", "Test/fehlerfrei/1.png", "Test/Riss/1.png"),
            "Training: gut 1 normal; Test: fehlerfrei 1 normal, Riss 1 anomalous",
        ),
    ],
)
def test_names_of_other_collections_and_languages(
    tmp_path: Path, files: Sequence[str], described: str
) -> None:
    write(tmp_path, *files)
    assert folder(tmp_path).describe() == described


@pytest.mark.parametrize(
    "files",
    [
        ("camera 1/1.png", "camera 2/1.png", "camera 10/1.png"),
        ("2024-01-01/1.png", "2024-01-02/1.png"),
        ("station/1.png", "nation/1.png"),
        ("DSC_0001.png", "IMG_0002.png", "part-03.png", "broken.png", "no_defect_1.png"),
        ("test tube/1.png", "chip rack/1.png"),
    ],
)
def test_names_without_a_meaning_are_all_normal(tmp_path: Path, files: Sequence[str]) -> None:
    write(tmp_path, *files)
    assert len(folder(tmp_path).train_items()) == len(files)


E_ACUTE = unicodedata.normalize("NFC", "é")


@pytest.mark.parametrize(
    "mask",
    ["é1_mask.png", "é1-GT.png", "é1.png", "mask_é1.png", "é1.jpg.png", "é1/x.png", "É1_Label.BMP"],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("place", ["ground_truth/cut", "ground_truth", "masks/test/cut", "gt"])
def test_masks_are_matched_by_name(tmp_path: Path, mask: str, form: str, place: str) -> None:
    write(tmp_path, "train/good/0.png", f"test/cut/{E_ACUTE}1.png", "test/good/2.png")
    name = unicodedata.normalize("NFD" if form == "NFD" else "NFC", mask)
    write(tmp_path, f"{place}/{name}", marked=True)
    data = folder(tmp_path)
    assert data.test_items().masks == [(tmp_path / place / name,), None]
    assert data.warnings() == []


def test_masks_of_no_image_and_of_two_are_named(tmp_path: Path) -> None:
    write(tmp_path, "train/good/0.png", "test/cut/1.png", "test/bent/1.png")
    write(tmp_path, "ground_truth/1.png", "ground_truth/x/7.png", marked=True)
    data = folder(tmp_path)
    assert data.test_items().masks is None
    (warning,) = data.warnings()
    assert "ground_truth/1.png, ground_truth/x/7.png" in warning


def test_folders_that_are_not_read_are_named(tmp_path: Path) -> None:
    write(tmp_path, "train/good/1.png", "test/good/1.png", "extra/1.png")
    assert folder(tmp_path).warnings() == [
        "folders beside those of the splits are not read: extra (1 image)"
    ]
