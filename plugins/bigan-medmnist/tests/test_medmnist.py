from __future__ import annotations

import hashlib
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigan_cli.cli.main import main
from bigan_cli.contracts import DataLocation, ImageShape
from bigan_cli.errors import DataError, UsageError
from bigan_cli.plugins import load_registry
from bigan_cli.testing import assert_conforms, dataset_checks
from bigan_medmnist import MedMnist

SPLITS = {"train": 40, "val": 10, "test": 20}
SETS = "pathmnist, chestmnist, dermamnist, octmnist, pneumoniamnist, retinamnist, breastmnist"


def medmnist(root: Path, download: bool = False, **options: Any) -> MedMnist:
    return MedMnist(MedMnist.Options(**options), DataLocation(root, download))


def write(
    folder: Path,
    subset: str,
    channels: int = 1,
    labels: int | None = None,
    size: int = 28,
    classes: int = 2,
    train: int = SPLITS["train"],
    **others: np.ndarray,
) -> Path:
    """Write a file as MedMNIST has them: three splits of images and rows of labels."""
    random = np.random.default_rng(0)
    depth = () if channels == 1 else (channels,)
    arrays = {}
    for split, count in (SPLITS | {"train": train}).items():
        rows = np.arange(count)[:, None] % classes
        if labels is not None:  # none, one, or two of them an image
            rows = np.zeros((count, labels), np.uint8)
            rows[1::3, 3] = rows[2::3, 0] = rows[2::3, 1] = 1
        arrays[f"{split}_labels"] = rows.astype(np.uint8)
        shape = (count, size, size, *depth)
        arrays[f"{split}_images"] = random.integers(0, 256, shape, np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{subset}.npz" if size == 28 else f"{subset}_{size}.npz"
    np.savez_compressed(folder / name, **(arrays | others))
    return folder / name


@pytest.mark.parametrize(
    ("subset", "channels", "labels"),
    [("bloodmnist", 3, None), ("breastmnist", 1, None), ("chestmnist", 1, 14)],
)
def test_it_keeps_the_contract(
    tmp_path: Path, subset: str, channels: int, labels: int | None
) -> None:
    # Enough normal images to calibrate with the default settings.
    write(tmp_path / "medmnist", subset, channels, labels, train=240)
    assert_conforms(dataset_checks(MedMnist, {"subset": subset}, tmp_path))


@pytest.mark.parametrize("place", ["medmnist", "."])
@pytest.mark.parametrize(("size", "channels"), [(28, 3), (64, 3), (128, 3)])
def test_images_come_as_they_are_stored(
    tmp_path: Path, place: str, size: int, channels: int
) -> None:
    file = write(tmp_path / place, "bloodmnist", channels, size=size, classes=8)
    blood = medmnist(tmp_path, subset="bloodmnist", size=size)
    assert blood.image_shape == ImageShape(channels, size, size)
    train, test = blood.train_items(), blood.test_items()
    with np.load(file) as archive:
        assert np.array_equal(test.images, archive["test_images"])
        assert np.array_equal(test.labels, archive["test_labels"][:, 0])
        both = np.concatenate([archive["train_images"], archive["val_images"]])
        assert np.array_equal(train.images, both)
    assert blood.classes()[:2] == ("basophil", "eosinophil")
    assert len(blood.classes()) == 8


def test_the_validation_split_may_be_left_out(tmp_path: Path) -> None:
    write(tmp_path, "breastmnist")
    data = medmnist(tmp_path, subset="breastmnist", use_validation=False)
    assert len(data.train_items()) == SPLITS["train"]


@pytest.mark.parametrize(
    ("subset", "normal"),
    [
        ("breastmnist", ["normal, benign"]),
        ("octmnist", ["normal"]),
        ("pathmnist", ["normal colon mucosa"]),
        ("chestmnist", ["no finding"]),
        ("retinamnist", None),
        ("bloodmnist", None),
    ],
)
def test_what_a_set_calls_normal_is_normal(
    tmp_path: Path, subset: str, normal: list[str] | None
) -> None:
    data = medmnist(tmp_path, subset=subset)
    chosen = data.normal_classes()
    assert (chosen and [data.classes()[k] for k in chosen]) == normal


def test_several_labels_become_one_class(tmp_path: Path) -> None:
    write(tmp_path, "chestmnist", labels=14)
    chest = medmnist(tmp_path, subset="chestmnist")
    names = [chest.classes()[k] for k in chest.test_items().labels[:4]]
    assert names == ["no finding", "infiltration", "several findings", "no finding"]
    assert len(chest.classes()) == 16


def test_grades_are_classes(tmp_path: Path) -> None:
    write(tmp_path, "retinamnist", 3, classes=5)
    retina = medmnist(tmp_path, subset="retinamnist")
    assert retina.classes() == ("0", "1", "2", "3", "4")
    assert retina.test_items().labels[:6].tolist() == [0, 1, 2, 3, 4, 0]


# Error messages


@pytest.mark.parametrize(
    ("subset", "message", "hint"),
    [
        ("bloodmist", "no set 'bloodmist'", "did you mean 'bloodmnist'"),
        ("cats", "no set 'cats'", f"there are {SETS}"),
        ("organmnist3d", "three-dimensional", f"there are {SETS}"),
    ],
)
def test_an_unknown_set_is_refused(tmp_path: Path, subset: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        medmnist(tmp_path, subset=subset)
    assert hint in caught.value.hint


def test_a_missing_file_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pathmnist_64\.npz of MedMNIST is not in") as caught:
        medmnist(tmp_path, size=64).train_items()
    assert str(tmp_path / "medmnist") in caught.value.message
    assert "--data-root" in caught.value.hint


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.write_bytes(b"no archive"), "cannot read the train split"),
        (lambda file: file.write_bytes(file.read_bytes()[:900]), "cannot read the train split"),
        (lambda file: np.savez(file, train_images=np.zeros((2, 28, 28))), "train_labels"),
        (
            lambda file: write(file.parent, "breastmnist", train_labels=np.array([[{}]])),
            "cannot read the train split",  # it would have to be unpickled
        ),
        (lambda file: write(file.parent, "breastmnist", 3), "does not hold breastmnist"),
        (lambda file: write(file.parent, "breastmnist", labels=14), "does not hold breastmnist"),
        (
            lambda file: write(file.parent, "breastmnist", train_images=np.zeros((40, 28, 28))),
            r"train images are float64 \(40, 28, 28\)",
        ),
    ],
)
def test_a_file_that_is_damaged_or_another_is_told(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    file = write(tmp_path, "breastmnist")
    damage(file)
    with pytest.raises(DataError, match=message) as caught:
        medmnist(tmp_path, subset="breastmnist").train_items()
    assert str(file) in caught.value.message


# The package itself


def test_listing_reading_and_scoring_do_not_import_it(tmp_path: Path) -> None:
    write(tmp_path, "breastmnist")
    had = "medmnist" in sys.modules
    assert load_registry().datasets["medmnist"].cls is MedMnist
    medmnist(tmp_path, subset="breastmnist").train_items()
    assert ("medmnist" in sys.modules) == had


@pytest.fixture
def published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, dict[str, str]]]:
    """Serve a folder on this machine, and let the package fetch breastmnist from there.

    Yields the file that is served, and what the package knows of the set.
    """
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    # Neither a proxy of this machine, nor one that urllib found earlier in this process and kept.
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(urllib.request, "_opener", None)
    file = write(tmp_path / "served", "breastmnist")
    handler = partial(SimpleHTTPRequestHandler, directory=str(file.parent))
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        from medmnist.info import INFO

        entry = INFO["breastmnist"]
        url = f"http://127.0.0.1:{server.server_port}/{file.name}"
        monkeypatch.setitem(entry, "url", url)
        monkeypatch.setitem(entry, "MD5", hashlib.md5(file.read_bytes()).hexdigest())
        # Only what its own class reads: the counts of the small file are not the set's.
        yield file, entry
        server.shutdown()


