"""Matching of masks to images by their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bigan_cli.datasets._folder_names import image_key, is_mask_name, mask_keys, normalized
from bigan_cli.errors import DataError
from bigan_cli.image_files import PILLOW_FORMATS, walk_images
from bigan_cli.mask_pixels import anomalous_pixels

Masks = tuple[Path, ...]
Subfolder = tuple[str, ...]
"""Folder names below a folder of masks, normalized."""


@dataclass(frozen=True)
class MaskQuery:
    """An image and the possible folders of its mask.

    Attributes:
        image: The file.
        subfolders: Subfolders of a folder of masks, the most likely first.
        normal: Whether it is known to be normal, with an empty mask, if any.
    """

    image: Path
    subfolders: Sequence[Subfolder]
    normal: bool

    @classmethod
    def of(cls, image: Path, root: Path, *, normal: bool) -> MaskQuery:
        """Return the query for an image below *root*.

        The mask of ``test/cut/000.png`` may be in ``test/cut``, in ``cut``, or in the folder of
        masks itself.
        """
        parts = [normalized(part) for part in image.relative_to(root).parts[:-1]]
        subfolders = [tuple(parts[start:]) for start in range(len(parts) + 1)]
        return cls(image, subfolders, normal)


@dataclass(frozen=True)
class Matches:
    """The masks of images.

    Attributes:
        masks: The masks of each image that has any, of normal ones, too.
        unmatched: Masks without an image, or with several equally likely ones.
    """

    masks: Mapping[Path, Masks]
    unmatched: Sequence[Path]


class MaskFolder:
    """The masks in one folder, which belong to images in its parent folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = list(walk_images(folder))
        self._by_key: dict[tuple[Subfolder, str], list[Path]] = defaultdict(list)
        self._by_subfolder: dict[Subfolder, list[Path]] = defaultdict(list)
        for file in self.files:
            subfolder = tuple(normalized(part) for part in file.relative_to(folder).parts[:-1])
            self._by_subfolder[subfolder].append(file)
            for key in mask_keys(file):
                self._by_key[subfolder, key].append(file)

    def find(self, query: MaskQuery) -> Masks:
        """Return the masks of an image: one file, or those in a folder of its name."""
        key = image_key(query.image)
        for subfolder in query.subfolders:
            named = self._by_key.get((subfolder, key))
            if named:
                # 000.png takes precedence over 000_mask.png if both exist.
                return tuple([mask for mask in named if image_key(mask) == key] or named)
            inside = self._by_subfolder.get((*subfolder, key))
            if inside:
                return tuple(inside)
        return ()


def match(folders: Sequence[MaskFolder], images: Iterable[MaskQuery]) -> Matches:
    """Return the masks of *images*; a mask of two anomalous images is not used."""
    claims: dict[Path, list[MaskQuery]] = defaultdict(list)
    found: dict[Path, Masks] = {}
    for query in images:
        for folder in folders:
            if not query.image.is_relative_to(folder.folder.parent):
                continue
            masks = folder.find(query)
            if masks:
                found[query.image] = masks
                for mask in masks:
                    claims[mask].append(query)
                break
    disputed = {
        mask
        for mask, claimants in claims.items()
        if len({each.image for each in claimants if not each.normal}) > 1
    }
    kept = {image: masks for image, masks in found.items() if not disputed.intersection(masks)}
    files = [file for folder in folders for file in folder.files]
    return Matches(kept, [file for file in files if file not in claims or file in disputed])


def split_off_masks(files: Sequence[Path]) -> tuple[list[Path], dict[Path, Masks]]:
    """Return the images among *files*, and the masks next to them.

    ``000_GT.png`` is a mask if there is an image ``000`` in the same folder.
    """
    named = [file for file in files if is_mask_name(file)]
    if not named:
        return list(files), {}
    images = {(file.parent, image_key(file)): file for file in files}
    masks: dict[Path, Masks] = {}
    for mask in named:
        for key in mask_keys(mask)[1:]:
            image = images.get((mask.parent, key))
            if image is not None:
                masks[image] = (*masks.get(image, ()), mask)
                break
    taken = {mask for each in masks.values() for mask in each}
    return [file for file in files if file not in taken], masks


def marks_anything(masks: Masks) -> bool:
    """Return whether any pixel of any of *masks* is anomalous.

    Raises:
        DataError: One of them cannot be read.
    """
    return any(_marks_anything(mask) for mask in masks)


def _marks_anything(mask: Path) -> bool:
    from PIL import Image

    if mask.exists() and not mask.is_file():  # opening a named pipe would block
        raise DataError(f"cannot read the mask {mask}: not a regular file")
    try:
        with Image.open(mask, formats=PILLOW_FORMATS) as image:
            return bool(anomalous_pixels(image).any())
    except Exception as error:  # Pillow raises various exceptions for damaged files
        raise DataError(f"cannot read the mask {mask}: {error}") from error
