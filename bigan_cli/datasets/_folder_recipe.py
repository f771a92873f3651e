"""Which recipe suits the images of a folder: small pictures, or photographs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from bigan_cli.image_files import walk_all

# Headers that are read, at most; they take a fraction of a second.
_SAMPLE = 64
# Files that are looked at to spread the sample, at most.
_FILES = 4096
# Pictures up to this side are trained on as they are.
_SMALL_SIDE = 64
# What the short side of a photograph is resized to, and what the sides are multiples of.
_PHOTOGRAPH_SIDE = 256
_MULTIPLE = 16
_LARGEST_SIDE = 1024

# A hundred small pictures are one step or two, and many more passes overfit: docs/results.md.
_PICTURES: Mapping[str, Mapping[str, Any]] = {"train": {"min_epoch_steps": 4}}


def recipe_for(root: Path, architecture: str | None) -> tuple[Mapping[str, Mapping[str, Any]], str]:
    """Return config tables that suit the images under *root*, and the reason in one line.

    Images whose short side is more than 64 pixels, by the median of a sample, are photographs:
    they get the architecture ``features`` and keep their aspect ratio.

    Args:
        root: The folder; one that cannot be read is left to whoever reads it next.
        architecture: The architecture that was asked for, or None.
    """
    if architecture not in (None, "features"):
        return _PICTURES, ""
    sizes = _sample_sizes(root)
    if not sizes:
        return _PICTURES, ""
    short = statistics.median(min(size) for size in sizes)
    if short <= _SMALL_SIDE and architecture is None:
        return _PICTURES, ""
    aspect = statistics.median(width / height for width, height in sizes)
    height, width = _resized(aspect)
    tables: Mapping[str, Mapping[str, Any]] = {
        "model": {"architecture": "features"},
        "data": {"image_size": [height, width]},
    }
    found = statistics.median(width for width, _ in sizes)
    reason = (
        f"photographs (about {found:.0f} pixels wide): features of a pretrained network at "
        f"{width}x{height} pixels; 'model.architecture' and 'data.image_size' choose otherwise"
    )
    return tables, "" if architecture else reason


def _resized(aspect: float) -> tuple[int, int]:
    """Return (height, width) with a short side of 256 pixels for width / height = *aspect*."""
    long = max(aspect, 1 / aspect) * _PHOTOGRAPH_SIDE
    long = min(round(long / _MULTIPLE) * _MULTIPLE, _LARGEST_SIDE)
    return (_PHOTOGRAPH_SIDE, long) if aspect >= 1 else (long, _PHOTOGRAPH_SIDE)


def _sample_sizes(root: Path) -> list[tuple[int, int]]:
    """Return (width, height) of a sample of images, as their headers state them."""
    from PIL import Image

    paths = [path for path in islice(walk_all(root), _FILES) if isinstance(path, Path)]
    step = max(1, len(paths) // _SAMPLE)
    sizes = []
    for path in paths[::step][:_SAMPLE]:
        try:
            with Image.open(path) as image:
                sizes.append(image.size)
        except Exception:  # noqa: BLE001, S112  told when the image is decoded
            continue
    return sizes
