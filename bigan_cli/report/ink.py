"""What all pictures share: colours, lettering and picture tiles, drawn with Pillow."""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]
Size = tuple[int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (33, 37, 41)
FAINT: Colour = (110, 118, 126)
RULE: Colour = (206, 212, 218)
# Two colours that stay apart for every kind of colour vision (Okabe and Ito 2008).
ALARM: Colour = (213, 94, 0)
CALM: Colour = (0, 114, 178)

_CHECK_SIDE = 6
_CHECKS = (255, 226)


def to_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return one uint8 image ``[C, H, W]`` as uint8 ``[H, W, 3]``.

    Grey is repeated; RGBA is laid over a checkerboard, so that what is transparent shows, and
    opaque pixels keep their exact values.
    """
    channels, height, width = image.shape
    last = np.moveaxis(image, 0, -1)
    if channels == 1:
        return np.repeat(last, 3, axis=2)
    if channels == 3:
        return np.ascontiguousarray(last)
    rows, columns = np.ogrid[:height, :width]
    dark = (rows // _CHECK_SIDE + columns // _CHECK_SIDE) % 2
    board = np.where(dark, _CHECKS[1], _CHECKS[0])[:, :, None]
    alpha = last[:, :, 3:].astype(np.int64)
    mixed = (last[:, :, :3] * alpha + board * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)


@cache
def difference_colours() -> NDArray[np.uint8]:
    """Return the colour of each difference 0..255, uint8 ``[256, 3]``: black, red, pale yellow.

    The map is a straight climb in lightness of the OKLab space (Ottosson 2020) while the hue
    turns from violet through red to yellow, so equal steps look equal, in grey as well. It
    climbs with the square root of the difference: errors of a few grey levels, the common
    ones, can be told from none.
    """
    level = np.sqrt(np.arange(256) / 255)
    lightness = 0.05 + 0.92 * level
    hue = np.deg2rad(np.interp(level, [0, 0.35, 0.6, 1], [300, 360, 395, 465]))
    chroma = np.interp(level, [0, 0.3, 0.6, 0.8, 1], [0, 0.15, 0.19, 0.15, 0.06])
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    cone = lab @ np.array(
        [[1, 1, 1], [0.3963377774, -0.1055613458, -0.0894841775],
         [0.2158037573, -0.0638541728, -1.2914855480]]
    )  # fmt: skip
    linear = cone**3 @ np.array(
        [[4.0767416621, -1.2684380046, -0.0041960863],
         [-3.3077115913, 2.6097574011, -0.7034186147],
         [0.2309699292, -0.3413193965, 1.7076147010]]
    )  # fmt: skip
    linear = linear.clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    colours: NDArray[np.uint8] = np.rint(srgb * 255).astype(np.uint8)
    return colours


def difference_image(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the absolute difference of two images ``[C, H, W]``, coloured, ``[H, W, 3]``.

    It is the mean over the channels, on the fixed scale of :func:`difference_colours`.
    """
    gap = np.abs(one.astype(np.int16) - other.astype(np.int16)).mean(axis=0)
    coloured: NDArray[np.uint8] = difference_colours()[np.rint(gap).astype(np.uint8)]
    return coloured


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's built-in typeface; no font file is needed."""
    return ImageFont.load_default(size)


def plain(text: str) -> str:
    """Return *text* on one line, in the characters the built-in typeface has."""
    split = unicodedata.normalize("NFKD", " ".join(text.split()))
    kept = "".join(c for c in split if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else "?" for c in kept)


def text_width(text: str, size: int) -> int:
    """Return the width of *text* in pixels, rounded up."""
    return int(np.ceil(font(size).getlength(plain(text))))


def line_height(size: int) -> int:
    """Return the height of a line of text, its descenders included."""
    return round(size * 1.4)


def fit(text: str, size: int, width: int) -> str:
    """Return *text*, its end replaced by dots where it is wider than *width* pixels."""
    text = plain(text)
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "...", size) > width:
        text = text[:-1]
    return text.rstrip() + "..." if text else ""


def write(draw: ImageDraw.ImageDraw, at: Size, text: str, size: int, colour: Colour = INK) -> None:
    """Draw one line of *text*; *at* is its left end, halfway up the line."""
    draw.text(at, plain(text), fill=colour, font=font(size), anchor="lm")
