"""The region of interest in a model file: a mask of one bit per pixel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bigan_cli.contracts import ImageShape
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.storage.model_header import damaged

_BITS, _SIZE = "roi.bits", "roi.size"


def roi_tensors(roi: RegionOfInterest) -> dict[str, Tensor]:
    """Return the tensors of a region: its bits, row by row, and its height and width."""
    return {
        _BITS: torch.from_numpy(np.packbits(roi.mask)),
        _SIZE: torch.tensor(roi.mask.shape, dtype=torch.int64),
    }


def load_roi(
    path: Path, tensors: Mapping[str, Tensor], shape: ImageShape
) -> RegionOfInterest | None:
    """Return the region in the tensors of a model file, or None if there is none.

    Args:
        path: The model file, for messages.
        tensors: All tensors of the file.
        shape: The shape that the model resizes images to.

    Raises:
        DataError: The tensors do not fit together.
    """
    if _BITS not in tensors:
        return None
    bits, size = tensors[_BITS], tensors.get(_SIZE)
    if size is None or size.shape != (2,) or bits.dtype != torch.uint8 or bits.dim() != 1:
        raise damaged(path, "its region of interest cannot be read")
    height, width = size.tolist()
    if min(height, width) < 1 or len(bits) != -(-height * width // 8):
        raise damaged(path, "its region of interest has another size than it says")
    mask = np.unpackbits(bits.numpy(), count=height * width).reshape(height, width)
    roi = RegionOfInterest(mask.astype(np.bool_), shape)
    if not roi.inside.any():
        raise damaged(path, "its region of interest is empty")
    return roi
