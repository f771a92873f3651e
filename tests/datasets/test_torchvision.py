from __future__ import annotations

import gzip
import hashlib
import pickle
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigan_cli.contracts import DataLocation, Dataset, Options
from bigan_cli.datasets.cifar10 import Cifar10
from bigan_cli.datasets.fashion_mnist import FashionMnist
from bigan_cli.datasets.mnist import Mnist
from bigan_cli.errors import DataError

IDX = (Mnist, FashionMnist)


def idx(array: np.ndarray) -> bytes:
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def write_idx(folder: Path, zipped: bool = False) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {}
    folder.mkdir(parents=True)
    for prefix, count in (("train", 5), ("t10k", 3)):
        arrays[f"{prefix}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28))
        arrays[f"{prefix}-labels-idx1-ubyte"] = rng.integers(0, 10, count)
    for name, array in arrays.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))
    return arrays


def at(cls: type[Dataset], root: Path, download: bool = False) -> Dataset:
    return cls(Options(), DataLocation(root, download))


@pytest.mark.parametrize("cls", IDX)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("nested", [False, True], ids=["in the root", "as torchvision has it"])
def test_files_at_hand_are_read(
    tmp_path: Path, cls: type[Dataset], zipped: bool, nested: bool
) -> None:
    name = "MNIST" if cls is Mnist else "FashionMNIST"
    arrays = write_idx(tmp_path / name / "raw" if nested else tmp_path / "x", zipped)
    data = at(cls, tmp_path if nested else tmp_path / "x")
    for prefix, items in (("train", data.train_items()), ("t10k", data.test_items())):
        assert np.array_equal(items.images, arrays[f"{prefix}-images-idx3-ubyte"])
        assert np.array_equal(items.labels, arrays[f"{prefix}-labels-idx1-ubyte"])
        assert items.labels.dtype == np.int64


def test_files_at_hand_are_read_without_torch(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw")
    code = (
        "import sys; from pathlib import Path; from bigan_cli.contracts import *;"
        "from bigan_cli.datasets.mnist import Mnist;"
        "Mnist(Options(), DataLocation(Path(sys.argv[1]), True)).train_items();"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not an IDX file"),
        (b"\0\0\x08", "is not an IDX file"),
        (b"<html>not found</html>", "is not an IDX file"),
        (idx(np.zeros((5, 28, 28)))[:-1], "is damaged: 3935 bytes, 3936 expected"),
        (idx(np.zeros((4, 28, 28))), "do not belong together"),
    ],
)
def test_damaged_file_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_idx(raw)
    (raw / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        at(Mnist, tmp_path, download=True).train_items()
    assert str(raw / "train-images-idx3-ubyte") in caught.value.message


def test_cut_off_gzip_is_told(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_idx(raw, zipped=True)
    path = raw / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"cannot read .*t10k-labels"):
        at(Mnist, tmp_path).test_items()


@pytest.mark.parametrize(
    ("cls", "folder", "expected"),
    [
        (Mnist, "MNIST/raw", "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images"),
        (FashionMnist, "FashionMNIST/raw", "train-images-idx3-ubyte, train-labels-idx1-ubyte"),
        (Cifar10, "cifar-10-batches-py", "data_batch_1, data_batch_2"),
    ],
)
def test_missing_files_and_folder_are_named_when_downloads_are_not_allowed(
    tmp_path: Path, cls: type[Dataset], folder: str, expected: str
) -> None:
    with pytest.raises(DataError) as caught:
        at(cls, tmp_path).train_items()
    assert caught.value.message.startswith(f"{cls.name} is not in {tmp_path / folder} (expected: ")
    assert expected in caught.value.message
    assert "--data-root" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cls", [Mnist, FashionMnist, Cifar10])
def test_failed_download_says_why_and_where_to_put_the_files(
    tmp_path: Path, cls: type[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens on this port, so the connection is refused at once, network or not.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # urllib keeps the proxies it found
    with pytest.raises(DataError) as caught:
        at(cls, tmp_path / "new", download=True).train_items()
    assert list(tmp_path.iterdir()) == []
    assert caught.value.message == f"cannot download {cls.name} (connection refused)"
    assert f"put the files in {tmp_path}" in caught.value.hint
    assert "--data-root" in caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint


def test_a_download_with_a_wrong_checksum_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets.mnist

    def download(_url: str, download_root: str, filename: str, md5: str) -> None:
        Path(download_root, filename).write_bytes(gzip.compress(b"altered"))
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(torchvision.datasets.mnist, "download_and_extract_archive", download)
    for _ in range(2):
        with pytest.raises(DataError, match="cannot download mnist"):
            at(Mnist, tmp_path, download=True).train_items()
        assert list(tmp_path.iterdir()) == []


def test_a_download_is_put_into_the_data_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(root: str, download: bool) -> None:
        assert download
        folder = Path(root, "MNIST/raw")
        folder.mkdir(parents=True)
        for name in ("train", "t10k"):
            (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(np.zeros((2, 28, 28))))
            (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.zeros(2)))

    monkeypatch.setattr("torchvision.datasets.MNIST", fetch)
    assert len(at(Mnist, tmp_path, download=True).train_items().labels) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]


def test_altered_cifar_files_are_refused_before_they_are_opened(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"):
        (folder / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match="are damaged"):
        at(Cifar10, tmp_path).train_items()
    assert not (tmp_path / "sprung").exists()


def test_cifar_batches_become_colour_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    # Files of the published format, small; torchvision is given their checksums.
    rows = np.arange(2 * 3072, dtype=np.int64).astype(np.uint8).reshape(2, 3072)
    batch = pickle.dumps({"data": rows, "labels": [3, 9]})
    meta = pickle.dumps({"label_names": list(Cifar10.class_names)})
    sums = {content: hashlib.md5(content).hexdigest() for content in (batch, meta)}
    train = [[f"data_batch_{i}", sums[batch]] for i in range(1, 6)]
    for name, _ in (*train, ("test_batch", "")):
        (folder / name).write_bytes(batch)
    (folder / "batches.meta").write_bytes(meta)
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums[batch]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums[meta]})
    data = at(Cifar10, tmp_path)
    assert data.train_items().images.shape == (10, 32, 32, 3)
    assert data.train_items().labels.tolist() == [3, 9] * 5
    test = data.test_items()
    assert test.labels.dtype == np.int64
    # Stored plane by plane: red, green, blue.
    assert np.array_equal(test.images[1].transpose(2, 0, 1).ravel(), rows[1])


@pytest.mark.parametrize("cls", IDX)
def test_real_files_are_read_as_torchvision_reads_them(real_data: Path, cls: type[Dataset]) -> None:
    from torchvision import datasets

    theirs = datasets.MNIST if cls is Mnist else datasets.FashionMNIST
    data = at(cls, real_data)
    for train, items in ((True, data.train_items()), (False, data.test_items())):
        reference = theirs(real_data, train=train)
        assert np.array_equal(items.images, reference.data.numpy())
        assert np.array_equal(items.labels, reference.targets.numpy())
    assert [len(data.train_items()), len(data.test_items())] == [60_000, 10_000]
    assert data.classes() == (
        tuple(reference.classes) if cls is FashionMnist else tuple("0123456789")
    )


def test_real_mnist_counts(real_data: Path) -> None:
    counts = np.bincount(at(Mnist, real_data).train_items().labels)
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
