from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from bigan_cli.cli.main import main
from bigan_cli.contracts import DataLocation, ImageShape, Items
from bigan_cli.data.decode import read_image
from bigan_cli.errors import DataError, UsageError
from bigan_cli.testing import assert_conforms, dataset_checks
from bigan_hf import Hf

COUNTS = {"train": 12, "test": 4}
# Enough normal images to calibrate with the default settings.
MANY = {"train": 80, "test": 4}
CLASSES = ("good", "scratch")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path_factory.getbasetemp() / "hf"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(cache / "datasets"))


def picture(i: int) -> Image.Image:
    """Return a picture whose first pixel says which one it is."""
    pixels = np.random.default_rng(i).integers(0, 256, (10, 12, 3), np.uint8)
    pixels[0, 0] = i % 256
    return Image.fromarray(pixels)


def encoded(i: int) -> bytes:
    stream = io.BytesIO()
    picture(i).save(stream, "PNG")
    return stream.getvalue()


def write_rows(file: Path, rows: list[dict[str, Any]], features: datasets.Features) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(rows, features=features).to_parquet(file)


def rows(count: int, start: int = 0, **more: Callable[[int], Any]) -> list[dict[str, Any]]:
    return [
        {"image": {"bytes": encoded(i), "path": None}, **{key: of(i) for key, of in more.items()}}
        for i in range(start, start + count)
    ]


