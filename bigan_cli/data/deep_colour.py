"""Decoding of colour with 16 bits per sample, of which Pillow keeps the high bytes only.

Pillow has no mode for such pixels, but it unpacks them in either byte order. So decoding once in
the file's byte order and once in the other yields both bytes of every sample.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import IO, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from bigan_cli.data.raster import Box, DeepSamples
from bigan_cli.data.unreadable import UnreadableImage

_MODES = ("RGB", "RGBA", "RGBX", "CMYK")
_GREY_ALPHA = "LA;16B"  # of a PNG


def rawmode(image: Image.Image) -> str:
    """Return Pillow's raw mode of a file that is not decoded yet."""
    tiles = getattr(image, "tile", None)
    args = tiles[0].args if tiles else ""
    return str(args[0]) if isinstance(args, tuple) and args else str(args)


def is_split(image: Image.Image) -> TypeGuard[ImageFile.ImageFile]:
    """Return whether *image* is a file, not decoded yet, whose low bytes can be decoded too."""
    if not isinstance(image, ImageFile.ImageFile) or image.format not in ("PNG", "TIFF"):
        return False
    raw = rawmode(image)
    mode, _, order = raw.partition(";16")
    return raw == _GREY_ALPHA or (mode in _MODES and order in ("B", "L", "N"))


def decode_deep(image: ImageFile.ImageFile) -> DeepSamples:
    """Decode an image for which :func:`is_split` holds.

    Raises:
        UnreadableImage: Its file is closed.
    """
    stream = image.fp
    if stream is None:
        raise UnreadableImage("its file is closed")
    if rawmode(image) == _GREY_ALPHA:
        return DeepSamples(_grey_and_alpha(_reopened(image, stream, "RGBA", "RGBA")), mode="LA")
    mode, _, order = rawmode(image).partition(";16")
    is_little = order == "L" or (order == "N" and sys.byteorder == "little")
    low = _reopened(image, stream, image.mode, f"{mode};16{'B' if is_little else 'L'}")
    image.load()
    transparent = image.info.get("transparency")
    return DeepSamples(
        _both(image, low),
        transparent=transparent if isinstance(transparent, tuple) else None,
        mode=image.mode,
    )


def _reopened(
    image: ImageFile.ImageFile, stream: IO[bytes], mode: str, raw: str
) -> ImageFile.ImageFile:
    """Return the image, decoded with the raw mode *raw*."""
    stream.seek(0)
    again = type(image)(stream, str(image.filename))
    again._mode = mode  # noqa: SLF001 - as in Pillow's own readers
    again.tile = [tile._replace(args=_with_raw(tile.args, raw)) for tile in again.tile]
    again.load()
    return again


def _with_raw(args: object, raw: str) -> str | tuple[object, ...]:
    return (raw, *args[1:]) if isinstance(args, tuple) else raw


def _both(high: Image.Image, low: Image.Image) -> Callable[[Box | None], NDArray[np.integer]]:
    def read(box: Box | None) -> NDArray[np.integer]:
        first, second = (high, low) if box is None else (high.crop(box), low.crop(box))
        values: NDArray[np.uint16] = np.asarray(first).astype(np.uint16)
        values *= 256
        values += np.asarray(second)
        return values

    return read


def _grey_and_alpha(four: Image.Image) -> Callable[[Box | None], NDArray[np.integer]]:
    def read(box: Box | None) -> NDArray[np.integer]:
        values = np.asarray(four if box is None else four.crop(box)).astype(np.uint16)
        return (values[..., ::2] << 8) | values[..., 1::2]

    return read
