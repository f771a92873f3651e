from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from bigan_cli.config.schema import DataConfig, RunConfig, TrainConfig
from bigan_cli.contracts import DataLocation, Dataset, ImageShape, Items, Options
from bigan_cli.data import image_pool, load
from bigan_cli.data.prepare import PreparedData, open_dataset, prepare, reopen_test
from bigan_cli.errors import DataError, PluginError, UsageError
from bigan_cli.locations.cache_folder import cache_root
from bigan_cli.plugins import load_registry

PARTS = ("train", "validation", "calibration", "test")


def ready(seed: int = 0, **data: Any) -> PreparedData:
    config = RunConfig(data=DataConfig(**data), train=TrainConfig(seed=seed))
    return prepare(open_dataset(load_registry(), config.data), config)


def counts(data: PreparedData) -> list[int]:
    return [len(getattr(data, part)) for part in PARTS]


def picture(seed: int, side: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side)).astype(np.uint8)


def write(root: Path, names: dict[str, int], side: int = 20) -> None:
    """Write so many different pictures into each of these folders."""
    for folder, count in names.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = picture(crc32(f"{folder}/{i}".encode()), side)
            Image.fromarray(pixels).save(root / folder / f"{i}.png")


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    root = tmp_path / "parts"
    write(root, {"train/good": 30, "test/good": 6, "test/bent": 5, "test/crack": 4})
    write(root, {"ground_truth/bent": 5})
    return root


@pytest.fixture
def cached_from_ten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(load, "CACHED_FILES", 10)
    return cache_root() / "images"


def test_digits_one_class() -> None:
    data = ready(dataset="digits", inlier=(3,))
    assert data.dataset_name == "digits"
    assert data.protocol == "one-class"
    assert data.image_shape == ImageShape(1, 8, 8)
    assert data.class_names == tuple("0123456789")
    assert data.normal_classes == (3,)
    for part in ("train", "validation", "calibration"):
        images = getattr(data, part)
        assert images.pixels.dtype == np.uint8
        assert images.pixels.shape == (len(images), 1, 8, 8)
        assert (images.labels == 3).all()
        assert not images.outlier.any()
        assert len(images.names) == len(images)
    assert len(data.test) == 355
    assert np.array_equal(data.test.outlier, data.test.labels != 3)
    assert data.audit.overlaps == ()
    assert data.notes == ()


def test_folder_with_defects(parts: Path) -> None:
    data = ready(dataset="folder", root=parts)
    assert data.protocol == "folder"
    assert data.image_shape == ImageShape(1, 20, 20)
    assert data.class_names == ("good", "bent", "crack")
    assert sum(counts(data)[:3]) == 30
    assert data.test.outlier.sum() == 9
    for i, name in enumerate(data.test.names):
        with Image.open(parts / name) as image:
            assert np.array_equal(data.test.pixels[i, 0], np.asarray(image))
        assert data.class_names[data.test.labels[i]] == Path(name).parent.name
        mask = data.test.masks[i]
        assert (mask is not None) == name.startswith("test/bent")
        assert mask is None or [each.stem for each in mask] == [Path(name).stem]


def test_folder_of_normal_images_alone(tmp_path: Path) -> None:
    write(tmp_path, {"a": 20, "b": 20}, side=80)
    data = ready(dataset="folder", root=tmp_path)
    assert data.protocol == "folder"
    assert data.image_shape == ImageShape(1, 64, 64)
    assert sum(counts(data)) == 40
    assert len(data.test) == 0
    assert data.test.pixels.shape == (0, 1, 64, 64)


def test_resolved_configuration_repeats_the_run(parts: Path) -> None:
    first = ready(dataset="folder", root=parts, outlier_portion=0.5)
    assert first.config.data.protocol == "folder"
    assert first.config.data.inlier == ("good",)
    assert first.config.data.image_size == 20
    assert first.config.data.input_channels == 1
    dataset = open_dataset(load_registry(), first.config.data)
    again = prepare(dataset, first.config)
    assert again.config == first.config
    assert again.fingerprint == first.fingerprint
    assert again.train.names == first.train.names


