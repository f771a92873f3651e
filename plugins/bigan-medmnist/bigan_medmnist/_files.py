"""The file of a set: found or fetched, and read."""

from __future__ import annotations

import sys
import tempfile
import zipfile
import zlib
from contextlib import redirect_stdout
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import DataLocation
from bigan_cli.errors import DataError
from bigan_medmnist._about import About

_SMALLEST = 28
_FOLDER = "medmnist"


def find(about: About, size: int, location: DataLocation) -> Path:
    """Return the file of the set at *size*, fetched where it is missing and may be.

    Raises:
        DataError: It is missing, and may not or cannot be fetched.
    """
    name = f"{about.subset}.npz" if size == _SMALLEST else f"{about.subset}_{size}.npz"
    folder = location.root / _FOLDER
    for file in (folder / name, location.root / name):
        if file.is_file():
            return file
    if not location.download:
        raise DataError(
            f"{name} of MedMNIST is not in {folder}",
            "put it there, pass --data-root with the folder that holds it, or allow the download",
        )
    _fetch(about, size, folder / name)
    return folder / name


def _fetch(about: About, size: int, file: Path) -> None:
    """Let the package fetch the file and check it, then move it into place."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=file.parent) as folder:
            with redirect_stdout(sys.stderr):  # nothing it prints is a result of ours
                import medmnist

                of_set = getattr(medmnist, about.python_class)
                of_set(split="val", root=folder, size=size, download=True)
            (Path(folder) / file.name).replace(file)
    except (OSError, RuntimeError) as error:
        # The package catches whatever ends a download, and tells at length what to do.
        cause = error.__context__ or error
        if isinstance(cause, KeyboardInterrupt):
            raise cause from None
        if isinstance(cause, HTTPError):
            cause.close()
        raise DataError(
            f"cannot download {file.name} of MedMNIST ({_in_words(cause)})",
            f"put the file in {file.parent}, or pass --data-root with the folder that holds it",
        ) from error


def _in_words(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error  # of an URLError
    text = " ".join(str(getattr(reason, "strerror", None) or reason).split())
    return text[:1].lower() + text[1:120]


def read(
    file: Path, split: str, about: About, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images of one split, uint8 ``[N, H, W]`` or ``[N, H, W, 3]``, and its labels.

    Args:
        file: An archive of arrays; nothing in it is unpickled.
        split: ``train``, ``val`` or ``test``.
        about: The set that it should hold.
        size: Side of its images.

    Returns:
        The images, and the labels int64 ``[N, L]``, L being 1 unless there are several an image.

    Raises:
        DataError: The file is damaged or does not hold this set.
    """
    try:
        # Opened here, since numpy leaves a damaged archive open.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            images: NDArray[np.uint8] = archive[f"{split}_images"]
            labels = archive[f"{split}_labels"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"cannot read the {split} split in {file}: {error}",
            "remove the file to have it fetched again",
        ) from error
    depth = () if about.channels == 1 else (about.channels,)
    each = len(about.labels) if about.multi_label else 1
    wanted = ((len(images), size, size, *depth), (len(images), each))
    if images.dtype != np.uint8 or (images.shape, labels.shape) != wanted:
        raise DataError(
            f"{file} does not hold {about.subset} at {size} pixels: its {split} images are "
            f"{images.dtype} {images.shape}, its labels {labels.shape}"
        )
    return images, labels
