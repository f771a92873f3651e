"""The folders that the code blocks of a page run in, and what they find there."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tests.docs.blocks import ROOT
from tests.docs.services import Services


@pytest.fixture
def page_folder(tmp_path, photographs, monkeypatch):
    """Return the working folder of a page: with good images, today's, and parts with defects.

    It also has what pages name of the repository, for commands that write there.
    """
    folder = tmp_path / "here"
    for part in ("benchmarks", "docs", "examples"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", folder)
    shutil.copytree(photographs / "train" / "good", folder / "good")
    shutil.copytree(photographs / "test" / "good", folder / "today")
    shutil.copy(photographs / "test" / "spot" / "00.png", folder / "today" / "odd.png")
    for part in ("train", "test"):
        shutil.copytree(photographs / part, folder / "parts" / part)
    mask = Image.new("L", (96, 72))
    mask.paste(255, (8, 8, 88, 64))
    mask.save(folder / "mask.png")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def deployment_folder(tmp_path, own_images, write_digits, onnxruntime_release, monkeypatch):
    """Return the working folder of the guide to deployment: with a trained run, and new images."""
    folder = tmp_path / "line"
    shutil.copytree(own_images, folder)
    new = write_digits(tmp_path / "new", 1200, 1797, only=3)
    odd = write_digits(tmp_path / "odd", 1200, 1230)
    for name in ("good-camera-2", "good-now", "camera", "today", "photos"):
        (folder / name).mkdir()
        # More than these of one camera would be noticed as a drift: other people wrote them.
        for image in new[:20] if name == "camera" else new:
            shutil.copy(image, folder / name)
    for name, image in zip(("part.png", "part-1.png", "part-2.png"), odd, strict=False):
        shutil.copy(image, folder / name)
        shutil.copy(image, folder / "today")
    for name, image in zip(("a.pgm", "b.pgm"), new, strict=False):
        Image.open(image).save(folder / name)
    if onnxruntime_release:
        (folder / "ORT").symlink_to(onnxruntime_release)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def mvtec(page_folder, photographs):
    """Return the folder of the page, with a category laid out as MVTec AD is."""
    bottle = page_folder / "data" / "mvtec_anomaly_detection" / "bottle"
    for part in ("train", "test"):
        shutil.copytree(photographs / part, bottle / part)
    return page_folder


@pytest.fixture
def medmnist(page_folder, monkeypatch):
    """Return the folder of the page, with a download of OCTMNIST: images of noise."""
    random = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 400), ("val", 40), ("test", 40)):
        arrays[f"{split}_images"] = random.integers(0, 256, (count, 28, 28), np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count)[:, None] % 4).astype(np.uint8)
    np.savez(page_folder / "octmnist.npz", **arrays)
    monkeypatch.setenv("BIGAN_DATA_DIR", str(page_folder))
    return page_folder


@pytest.fixture
def hugging_face(page_folder, write_digits, monkeypatch):
    """Return the folder of the page, with digits as Parquet files and as a dataset of a user."""
    datasets = pytest.importorskip("datasets", reason="no datasets: pip install ./plugins/bigan-hf")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(page_folder / "cache"))
    for split, (start, stop) in {"train": (0, 1200), "test": (1200, 1300)}.items():
        images = write_digits(page_folder / "digits", start, stop)
        rows = {
            "image": [str(image) for image in images],
            "label": [int(not image.stem.endswith("_3")) for image in images],
        }
        classes = datasets.ClassLabel(names=["good", "bad"])
        features = datasets.Features({"image": datasets.Image(), "label": classes})
        table = datasets.Dataset.from_dict(rows, features=features)
        for folder in (page_folder / "my-parquet-files", page_folder / "user" / "name"):
            folder.mkdir(parents=True, exist_ok=True)
            table.to_parquet(folder / f"{split}.parquet")
    monkeypatch.setenv("BIGAN_DATA_DIR", str(page_folder))
    return page_folder


@pytest.fixture
def cifar10(page_folder):
    """Return the folder of the page, with images in the class folders of CIFAR-10: noise."""
    random = np.random.default_rng(0)
    for split, count in (("train", 200), ("test", 20)):
        for name in ("cat", "ship"):
            folder = page_folder / "cifar10-jpeg" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(0, 256, (32, 32, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{i:03d}.jpg")
    return page_folder


@pytest.fixture
def shared_folders(page_folder, trained, write_digits):
    """Return the working folder of pages on clusters, with what their machines share below it.

    ``bucket`` has what the object store has.
    """
    import pyarrow as pa
    from pyarrow import parquet

    shutil.copytree(trained, page_folder / "shared" / "run")
    for link in ("run", "models/run"):
        (page_folder / link).parent.mkdir(exist_ok=True)
        (page_folder / link).symlink_to(page_folder / "shared" / "run")
    shutil.rmtree(page_folder / "today")
    sharded = write_digits(page_folder / "sharded", 1200, 1260)
    for folder in (
        page_folder,
        page_folder / "bucket",
        page_folder / "data",
        page_folder / "shared",
    ):
        images = write_digits(folder / "today", 1200, 1230)
        names = [f"today/{image.name}" for image in images]
        parquet.write_table(pa.table({"path": names}), folder / "list.parquet")
        (folder / "shards").mkdir()
        for i in range(2):
            with tarfile.open(folder / "shards" / f"{i}.tar", "w") as archive:
                for image in sharded[i::2]:
                    archive.add(image, image.name)
    return page_folder


@pytest.fixture
def bucket(s3_server, shared_folders):
    """Run an object store with the bucket of that folder."""
    import s3fs

    store = s3fs.S3FileSystem()
    store.put(f"{shared_folders}/bucket/", "bucket", recursive=True)
    yield
    store.rm("bucket", recursive=True)


@pytest.fixture
def site_packages(tmp_path, monkeypatch):
    """Return a folder that packages are installed into, for this process and those it starts."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")
    yield folder
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def services() -> Iterator[Services]:
    """Return what runs services; they are stopped at the end, as their users would."""
    made = Services()
    try:
        yield made
    finally:
        made.stop()