@pytest.mark.parametrize(
    "given", [{"inlier": (0, "1")}, {"outlier": ("3",)}, {"image_size": 16}, {"input_channels": 3}]
)
def test_what_is_given_stays_as_it_was_given(given: dict[str, Any]) -> None:
    resolved = ready(dataset="digits", **given).config.data
    for key, value in given.items():
        assert getattr(resolved, key) == value
    RunConfig.model_validate(RunConfig(data=resolved).model_dump(by_alias=True))


def test_size_that_is_not_square_is_written_in(tmp_path: Path) -> None:
    for i in range(20):
        Image.fromarray(picture(i)[:12]).save(tmp_path / f"{i}.png")
    data = ready(dataset="folder", root=tmp_path)
    assert data.image_shape == ImageShape(1, 12, 20)
    assert data.config.data.image_size == (12, 20)


@pytest.mark.parametrize(
    ("size", "channels", "shape"),
    [
        (16, None, ImageShape(1, 16, 16)),
        ((12, 10), 3, ImageShape(3, 12, 10)),
        (None, 4, ImageShape(4, 8, 8)),
    ],
)
def test_arrays_take_the_shape_asked_for(size: Any, channels: Any, shape: ImageShape) -> None:
    data = ready(dataset="digits", image_size=size, input_channels=channels)
    assert data.image_shape == shape
    assert data.train.pixels.shape[1:] == (shape.channels, shape.height, shape.width)


def test_test_set_can_be_reopened_alone(parts: Path) -> None:
    data = ready(seed=5, dataset="folder", root=parts, outlier_portion=0.3)
    for path in (parts / "train" / "good").iterdir():
        path.write_bytes(b"not needed")
    again = reopen_test(open_dataset(load_registry(), data.config.data), data.config)
    assert np.array_equal(again.images.pixels, data.test.pixels)
    assert np.array_equal(again.images.outlier, data.test.outlier)
    assert again.images.names == data.test.names
    assert again.fingerprint == data.test_fingerprint
    assert (again.protocol, again.normal_classes) == (data.protocol, data.normal_classes)


def test_fingerprint_follows_content_and_split_alone(parts: Path, tmp_path: Path) -> None:
    first = ready(dataset="folder", root=parts)
    copy = tmp_path / "copy"
    shutil.copytree(parts, copy)
    assert ready(dataset="folder", root=copy).fingerprint == first.fingerprint
    assert ready(seed=1, dataset="folder", root=copy).fingerprint != first.fingerprint
    Image.fromarray(picture(99)).save(copy / "test" / "bent" / "0.png")
    changed = ready(dataset="folder", root=copy)
    assert changed.fingerprint != first.fingerprint
    assert changed.test_fingerprint != first.test_fingerprint


def test_fingerprint_follows_what_is_an_anomaly(tmp_path: Path) -> None:
    write(tmp_path, {"train/good": 20, "test/bad": 5})
    anomalies = ready(dataset="folder", root=tmp_path)
    (tmp_path / "test" / "bad").rename(tmp_path / "test" / "good")
    normals = ready(dataset="folder", root=tmp_path)
    assert np.array_equal(anomalies.test.pixels, normals.test.pixels)
    assert anomalies.test_fingerprint != normals.test_fingerprint


def test_copies_in_the_data_set_are_reported(parts: Path) -> None:
    for path in (parts / "test" / "good").iterdir():
        shutil.copy(parts / "train" / "good" / "0.png", path)
    data = ready(dataset="folder", root=parts)
    (overlap,) = data.audit.overlaps
    assert (overlap.second, overlap.images) == ("test", 6)
    assert overlap.examples[0][0] == "train/good/0.png"
    assert len(data.notes) == 2
    assert data.notes[0].startswith("train: good 30 normal; test: ")
    assert "identical" in data.notes[1]


def test_unreadable_images_are_all_told_at_once(parts: Path) -> None:
    good = parts / "train" / "good"
    for i in range(7):
        (good / f"{i}.png").write_bytes(b"no picture")
    with pytest.raises(DataError) as caught:
        ready(dataset="folder", root=parts)
    assert caught.value.message.startswith("cannot read 7 of 30 images: ")
    assert caught.value.message.count("not an image in a known format") == 5
    assert str(good / "0.png") in caught.value.message
    assert caught.value.message.endswith(", and 2 more")


