"""The colour scales below a grid of pictures: of differences, and of heatmaps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

from bigan_cli.report.drawing import (
    MUTED,
    RULE,
    difference_colours,
    line_height,
    text_width,
    write,
)
from bigan_cli.report.grid_layout import SMALLEST_TEXT
from bigan_cli.report.heatmap import BRIGHTEST, heat_colours

SMALL_TEXT = 10
BAR_GAP = 32
_BAR = 160
_GAP = 12
_DIFFERENCE, _HEAT = "difference", "heatmap, 1 = threshold of a pixel"


def difference_bar(draw: ImageDraw.ImageDraw, at: tuple[int, int]) -> int:
    """Draw the scale of differences from *at* (left, middle) on; return where it ends."""
    levels = (0, 16, 64, 144, 255)
    colours = difference_colours()
    return _bar(draw, at, _DIFFERENCE, levels, lambda level: colours[np.rint(level).astype(int)])


def heat_bar(draw: ImageDraw.ImageDraw, at: tuple[int, int]) -> int:
    """Draw the scale of heatmaps from *at* (left, middle) on; return where it ends."""
    return _bar(draw, at, _HEAT, (0, 0.25, 1, 2.25, BRIGHTEST), heat_colours)


def bars_width(*, heatmap: bool) -> int:
    """Return the width of the scale of differences, and that of heatmaps next to it."""
    titles = (_DIFFERENCE, _HEAT) if heatmap else (_DIFFERENCE,)
    return sum(text_width(title, SMALLEST_TEXT) + _GAP + _BAR for title in titles) + (
        BAR_GAP if heatmap else 0
    )


def _bar(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    title: str,
    levels: tuple[float, ...],
    colours: Callable[[NDArray[np.float32]], NDArray[np.uint8]],
) -> int:
    """Draw a bar from 0 to the last of *levels*; positions are square roots, as colours are."""
    left, middle = at
    write(draw, (left, middle), title, SMALLEST_TEXT, MUTED)
    left += text_width(title, SMALLEST_TEXT) + _GAP
    draw.rectangle((left - 1, middle - 6, left + _BAR, middle + 6), outline=RULE)
    values = levels[-1] * np.linspace(0, 1, _BAR, dtype=np.float32) ** 2
    for x, (red, green, blue) in enumerate(colours(values).tolist()):
        draw.line((left + x, middle - 5, left + x, middle + 5), fill=(red, green, blue))
    for level in levels:
        x = left + round((_BAR - 1) * (level / levels[-1]) ** 0.5)
        draw.line((x, middle + 7, x, middle + 9), fill=MUTED)
        text = f"{level:g}"
        below = (
            x - text_width(text, SMALL_TEXT) // 2,
            middle + 10 + line_height(SMALL_TEXT) // 2,
        )
        write(draw, below, text, SMALL_TEXT, MUTED)
    return left + _BAR