def test_a_missing_file_is_fetched_by_the_package(
    tmp_path: Path, published: tuple[Path, dict[str, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    items = medmnist(root, download=True, subset="breastmnist").test_items()
    assert len(items) == SPLITS["test"]
    assert [path.name for path in (root / "medmnist").iterdir()] == ["breastmnist.npz"]
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("how", ["absent", "other content", "no connection"])
def test_a_failed_download_is_told_and_leaves_nothing(
    tmp_path: Path, published: tuple[Path, dict[str, str]], how: str
) -> None:
    file, entry = published
    if how == "absent":
        file.unlink()
    elif how == "other content":
        file.write_bytes(b"something else")
    else:
        entry["url"] = "http://127.0.0.1:9/breastmnist.npz"
    root = tmp_path / "data"
    with pytest.raises(DataError, match=r"cannot download breastmnist\.npz") as caught:
        medmnist(root, download=True, subset="breastmnist").train_items()
    assert str(root / "medmnist") in caught.value.hint
    assert len(caught.value.message.splitlines()) == 1
    assert not list((root / "medmnist").iterdir())


def test_the_command_line_says_so_in_two_lines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--dataset", "medmnist", "--data-root", str(tmp_path), "--no-download"]
    assert main(["train", *words, "--save-dir", str(tmp_path / "run")]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("error: pathmnist.npz of MedMNIST is not in")
    assert err.count("\n") == 2
    assert not (tmp_path / "run").exists()