def test_single_unreadable_image_is_named(parts: Path) -> None:
    path = parts / "test" / "bent" / "3.png"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"(?m)^cannot read .*3\.png \(truncated file\)$"):
        ready(dataset="folder", root=parts)


def test_one_image_is_too_few(tmp_path: Path) -> None:
    write(tmp_path, {"x": 1})
    with pytest.raises(DataError, match="too few normal images"):
        ready(dataset="folder", root=tmp_path)


def test_unknown_class_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"(?m)^inlier 12 is not a class of digits \(0-9\)$"):
        ready(dataset="digits", inlier=(12,))


def test_data_set_that_needs_a_folder_says_so() -> None:
    with pytest.raises(UsageError, match="folder") as caught:
        ready(dataset="folder")
    assert "'data.root=DIR'" in caught.value.hint


def test_options_that_do_not_suit_a_dataset_are_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"options of dataset 'folder' .*: layout: "):
        ready(dataset="folder", root=tmp_path, options={"layout": "mvtec"})


def test_unknown_data_set_is_a_plugin_error() -> None:
    with pytest.raises(PluginError, match="fashion_mnst"):
        ready(dataset="fashion_mnst")


def test_default_place_is_the_cache_of_this_machine() -> None:
    dataset = open_dataset(load_registry(), DataConfig(dataset="mnist"))
    assert dataset.location == DataLocation(cache_root() / "data", download=True)
    dataset = open_dataset(load_registry(), DataConfig(dataset="mnist", root=Path("~/here")))
    assert dataset.location.root == Path.home() / "here"
    dataset = open_dataset(load_registry(), DataConfig(dataset="mnist", root=Path("~nosuchuser/x")))
    assert dataset.location.root == Path("~nosuchuser/x")


