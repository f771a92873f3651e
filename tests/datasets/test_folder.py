from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from bigan_cli.contracts import DataLocation
from bigan_cli.datasets.folder import Folder
from bigan_cli.errors import DataError, UsageError


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(path)


def folder(root: Path, **options: object) -> Folder:
    return Folder(Folder.Options.model_validate(options), DataLocation(root))


def seen(data: Folder) -> tuple[dict[str, str], dict[str, str]]:
    """The class of each image by its name, of both splits."""
    classes = data.classes()
    both = []
    for items in (data.train_items(), data.test_items()):
        assert len(items.images) == len(items.labels) == len(items.names or ())
        assert items.labels.dtype == np.int64
        labels = [classes[k] for k in items.labels]
        both.append(dict(zip(items.names or (), labels, strict=True)))
    return both[0], both[1]


def test_images_in_one_folder_are_all_normal(tmp_path: Path) -> None:
    make(tmp_path, "10.png", "9.png", "deep/er/1.png", ".hidden.png")
    data = folder(tmp_path)
    train, test = seen(data)
    assert list(train) == ["9.png", "10.png", "deep/er/1.png"]
    assert set(train.values()) == {"normal"}
    assert test == {}
    assert data.classes() == ("normal",)
    assert data.normal_classes() == (0,)
    assert data.train_items().masks is None


def test_folders_within_are_left_out_when_asked(tmp_path: Path) -> None:
    make(tmp_path, "1.png", "deep/2.png")
    assert list(seen(folder(tmp_path, recursive=False))[0]) == ["1.png"]


def test_class_folders_in_train_and_test(tmp_path: Path) -> None:
    make(tmp_path, "train/frog/1.png", "train/cat/1.png", "train/cat/sub/2.png")
    make(tmp_path, "test/cat/9.png", "test/newt/1.png")
    data = folder(tmp_path)
    train, test = seen(data)
    assert data.classes() == ("cat", "frog", "newt")
    assert data.normal_classes() is None
    assert train == {
        "train/cat/1.png": "cat",
        "train/cat/sub/2.png": "cat",
        "train/frog/1.png": "frog",
    }
    assert test == {"test/cat/9.png": "cat", "test/newt/1.png": "newt"}


def test_good_and_defect_folders_with_masks(tmp_path: Path) -> None:
    make(tmp_path, "train/good/0.png", "test/good/1.png", "test/bent/2.png", "test/bent/3.png")
    make(tmp_path, "test/crack/4.png", "ground_truth/bent/2_mask.png", "ground_truth/crack/4.png")
    data = folder(tmp_path)
    train, test = seen(data)
    assert data.classes() == ("good", "bent", "crack")
    assert data.normal_classes() == (0,)
    assert train == {"train/good/0.png": "good"}
    assert list(test) == [
        "test/bent/2.png",
        "test/bent/3.png",
        "test/crack/4.png",
        "test/good/1.png",
    ]
    truth = tmp_path / "ground_truth"
    assert data.test_items().masks == [
        (truth / "bent/2_mask.png",),
        None,
        (truth / "crack/4.png",),
        None,
    ]


def test_normal_class_comes_first_whatever_its_name(tmp_path: Path) -> None:
    make(tmp_path, "train/zebra/1.png", "test/zebra/1.png", "test/ant/1.png")
    data = folder(tmp_path)
    assert data.classes() == ("zebra", "ant")
    assert data.normal_classes() == (0,)


@pytest.mark.parametrize("name", ["good", "OK", "Normal"])
def test_usual_names_of_normal_folders_are_known(tmp_path: Path, name: str) -> None:
    make(tmp_path, f"train/{name}/1.png", "train/bad/1.png")
    assert folder(tmp_path).classes() == (name, "bad")
    assert folder(tmp_path).normal_classes() == (0,)


def test_named_normal_folder(tmp_path: Path) -> None:
    make(tmp_path, "train/good/1.png", "train/fine/1.png", "test/fine/1.png")
    data = folder(tmp_path, normal="Fine")
    assert data.classes() == ("fine", "good")
    assert data.normal_classes() == (0,)
    with pytest.raises(UsageError, match="no folder best of normal images"):
        folder(tmp_path, normal="best").classes()


