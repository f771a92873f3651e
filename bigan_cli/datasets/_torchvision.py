"""Common parts of the datasets that torchvision downloads.

Importing torchvision takes seconds, so existing files in the IDX format are read without it.
"""

from __future__ import annotations

import gzip
import re
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bigan_cli.contracts import DataLocation, Dataset, ImageShape, Items
from bigan_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class IdxDataset(Dataset):
    """MNIST or one of its drop-in replacements: four IDX files of 28x28 grey images.

    They are read, plain or gzipped, from ``ROOT/<torchvision_name>/raw``, as stored by torchvision,
    or from ROOT itself.

    Class attributes:
        torchvision_name: The class of ``torchvision.datasets``, which also names the folder.
    """

    torchvision_name: ClassVar[str]
    image_shape = ImageShape(1, 28, 28)

    def train_items(self) -> Items:
        """Return the training split, 60,000 images.

        Raises:
            DataError: The files are not there and cannot be fetched, or are damaged.
        """
        return self._items("train")

    def test_items(self) -> Items:
        """Return the test split, 10,000 images.

        Raises:
            DataError: The files are not there and cannot be fetched, or are damaged.
        """
        return self._items("t10k")

    def _items(self, prefix: str) -> Items:
        names = _names(prefix)
        folder = self.location.root / self.torchvision_name / "raw"
        found = _find(names, folder, self.location.root)
        if found is None:
            expected = _names("train") + _names("t10k")
            download(self, self.torchvision_name, folder, expected)
            found = _find(names, folder)
        if found is None:
            raise missing(self, folder, expected)
        images, labels = (_read_idx(path) for path in found)
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise DataError(f"{found[0]} and {found[1]} do not belong together")
        return Items(images, labels.astype("int64"))


def _names(prefix: str) -> tuple[str, str]:
    return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"


def download(
    dataset: Dataset, torchvision_name: str, folder: Path, expected: tuple[str, ...]
) -> None:
    """Download the dataset *torchvision_name* with torchvision into the data root.

    Args:
        dataset: Its location is the target folder and whether downloading is allowed.
        torchvision_name: The class of ``torchvision.datasets``.
        folder: Folder of the files, for the message.
        expected: Names of the files, for the message.

    Raises:
        DataError: Downloading is not allowed, or fails.
    """
    location: DataLocation = dataset.location
    if not location.download:
        raise missing(dataset, folder, expected)
    import torchvision

    fetch: Callable[..., object] = getattr(torchvision.datasets, torchvision_name)
    root = location.root
    made = [path for path in (root, *root.parents) if not path.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        # torchvision does not remove a file with a wrong checksum.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as temporary:
            fetch(root=temporary, download=True)
            _move_files(Path(temporary), root)
    except (OSError, RuntimeError) as error:  # URLError is an OSError
        for path in made:
            with suppress(OSError):  # not empty, or not created
                path.rmdir()
        raise missing(dataset, folder, expected, _why(error)) from error


def _move_files(source: Path, target: Path) -> None:
    """Move all files within *source* into the same folders of *target*."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)


def missing(dataset: Dataset, folder: Path, expected: tuple[str, ...], why: str = "") -> DataError:
    """Return the error for missing files; *why* they could not be downloaded."""
    files = ", ".join(expected)
    if why:
        message = f"cannot download {dataset.name} ({why})"
        hint = f"put the files in {folder} or pass --data-root; expected: {files}"
    else:
        message = f"{dataset.name} is not in {folder} (expected: {files})"
        hint = "pass --data-root with the folder that holds it"
        if not dataset.location.download:
            hint += ", or allow the download"
    return DataError(message, hint)


def _why(error: BaseException) -> str:
    """Return the reason of a failed download in a few words."""
    text = str(error)
    # torchvision joins the errors of all its mirrors.
    found = re.search(r"<urlopen error (?:\[Errno -?\d+\] )?(.+?)>", text)
    if found:
        text = found[1]
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    text = " ".join(text.split())
    return text[:1].lower() + text[1:120]


def _find(names: tuple[str, ...], *folders: Path) -> list[Path] | None:
    """Return the files *names*, plain or gzipped, from the first folder that has them all."""
    for folder in folders:
        found = [
            path
            for name in names
            for path in (folder / name, folder / f"{name}.gz")
            if path.is_file()
        ]
        plain = {path.name.removesuffix(".gz"): path for path in reversed(found)}
        if len(plain) == len(names):
            return [plain[name] for name in names]
    return None


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array in an IDX file of bytes: 0, 0, 8, ndim, big-endian sizes, values."""
    import numpy as np

    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        raise DataError(f"{path} is not an IDX file of bytes", "remove it to have it fetched again")
    start = 4 + 4 * raw[3]
    shape = tuple(int(side) for side in np.frombuffer(raw, ">u4", raw[3], 4))
    expected = start + int(np.prod(shape))
    if len(raw) != expected:
        raise DataError(
            f"{path} is damaged: {len(raw)} bytes, {expected} expected",
            "remove it to have it fetched again",
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)