def test_many_files_are_decoded_once_for_all_seeds_and_protocols(
    tmp_path: Path, cached_from_ten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "kinds"
    write(root, {"train/cat": 30, "train/dog": 20, "test/cat": 5, "test/dog": 5})
    reported: list[tuple[int, int]] = []
    config = RunConfig(data=DataConfig(dataset="folder", root=root))
    dataset = open_dataset(load_registry(), config.data)
    first = prepare(dataset, config, progress=lambda done, total: reported.append((done, total)))
    assert reported[-1] == (40, 40)
    files = sorted(cached_from_ten.iterdir())
    assert len(files) == 3
    dogs = ready(dataset="folder", root=root, inlier=("dog",))
    assert len(list(cached_from_ten.iterdir())) == 4

    def broken(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(load, "read_with_format", broken)
    again = ready(dataset="folder", root=root)
    assert again.fingerprint == first.fingerprint
    assert again.train.pixels.flags.writeable
    ready(seed=9, dataset="folder", root=root)
    ready(dataset="folder", root=root, outlier=("cat",))
    assert ready(dataset="folder", root=root, inlier=("dog",)).fingerprint == dogs.fingerprint


def test_changed_file_is_decoded_again(parts: Path, cached_from_ten: Path) -> None:
    before = ready(dataset="folder", root=parts)
    Image.fromarray(picture(1)).convert("RGB").save(parts / "train" / "good" / "3.png")
    assert ready(dataset="folder", root=parts).fingerprint != before.fingerprint


def test_sets_beyond_the_limit_are_memory_mapped(
    parts: Path, cached_from_ten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = ready(dataset="folder", root=parts)
    for module in (load, image_pool):
        monkeypatch.setattr(module, "resident_bytes", lambda: 1000)
    mapped = ready(dataset="folder", root=parts)
    for part in PARTS:
        assert isinstance(getattr(mapped, part).pixels, np.memmap)
        assert np.array_equal(getattr(mapped, part).pixels, getattr(resident, part).pixels)
    assert mapped.fingerprint == resident.fingerprint


def test_cache_that_cannot_be_written_costs_only_time(parts: Path, cached_from_ten: Path) -> None:
    cached_from_ten.parent.parent.mkdir()
    cached_from_ten.parent.write_bytes(b"a file where the folder should be")
    assert sum(counts(ready(dataset="folder", root=parts))) == 45


def test_small_folders_leave_the_cache_alone(
    parts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ready(dataset="folder", root=parts)
    assert not (tmp_path / "cache").exists()


class Lists(Dataset):
    """Pictures of every kind in lists, as a third-party dataset might return them."""

    name = "lists"
    summary = "for tests"
    class_names: ClassVar[tuple[str, ...]] = ("a", "b")
    made: ClassVar[Callable[[], Items]]

    def train_items(self) -> Items:
        return type(self).made()

    def test_items(self) -> Items:
        return Items([], np.array([]))


def lists(make: Callable[[], Items]) -> PreparedData:
    cls = type("Made", (Lists,), {"made": staticmethod(make)})
    return prepare(cls(Options(), DataLocation(Path("unused"))), RunConfig())


def test_lists_of_arrays_and_pictures_are_taken() -> None:
    def make() -> Items:
        images = [picture(i) for i in range(30)]
        mixed = [
            Image.fromarray(p) if i % 2 else p.astype(np.uint16) * 257 for i, p in enumerate(images)
        ]
        return Items(mixed, np.repeat([0, 1], 15))

    data = lists(make)
    assert data.image_shape == ImageShape(1, 20, 20)
    assert data.test.names[-1] == "train/29"
    assert np.array_equal(data.test.pixels[-1, 0], picture(29))


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (Items(np.zeros((5, 8, 8), np.uint8), np.zeros(4, np.int64)), "5 images for 4 labels"),
        (Items(np.zeros((2, 8, 8), np.uint8), np.array([0, 2])), "labels 0 to 2 for 2 classes"),
        (
            Items(np.zeros((2, 8, 8), np.uint8), np.zeros(2, np.int64), names=["x"]),
            "1 names for 2 labels",
        ),
    ],
)
def test_data_set_that_breaks_its_contract_is_told(items: Items, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        lists(lambda: items)


@pytest.mark.parametrize("error", [ValueError("no pond"), RuntimeError(), OSError("no pond")])
def test_data_set_that_raises_anything_is_named(error: Exception) -> None:
    def make() -> Items:
        raise error

    with pytest.raises(PluginError, match="dataset 'lists' failed in train_items") as caught:
        lists(make)
    assert f"{type(error).__name__}{': ' if str(error) else ''}{error} ({__file__}:" in str(
        caught.value
    )


@pytest.mark.parametrize(
    "error", [DataError("no frogs"), FileNotFoundError(2, "No such file", "x"), MemoryError()]
)
def test_what_is_no_defect_of_a_data_set_is_not_told_as_one(error: Exception) -> None:
    def make() -> Items:
        raise error

    with pytest.raises(type(error)) as caught:
        lists(make)
    assert caught.value is error


def test_data_set_without_images_is_told() -> None:
    with pytest.raises(DataError, match="no images to train on in ") as caught:
        lists(lambda: Items([], np.array([], np.int64)))
    assert "--data-root FOLDER" in caught.value.hint


def test_real_mnist_one_class(real_data: Path) -> None:
    data = ready(dataset="mnist", root=real_data, inlier=(0,))
    assert counts(data) == [4739, 592, 592, 10_000]
    assert np.count_nonzero(~data.test.outlier) == 980
    # MNIST holds no image twice, not even across its splits.
    assert data.audit.overlaps == ()


def test_real_mnist_leave_one_out(real_data: Path) -> None:
    data = ready(dataset="mnist", root=real_data, outlier=(8,))
    assert data.test.outlier.sum() == 5851 + 974
    assert np.count_nonzero(~data.test.outlier) == round(0.2 * (70_000 - 6825))


def test_real_fashion_mnist_by_name(real_data: Path) -> None:
    data = ready(
        dataset="fashion_mnist", root=real_data, inlier=("ankle boot",), outlier_portion=0.1
    )
    assert data.normal_classes == (9,)
    assert np.bincount(data.test.labels).tolist() == [13, 13, 13, 12, 12, 12, 12, 12, 12, 1000]


@pytest.mark.slow
def test_real_cifar_folders(real_data: Path) -> None:
    root = real_data / "cifar10-jpeg"
    data = ready(dataset="folder", root=root, inlier=("frog",), outlier_portion=0.1)
    assert data.image_shape == ImageShape(3, 32, 32)
    assert data.class_names[6] == "frog"
    assert counts(data) == [4000, 500, 500, 1111]