IMAGES = datasets.Features({"image": datasets.Image()})
LABELLED = datasets.Features(
    {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
)


def write_image_folder(root: Path, counts: dict[str, int]) -> None:
    for start, (split, count) in enumerate(counts.items()):
        for k, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                picture(100 * start + 50 * k + i).save(folder / f"{i:02d}.png")


def write_parquet(root: Path, counts: dict[str, int]) -> None:
    for start, (split, count) in enumerate(counts.items()):
        both = rows(2 * count, 100 * start, label=lambda i: i % 2)
        write_rows(root / f"{split}-00000-of-00001.parquet", both, LABELLED)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of image files in class folders; to be read only."""
    root = tmp_path_factory.mktemp("imagefolder")
    write_image_folder(root, COUNTS)
    return root


@pytest.fixture(scope="session")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of Parquet files with encoded images and classes; to be read only."""
    root = tmp_path_factory.mktemp("parquet")
    write_parquet(root, COUNTS)
    return root


def hf(root: Path, download: bool = False, **options: Any) -> Hf:
    return Hf(Hf.Options(**options), DataLocation(root, download))


def first_pixels(items: Items) -> list[int]:
    """Return which picture each one is."""
    return [int(read_image(raw, ImageShape(3, 10, 12))[0, 0, 0]) for raw in items.images]


# What it reads


@pytest.mark.parametrize("write", [write_image_folder, write_parquet])
def test_it_keeps_the_contract(
    write: Callable[[Path, dict[str, int]], None], tmp_path: Path
) -> None:
    write(tmp_path, MANY)
    assert_conforms(dataset_checks(Hf, {}, tmp_path))


@pytest.mark.parametrize("streaming", [False, True])
def test_image_files_stay_files(image_folder: Path, streaming: bool) -> None:
    data = hf(image_folder, streaming=streaming, limit=1000)
    assert data.classes() == CLASSES
    assert data.normal_classes() == (0,)
    train, test = data.train_items(), data.test_items()
    assert (len(train), len(test)) == (24, 8)
    assert train.images[0] == image_folder / "train" / "good" / "00.png"
    assert train.labels.tolist() == [0] * 12 + [1] * 12
    assert first_pixels(test) == [100, 101, 102, 103, 150, 151, 152, 153]


@pytest.mark.parametrize("streaming", [False, True])
def test_encoded_images_are_decoded_when_indexed(parquet: Path, streaming: bool) -> None:
    data = hf(parquet, streaming=streaming, limit=1000)
    train = data.train_items()
    assert first_pixels(train) == list(range(24))
    assert train.labels.tolist() == [0, 1] * 12
    raw = train.images[3]
    assert isinstance(raw, Image.Image)
    assert raw.size == (12, 10)
    assert (np.asarray(raw) == np.asarray(picture(3))).all()


def test_a_folder_saved_to_disk_and_a_single_file_are_read(parquet: Path, tmp_path: Path) -> None:
    loaded = datasets.load_dataset("parquet", data_dir=str(parquet))
    loaded.save_to_disk(tmp_path / "saved")
    assert first_pixels(hf(tmp_path, path="saved").test_items()) == list(range(100, 108))
    single = hf(parquet, path="test-00000-of-00001.parquet")
    assert first_pixels(single.train_items()) == list(range(100, 108))
    assert len(single.test_items()) == 0


def test_limit_spreads_over_a_split_and_takes_the_first_of_a_stream(parquet: Path) -> None:
    assert first_pixels(hf(parquet, limit=3).train_items()) == [0, 12, 23]
    assert first_pixels(hf(parquet, limit=3, streaming=True).train_items()) == [0, 1, 2]


def test_splits_can_be_chosen(parquet: Path) -> None:
    turned = hf(parquet, train_split="test", test_split="train")
    assert (len(turned.train_items()), len(turned.test_items())) == (8, 24)
    # The split that is trained on is not tested on as well.
    assert len(hf(parquet, train_split="test").test_items()) == 0


@pytest.mark.parametrize(
    ("kind", "label", "names"),
    [
        ("string", lambda i: ("tree", "ash", "fir")[i % 3], ("ash", "fir", "tree")),
        ("int64", lambda i: (10, 9, 100)[i % 3], ("9", "10", "100")),
        ("bool", lambda i: i % 2 == 0, ("False", "True")),
    ],
)
def test_classes_without_names_are_found(
    tmp_path: Path, kind: str, label: Callable[[int], Any], names: tuple[str, ...]
) -> None:
    features = datasets.Features({**IMAGES, "label": datasets.Value(kind)})
    write_rows(tmp_path / "train.parquet", rows(12, label=label), features)
    data = hf(tmp_path)
    assert data.classes() == names
    assert [names[k] for k in data.train_items().labels] == [str(label(i)) for i in range(12)]


def test_without_labels_all_images_are_normal(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.parquet", rows(12), IMAGES)
    data = hf(tmp_path)
    assert data.classes() == ("normal",)
    assert data.normal_classes() == (0,)
    assert data.train_items().labels.tolist() == [0] * 12


def test_a_column_of_encoded_bytes_can_be_chosen(tmp_path: Path) -> None:
    features = datasets.Features({"png": datasets.Value("binary")})
    write_rows(tmp_path / "train.parquet", [{"png": encoded(i)} for i in range(12)], features)
    assert first_pixels(hf(tmp_path, image_column="png").train_items()) == list(range(12))
    with pytest.raises(DataError, match="has no column of images: there is png") as caught:
        hf(tmp_path).train_items()
    assert "image_column" in caught.value.hint


# Error messages


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_column": "imag"}, "has no column imag: there is image, label"),
        ({"image_column": "label"}, "column label of .* holds ClassLabel.*, not images"),
        ({"label_column": "image"}, "column image of .* holds Image.*, not classes"),
        ({"train_split": "fit"}, "has no split fit: there is train, test"),
        ({"test_split": "dev"}, "has no split dev"),
        ({"config": "other"}, "BuilderConfig 'other' not found"),
        ({"streaming": True}, "how many images are to be streamed"),
        ({"path": "a/b/c"}, "no such file or folder"),
    ],
)
def test_wrong_options_are_refused(parquet: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises((DataError, UsageError), match=message) as caught:
        hf(parquet, **options).train_items()
    assert len(caught.value.message.splitlines()) == 1


def test_several_columns_of_images_must_be_chosen_from(tmp_path: Path) -> None:
    features = datasets.Features({"left": datasets.Image(), "right": datasets.Image()})
    both = [{side: {"bytes": encoded(i), "path": None} for side in features} for i in range(12)]
    write_rows(tmp_path / "train.parquet", both, features)
    with pytest.raises(DataError, match="several columns of images: left, right"):
        hf(tmp_path).train_items()
    assert len(hf(tmp_path, image_column="right").train_items()) == 12


def test_images_without_a_class_are_told(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.parquet", rows(12, label=lambda i: -(i == 3)), LABELLED)
    with pytest.raises(DataError, match="1 of 12 images of the train split have no label"):
        hf(tmp_path).train_items()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"bytes": b"no picture", "path": None}, "not an image"),
        ({"bytes": b"", "path": None}, "it is empty"),
        (None, "it is empty"),
    ],
)
def test_an_unreadable_image_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], cell: Any, message: str
) -> None:
    write_rows(tmp_path / "train.parquet", [*rows(40), {"image": cell}], IMAGES)
    with pytest.raises(DataError, match=f"cannot read image 40 of the train split: .*{message}"):
        _ = hf(tmp_path).train_items().images[40]
    capfd.readouterr()  # of writing the file
    words = ["--dataset", "hf", "--data-root", str(tmp_path), "--fpr", "0.5"]
    assert main(["train", *words, "--save-dir", str(tmp_path / "run")]) == 1
    assert capfd.readouterr().err.startswith("error: cannot read image 40 of the train split")


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(DataError, match="cannot load") as caught:
        hf(tmp_path).train_items()
    assert len(caught.value.message.splitlines()) == 1


def test_an_empty_or_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty") as caught:
        hf(tmp_path).train_items()
    assert "data.options.path" in caught.value.hint
    with pytest.raises(UsageError, match="no such file or folder"):
        hf(tmp_path / "missing").train_items()


# The hub


@pytest.mark.parametrize("streaming", [False, True])
def test_the_hub_is_not_asked_where_that_is_forbidden(tmp_path: Path, streaming: bool) -> None:
    before = datasets.config.HF_HUB_OFFLINE
    with pytest.raises(DataError, match="cannot load bigan/none") as caught:
        hf(tmp_path, path="bigan/none", streaming=streaming, limit=5).train_items()
    assert "--no-download" in caught.value.hint
    assert before == datasets.config.HF_HUB_OFFLINE


def test_no_network_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # The one way to cut it off that works with and without a network.
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="cannot load bigan/none") as caught:
        hf(tmp_path, download=True, path="bigan/none").train_items()
    assert "a network?" in caught.value.hint
    assert len(caught.value.message.splitlines()) == 1
    assert not caplog.records


def test_listing_data_sets_does_not_import_it() -> None:
    code = (
        "import sys; from bigan_cli.plugins import load_registry;"
        "assert 'hf' in load_registry().datasets; print('datasets' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, encoding="utf-8"
    )
    assert done.stdout == "False\n"
