"""Folders of normal images that a trained model is adapted to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape, Items
from bigan_cli.data.decode import PREPROCESSING
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.image_pool import ImagePool, Progress
from bigan_cli.data.leakage import content_digests
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.data.splits import Labels
from bigan_cli.datasets.folder import refuse_anomalies
from bigan_cli.errors import DataError
from bigan_cli.image_files import IMAGE_SUFFIXES, UnlistableFolder, find_images, is_folder
from bigan_cli.missing_paths import missing_path


@dataclass(frozen=True, eq=False)
class NormalFolder:
    """The different images of some folders, all of them normal.

    Attributes:
        pixels: uint8 ``[N, C, H, W]``, in memory or memory-mapped.
        copies: How many more images have the same pixels as one of these; they are left out.
        fingerprint: SHA-256, in hex, of the pixels and the preprocessing; names, folders and the
            order of the files do not count.
        digests: Of the images, see :func:`~bigan_cli.data.leakage.content_digests`.
    """

    pixels: NDArray[np.uint8]
    copies: int
    fingerprint: str
    digests: frozenset[bytes]

    def __len__(self) -> int:
        return len(self.pixels)


def read_normal_folder(
    folders: Sequence[Path],
    shape: ImageShape,
    options: DecodeOptions,
    roi: RegionOfInterest | None = None,
    progress: Progress | None = None,
) -> NormalFolder:
    """Read all images in *folders* and below, brought to *shape*.

    Args:
        folders: Folders, or single files.
        shape: Shape of the images.
        options: How files are read.
        roi: The pixels outside of this region get one value.
        progress: Called with (images done, total).

    Raises:
        UsageError: A folder does not exist.
        DataError: There are no images, or one cannot be read; or the name of a subfolder
            mentions defects or masks. The message names it.
    """
    files: list[Path] = []
    for folder in folders:
        if not folder.exists():
            raise missing_path(folder)
        below = []
        for found in find_images([folder]):
            if isinstance(found, UnlistableFolder):
                raise found
            below.append(found)
        if is_folder(folder):
            refuse_anomalies(folder, below)
        files += below
    if not files:
        where = ", ".join(map(str, folders))
        raise DataError(f"no images under {where} (looked for {' '.join(IMAGE_SUFFIXES)})")
    no_items = Items([], labels=np.empty(0, np.int64))
    items = Items(files, labels=np.zeros(len(files), np.int64))
    labels = Labels(items.labels, no_items.labels, ("normal",), (0,), "folder")
    pool = ImagePool(items, no_items, labels, options)
    (images,) = pool.image_sets([np.arange(len(files))], (0,), shape, progress=progress, roi=roi)
    digests = content_digests(images.pixels)
    first = {digest: index for index, digest in reversed(list(enumerate(digests)))}
    described = hashlib.sha256(json.dumps([PREPROCESSING, str(shape)]).encode())
    for digest in sorted(first):
        described.update(digest)
    pixels = images.pixels
    if len(first) < len(digests):
        pixels = pixels[np.sort(np.fromiter(first.values(), np.int64))]
    return NormalFolder(pixels, len(digests) - len(first), described.hexdigest(), frozenset(first))
