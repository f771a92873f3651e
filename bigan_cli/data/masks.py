"""Ground-truth masks of anomalies, at the size of the images in their dataset."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bigan_cli.data.image_set import ImageSet
from bigan_cli.data.mask_file import read_marked
from bigan_cli.data.source_size import same_aspect_ratio, source_size
from bigan_cli.data.unreadable import UnreadableImage, why_unreadable
from bigan_cli.mask_pixels import anomalous_pixels

if TYPE_CHECKING:
    from bigan_cli.contracts import Mask


@dataclass(frozen=True, eq=False)
class Masks:
    """The ground-truth masks of some images; they are read on access.

    Attributes:
        images: All images.
        index: int64 ``[M]``, images with known pixels, sorted: those with a mask, and normal
            ones, which have no anomalous pixel.
        without: Number of anomalous images without a mask.
        blank: Names of the anomalous images whose masks mark no pixel.
        stretched: Names of the images whose masks have another aspect ratio.
    """

    images: ImageSet
    index: NDArray[np.int64]
    without: int
    blank: tuple[str, ...]
    stretched: tuple[str, ...] = ()

    def anomalous(self, image: int) -> NDArray[np.bool_]:
        """Return which pixels of an image are anomalous, bool ``[H, W]`` at its own size.

        Args:
            image: One of :attr:`index`.

        Raises:
            UnreadableImage: The mask or the image is missing or damaged.
        """
        height, width = self.images.pixels.shape[2:]
        if self.images.sources is not None:
            height, width = source_size(self.images.sources[image])
        mask = None if self.images.masks is None else self.images.masks[image]
        if mask is None:
            return np.zeros((height, width), np.bool_)
        return read_mask(mask, height, width)

    def warnings(self) -> tuple[str, ...]:
        """Return warnings about images that pixel metrics leave out or whose masks are empty."""
        found = []
        if self.without:
            one = self.without == 1
            found.append(
                f"{self.without} anomalous image{' has' if one else 's have'} no mask: figures "
                f"of pixels leave {'it' if one else 'them'} out"
            )
        if self.blank:
            found.append(
                f"the masks of {len(self.blank)} anomalous images mark nothing, for instance "
                f"that of {self.blank[0]}"
            )
        if self.stretched:
            found.append(
                f"the masks of {len(self.stretched)} images have another aspect ratio than their "
                f"image and are stretched to it, for instance that of {self.stretched[0]}"
            )
        return tuple(found)


def find_masks(images: ImageSet, workers: int = 0) -> Masks | None:
    """Return the masks of *images*, or None if they have none; every mask is read once.

    An anomalous image without a mask is left out: where it is anomalous is not known.

    Args:
        images: With their masks.
        workers: Number of threads; 0 for one per core, at most 8.

    Raises:
        UnreadableImage: A mask is missing or damaged.
    """
    masks = images.masks
    if masks is None:
        return None

    def look(i: int) -> tuple[bool, bool] | None:
        mask = masks[i]
        if mask is None:
            return None
        marked = [_anomalous(each) for each in (mask if isinstance(mask, tuple) else (mask,))]
        size = None if images.sources is None else source_size(images.sources[i])
        fits = all(size is None or same_aspect_ratio(each.shape, size) for each in marked)
        return any(bool(each.any()) for each in marked), fits

    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        looked = list(pool.map(look, range(len(images))))
    if all(one is None for one in looked):
        return None
    found = [None if one is None else one[0] for one in looked]
    outlier = images.outlier.tolist()
    index = np.flatnonzero(
        [marked is not None or not out for marked, out in zip(found, outlier, strict=True)]
    )
    blank = tuple(images.names[i] for i in index.tolist() if outlier[i] and not found[i])
    stretched = tuple(
        images.names[i] for i, one in enumerate(looked) if one is not None and not one[1]
    )
    return Masks(images, index, len(images) - len(index), blank, stretched)


def read_mask(mask: Mask | tuple[Mask, ...], height: int, width: int) -> NDArray[np.bool_]:
    """Return *mask* as bool ``[height, width]``: True where a pixel is anomalous.

    See :func:`bigan_cli.mask_pixels.anomalous_pixels` for the rule. In a reduced mask a pixel is
    anomalous if any is in its area, so that thin defects stay. Several masks of an image are
    combined.

    Raises:
        UnreadableImage: The file is missing, damaged or no image.
    """
    if isinstance(mask, tuple):
        parts = [read_mask(each, height, width) for each in mask]
        return np.any(parts, axis=0) if parts else np.zeros((height, width), np.bool_)
    marked = _anomalous(mask)
    return _resized(_resized(marked, height).T, width).T


def _resized(marked: NDArray[np.bool_], rows: int) -> NDArray[np.bool_]:
    """Return *marked* ``[H, W]`` with *rows* rows: reduced by "any", enlarged by repetition."""
    present = len(marked)
    if rows == present or not present:
        return marked
    start = np.arange(rows) * present // rows
    if rows > present:
        return marked[start]
    # The last row that overlaps, since a row may be in two areas.
    end = -(-(np.arange(rows) + 1) * present // rows)
    counted = np.concatenate(
        [np.zeros((1, marked.shape[1]), np.int64), np.cumsum(marked, axis=0, dtype=np.int64)]
    )
    found: NDArray[np.bool_] = counted[end] > counted[start]
    return found


def _anomalous(mask: Mask) -> NDArray[np.bool_]:
    path = mask if isinstance(mask, Path) else None
    try:
        if not isinstance(mask, Path):
            return anomalous_pixels(mask)
        return read_marked(mask)
    except Exception as error:  # Pillow raises various exceptions for damaged files
        raise UnreadableImage(why_unreadable(error), path) from error
