"""Folders of images numbered by epoch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bigan_cli.errors import DataError
from bigan_cli.image_files import walk_images
from bigan_cli.missing_paths import require_folder

_AFTER_EPOCH = re.compile(r"epoch[-_ =.]*([0-9]+)", re.IGNORECASE)
_WHOLE_WORD = re.compile(r"(?<![0-9a-z])([0-9]+)(?![0-9a-z])", re.IGNORECASE)
_ANY = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class PictureFolder:
    """The images of one folder, at most one per epoch.

    Attributes:
        name: Its title.
        path: The folder.
        pictures: Epoch -> file, in the order of the epochs.
        unnumbered: Number of images without a number in their name.
        superseded: Number of images followed by another one of the same epoch.
    """

    name: str
    path: Path
    pictures: Mapping[int, Path]
    unnumbered: int
    superseded: int


def epoch_of(name: str) -> int | None:
    """Return the epoch in a file name, or None.

    It is the number that follows the word *epoch*, else the first number between separators,
    else the first number. So
    ``epoch-0010.png``, ``10.png``, ``fake_10_3.png`` (epoch 10, batch 3), ``mnist8x8_10.png``
    and ``img10.png`` are all epoch 10.
    """
    stem = Path(name).stem
    for pattern in (_AFTER_EPOCH, _WHOLE_WORD, _ANY):
        match = pattern.search(stem)
        if match:
            return int(match[1])
    return None


def find_pictures(
    folder: Path, name: str | None = None, leave_out: Path | None = None
) -> PictureFolder:
    """Find the epoch-numbered images directly in *folder*.

    Of several images of the same epoch (its batches), the last one in natural order is used.

    Args:
        folder: The folder; subfolders are not searched.
        name: Its title; by default the folder's name.
        leave_out: A file to ignore, such as an existing animation.

    Raises:
        UsageError: The folder does not exist.
        DataError: It has no numbered image.
    """
    require_folder(folder)
    passed_over = leave_out.absolute() if leave_out else None
    found = [path for path in walk_images(folder, False) if path.absolute() != passed_over]
    if not found:
        raise DataError(f"no images in {folder}", "they end in .png, .jpg, .webp or the like")
    numbered = [(epoch, path) for path in found if (epoch := epoch_of(path.name)) is not None]
    if not numbered:
        raise DataError(
            f"none of the {len(found)} images in {folder} has an epoch in its name",
            "names like epoch-0010.png, 10.png or fake_10_3.png do",
        )
    pictures = dict(numbered)
    return PictureFolder(
        name=name or folder.resolve().name,
        path=folder,
        pictures={epoch: pictures[epoch] for epoch in sorted(pictures)},
        unnumbered=len(found) - len(numbered),
        superseded=len(numbered) - len(pictures),
    )
