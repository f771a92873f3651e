"""Drawing with Pillow: colours, text and image conversion."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]
Size = tuple[int, int]

BACKGROUND: Colour = (255, 255, 255)
TEXT: Colour = (33, 37, 41)
MUTED: Colour = (110, 118, 126)
RULE: Colour = (206, 212, 218)
# Two colours that everybody can distinguish (Okabe and Ito 2008).
ANOMALY: Colour = (213, 94, 0)
NORMAL: Colour = (0, 114, 178)

_CHECK_SIDE = 6
_CHECKS = (255, 226)


def to_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return one uint8 image ``[C, H, W]`` as uint8 ``[H, W, 3]``.

    Grey is repeated. RGBA is composited over a checkerboard, so transparent parts are visible and
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

    Lightness increases linearly in the OKLab space (Ottosson 2020) while the hue goes from
    violet over red to yellow, so equal steps look equal, in grey as well. The
    position is the square root of the difference, so that errors of a few
    grey levels, which are the common ones, are visible.
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


# Fallbacks for Pillow's own typeface, which has little more than ASCII: that of matplotlib
# (Latin, Cyrillic, Greek, Hebrew, Arabic), then system fonts for Chinese, Japanese and Korean.
_MATPLOTLIB_TYPEFACE = "mpl-data/fonts/ttf/DejaVuSans.ttf"
_SYSTEM_TYPEFACES = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "DroidSansFallbackFull.ttf",
    "wqy-microhei.ttc",
    "Arial Unicode.ttf",
    "PingFang.ttc",
    "msyh.ttc",
    "malgun.ttf",
)
_NOWHERE = "\uffff"  # not a character, so drawn as a missing glyph


@cache
def _typeface(name: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont | None:
    """Return a typeface by its file's name, or None if there is none; "" is Pillow's own."""
    if not name:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@cache
def _names() -> tuple[str, ...]:
    # matplotlib is located, not imported, since importing it takes a second.
    found = find_spec("matplotlib")
    places = [] if found is None else found.submodule_search_locations or []
    return ("", *(str(Path(p) / _MATPLOTLIB_TYPEFACE) for p in places), *_SYSTEM_TYPEFACES)


@cache
def _has(name: str, character: str) -> bool:
    typeface = _typeface(name, 16)
    if typeface is None or not character.isprintable():
        return False
    if " " <= character <= "~":
        return True
    drawn, missing = typeface.getmask(character), typeface.getmask(_NOWHERE)
    return drawn.size != missing.size or bytes(drawn) != bytes(missing)


def plain(text: str) -> str:
    """Return *text* on one line, without characters that no typeface can draw."""
    return _lettering(text)[1]


@lru_cache(maxsize=4096)
def _lettering(text: str) -> tuple[str, str]:
    """Return the first typeface with all (else most) characters of *text*, and that text."""
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    if text.isascii():
        return "", "".join(c if c.isprintable() else "?" for c in text)
    had = {name: sum(_has(name, c) for c in text) for name in _names()}
    name = max(had, key=had.__getitem__)  # the first one, of several
    return name, "".join(c if _has(name, c) else _without_accents(name, c) for c in text)


def _without_accents(name: str, character: str) -> str:
    bare = unicodedata.normalize("NFKD", character)[:1]
    return bare if _has(name, bare) else "?"


def font(text: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the typeface for *text*, *size* pixels high."""
    typeface = _typeface(_lettering(text)[0], size)
    return ImageFont.load_default(size) if typeface is None else typeface


def text_width(text: str, size: int) -> int:
    """Return the width of *text* in pixels, rounded up."""
    return int(np.ceil(font(text, size).getlength(plain(text))))


def line_height(size: int) -> int:
    """Return the height of a line of text, including descenders."""
    return round(size * 1.4)


def fit(text: str, size: int, width: int) -> str:
    """Return *text*, truncated with dots if it is wider than *width* pixels."""
    text = plain(text)
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "...", size) > width:
        text = text[:-1]
    return text.rstrip() + "..." if text else ""


def write(draw: ImageDraw.ImageDraw, at: Size, text: str, size: int, colour: Colour = TEXT) -> None:
    """Draw one line of *text*; *at* is its left end, halfway up the line."""
    draw.text(at, plain(text), fill=colour, font=font(text, size), anchor="lm")