def test_train_may_hold_the_normal_images_themselves(tmp_path: Path) -> None:
    make(tmp_path, "train/1.png", "train/2.png", "test/good/1.png", "test/bad/1.png")
    data = folder(tmp_path)
    assert set(seen(data)[0].values()) == {"good"}
    assert data.classes() == ("good", "bad")


def test_train_without_test(tmp_path: Path) -> None:
    make(tmp_path, "train/good/1.png")
    assert seen(folder(tmp_path)) == ({"train/good/1.png": "good"}, {})


def test_class_folders_without_train_are_asked_for(tmp_path: Path) -> None:
    make(tmp_path, "1/a.png", "2/a.png", "10/a.png")
    assert folder(tmp_path).classes() == ("normal",)
    data = folder(tmp_path, layout="classes")
    assert data.classes() == ("1", "2", "10")
    assert data.normal_classes() is None
    assert seen(data)[1] == {}


def test_defect_folders_without_train_are_asked_for(tmp_path: Path) -> None:
    make(tmp_path, "good/a.png", "bad/a.png")
    data = folder(tmp_path, layout="defects")
    assert data.classes() == ("good", "bad")
    assert data.normal_classes() == (0,)


def test_good_beside_others_is_not_taken_as_all_normal_silently(tmp_path: Path) -> None:
    make(tmp_path, "good/a.png", "bad/a.png")
    with pytest.raises(DataError, match="a folder good beside bad") as caught:
        folder(tmp_path).train_items()
    assert "layout=defects" in caught.value.hint
    assert folder(tmp_path, layout="normal").classes() == ("normal",)


def test_test_without_train_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "test/good/a.png")
    with pytest.raises(DataError, match="a folder test but no folder train"):
        folder(tmp_path).train_items()


@pytest.mark.parametrize("split", ["train", "test"])
def test_loose_images_beside_class_folders_are_refused(tmp_path: Path, split: str) -> None:
    make(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/cat/1.png", f"{split}/lost.png")
    with pytest.raises(DataError, match="are in no folder of their own"):
        folder(tmp_path).train_items()


def test_test_images_of_unknown_kind_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "train/good/1.png", "test/1.png")
    with pytest.raises(DataError, match="what they are is not known") as caught:
        folder(tmp_path).test_items()
    assert "test/good and test/<defect>" in caught.value.hint


def test_defects_without_a_normal_folder_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "train/a/1.png", "train/b/1.png")
    with pytest.raises(DataError, match="which of a, b is normal"):
        folder(tmp_path, layout="defects").train_items()


@pytest.mark.parametrize("layout", ["auto", "normal", "classes", "defects"])
def test_empty_missing_and_file_are_told_apart(tmp_path: Path, layout: str) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        folder(tmp_path / "nothing", layout=layout).train_items()
    make(tmp_path, "x.png")
    with pytest.raises(UsageError, match="is a file"):
        folder(tmp_path / "x.png", layout=layout).train_items()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no images under|but .*empty has none"):
        folder(tmp_path / "empty", layout=layout).train_items()


@pytest.mark.parametrize("inside", ["train", "train/good"])
def test_empty_train_is_told(tmp_path: Path, inside: str) -> None:
    (tmp_path / inside).mkdir(parents=True)
    make(tmp_path, "test/good/1.png")
    with pytest.raises(DataError, match=r"no images under .*train \(looked for \.png"):
        folder(tmp_path).train_items()


def test_empty_class_folders_are_no_classes(tmp_path: Path) -> None:
    make(tmp_path, "train/a/1.png", "train/b/1.png")
    (tmp_path / "train" / "c").mkdir()
    assert folder(tmp_path).classes() == ("a", "b")


def test_pictures_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no picture")
    assert folder(tmp_path).train_items().images == [tmp_path / "1.png"]


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValidationError):
        Folder.Options.model_validate({"layout": "mvtec"})
    with pytest.raises(ValidationError):
        Folder.Options.model_validate({"lay_out": "auto"})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.timeout(30)
def test_the_recipe_does_not_wait_for_a_named_pipe(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((100, 100), np.uint8)).save(tmp_path / "1.png")
    os.mkfifo(tmp_path / "2.png")
    _, reason = Folder.preset_for(tmp_path, None)
    assert "photographs (about 100 pixels wide)" in reason
