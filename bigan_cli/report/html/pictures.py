"""Pictures of a page: reduced in size and encoded as data URIs."""

from __future__ import annotations

import base64
import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

Pixels = NDArray[np.uint8]

LONGEST_SIDE = 360
"""Pictures are reduced to this many pixels."""
SMALL = 96
"""Images of at most this many pixels a side are shown pixel by pixel, and kept exactly."""

_QUALITY = 80
# Seen on a dark and on a light image.
_OUTLINE, _HALO = (0, 229, 255, 255), (0, 0, 0, 200)


def picture_size(height: int, width: int, longest: int = LONGEST_SIDE) -> tuple[int, int]:
    """Return the (height, width) of the picture of an image; its aspect ratio is kept."""
    share = min(1.0, longest / max(height, width))
    return max(1, round(height * share)), max(1, round(width * share))


def data_uri(pixels: Pixels, *, longest: int = LONGEST_SIDE) -> str:
    """Return an image uint8 ``[H, W, 3]``, reduced to *longest* pixels a side, as a data URI."""
    height, width = picture_size(pixels.shape[0], pixels.shape[1], longest)
    image = Image.fromarray(pixels)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BOX, reducing_gap=3)
    if max(image.size) <= SMALL:
        return _encoded(image, "PNG", optimize=True)
    if _has_webp():
        return _encoded(image, "WEBP", quality=_QUALITY, method=4)
    return _encoded(image, "JPEG", quality=_QUALITY)


def outline_uri(anomalous: NDArray[np.bool_], height: int, width: int) -> str:
    """Return the outline of a mask bool ``[H, W]`` as a transparent picture of another size."""
    mask = Image.fromarray(anomalous.astype(np.uint8) * np.uint8(255)).resize(
        (width, height), Image.Resampling.BOX
    )
    inside = np.pad(np.asarray(mask) >= 128, 3)
    inner = _grown(inside)
    outer = _grown(inner)
    colours = np.zeros((*inside.shape, 4), np.uint8)
    colours[outer & ~inner] = _HALO
    colours[inner & ~inside] = _OUTLINE
    image = Image.fromarray(colours[3:-3, 3:-3])
    return _encoded(image.quantize(4), "PNG", optimize=True)


def sprite_uri(pictures: Pixels, columns: int) -> str:
    """Return pictures uint8 ``[N, S, S, 3]`` as one, in rows of *columns*, as a data URI."""
    count, side = pictures.shape[:2]
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, *pictures.shape[1:]), np.uint8)
    sheet[:count] = pictures
    sheet = sheet.reshape(rows, columns, side, side, 3).swapaxes(1, 2)
    image = Image.fromarray(np.ascontiguousarray(sheet.reshape(rows * side, columns * side, 3)))
    if _has_webp():
        return _encoded(image, "WEBP", quality=70, method=4)
    return _encoded(image, "JPEG", quality=70)


def square(pixels: Pixels, side: int) -> Pixels:
    """Return an image uint8 ``[H, W, 3]`` as ``[side, side, 3]``, without regard to its aspect."""
    image = Image.fromarray(pixels)
    small = max(pixels.shape[:2]) < side
    method = Image.Resampling.NEAREST if small else Image.Resampling.BOX
    return np.asarray(image.resize((side, side), method))


def _grown(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask with the neighbours of its pixels; its border is False."""
    grown = inside.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            grown |= np.roll(inside, step, axis)
    return grown


@cache
def _has_webp() -> bool:
    return bool(features.check("webp"))


def _encoded(image: Image.Image, kind: str, **options: object) -> str:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    text = base64.b64encode(stream.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{text}"
