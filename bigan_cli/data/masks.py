"""Ground-truth masks of anomalies, at the shape of the networks' images."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bigan_cli.data.image_file import open_image
from bigan_cli.data.images import ImageSet
from bigan_cli.data.unreadable import UnreadableImage, why_unreadable
from bigan_cli.mask_pixels import anomalous_pixels

if TYPE_CHECKING:
    from bigan_cli.contracts import Mask


@dataclass(frozen=True, eq=False)
class Masks:
    """Where the anomalies of some images are.

    Attributes:
        index: int64 ``[M]``, the images whose every pixel is known, sorted: those with a mask,
            and the normal ones, which have no anomalous pixel.
        anomalous: bool ``[M, H, W]``.
        without: How many anomalous images have no mask.
        blank: Names of the anomalous images whose masks mark nothing.
    """

    index: NDArray[np.int64]
    anomalous: NDArray[np.bool_]
    without: int
    blank: tuple[str, ...]

    def warnings(self) -> tuple[str, ...]:
        """Return, one sentence each, what pixel figures leave out or cannot be right about."""
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
        return tuple(found)


def load_masks(images: ImageSet, workers: int = 0) -> Masks | None:
    """Return the masks of *images*, at their height and width, or None where they have none.

    An anomalous image without a mask is left out: where it is anomalous is not known.

    Args:
        images: With their masks.
        workers: Threads that decode; 0 for one a core, at most 8.

    Raises:
        UnreadableImage: A mask is missing or damaged.
    """
    masks = images.masks
    if masks is None:
        return None
    height, width = images.pixels.shape[2:]

    def read(i: int) -> NDArray[np.bool_] | None:
        mask = masks[i]
        return None if mask is None else read_mask(mask, height, width)

    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        found = list(pool.map(read, range(len(images))))
    if all(mask is None for mask in found):
        return None
    outlier = images.outlier.tolist()
    index = np.flatnonzero(
        [mask is not None or not out for mask, out in zip(found, outlier, strict=True)]
    )
    anomalous = np.zeros((len(index), height, width), np.bool_)
    for row, i in enumerate(index):
        mask = found[i]
        if mask is not None:
            anomalous[row] = mask
    blank = [images.names[i] for i in index.tolist() if outlier[i] and not _marks(found[i])]
    return Masks(index, anomalous, len(images) - len(index), tuple(blank))


def _marks(mask: NDArray[np.bool_] | None) -> bool:
    return mask is not None and bool(mask.any())


def read_mask(mask: Mask | tuple[Mask, ...], height: int, width: int) -> NDArray[np.bool_]:
    """Return *mask* as bool ``[height, width]``: True where a pixel is anomalous.

    What counts as anomalous is told by :func:`bigan_cli.mask_pixels.anomalous_pixels`. It is
    brought to size by the nearest neighbour; of several masks each marks a part.

    Raises:
        UnreadableImage: The file is missing, damaged or no image.
    """
    if isinstance(mask, tuple):
        parts = [read_mask(each, height, width) for each in mask]
        return np.any(parts, axis=0) if parts else np.zeros((height, width), np.bool_)
    resized = Image.fromarray(_anomalous(mask).astype(np.uint8)).resize(
        (width, height), Image.Resampling.NEAREST
    )
    return np.asarray(resized).astype(np.bool_)


def _anomalous(mask: Mask) -> NDArray[np.bool_]:
    path = mask if isinstance(mask, Path) else None
    try:
        if not isinstance(mask, Path):
            return anomalous_pixels(mask)
        with open_image(mask) as image:
            return anomalous_pixels(image)
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise UnreadableImage(why_unreadable(error), path) from error
