"""Ground-truth masks of anomalies, at the shape of the networks' images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bigan_cli.data.image_file import open_image
from bigan_cli.data.images import ImageSet
from bigan_cli.data.unreadable import UnreadableImage, why_unreadable

_ALPHA_MODES = frozenset({"LA", "RGBA"})


@dataclass(frozen=True, eq=False)
class Masks:
    """Where the anomalies of some images are.

    Attributes:
        index: int64 ``[M]``, the images whose every pixel is known, sorted: those with a mask,
            and the normal ones, which have no anomalous pixel.
        anomalous: bool ``[M, H, W]``.
    """

    index: NDArray[np.int64]
    anomalous: NDArray[np.bool_]


def load_masks(images: ImageSet, workers: int = 0) -> Masks | None:
    """Return the masks of *images*, at their height and width, or None where they have none.

    An anomalous image without a mask is left out: where it is anomalous is not known.

    Args:
        images: With the files of their masks.
        workers: Threads that decode; 0 for one a core, at most 8.

    Raises:
        UnreadableImage: A mask is missing or damaged.
    """
    files: Sequence[Path | None] = images.masks or ()
    if not any(files):
        return None
    index = np.flatnonzero([file is not None or not out for file, out in _pairs(images)])
    height, width = images.pixels.shape[2:]
    anomalous = np.zeros((len(index), height, width), np.bool_)

    def fill(row: int) -> None:
        file = files[int(index[row])]
        if file is not None:
            anomalous[row] = read_mask(file, height, width)

    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(fill, range(len(index))):
            pass
    return Masks(index, anomalous)


def _pairs(images: ImageSet) -> list[tuple[Path | None, bool]]:
    return list(zip(images.masks or (), images.outlier.tolist(), strict=True))


def read_mask(file: Path, height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask in *file* as bool ``[height, width]``: True where it is not zero.

    It is brought to size by the nearest neighbour. Of several channels any may mark a pixel;
    transparency says nothing, and a palette is read by its indices.

    Raises:
        UnreadableImage: The file is missing, damaged or no image.
    """
    try:
        with open_image(file) as image:
            image.load()
            values = np.asarray(image)
            if image.mode in _ALPHA_MODES:
                values = values[..., :-1]
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise UnreadableImage(why_unreadable(error), file) from error
    marked = values != 0 if values.ndim == 2 else (values != 0).any(axis=2)
    resized = Image.fromarray(marked.astype(np.uint8)).resize(
        (width, height), Image.Resampling.NEAREST
    )
    return np.asarray(resized).astype(np.bool_)
