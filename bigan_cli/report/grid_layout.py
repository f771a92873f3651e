"""The layout of image grids: tiles and pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from bigan_cli.report.drawing import BACKGROUND, RULE, fit, line_height, write

SMALLEST_TILE = 72
LARGEST_TILE = 256
MARGIN = 16
GAP = 14
HEADING = 16
SMALLEST_TEXT = 12
# The longer side of an image, as a multiple of the size of its texts.
_SIDES_PER_TEXT = 12

# Key of a PNG file's text: how many of its rows hold nothing but the epoch.
_HEADING_ROWS = "bigan:heading_rows"
_EPOCH_ALONE = re.compile(r"epoch \d+|untrained")

_NARROWEST = 288
_WANTED_ASPECT = 1.4


@dataclass(frozen=True)
class Tile:
    """The scale of images in a grid: enlarged by an integer factor, or reduced."""

    width: int
    height: int
    factor: int

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> Tile:
        """Return the tile for *images* ``[N, C, H, W]``."""
        height, width = images.shape[2:]
        longest = max(height, width)
        if longest > LARGEST_TILE:
            scale = LARGEST_TILE / longest
            return cls(max(1, round(width * scale)), max(1, round(height * scale)), 0)
        factor = -(-SMALLEST_TILE // longest)
        return cls(width * factor, height * factor, factor)

    @property
    def text_size(self) -> int:
        """The size of titles and captions: they can be read where a large grid is reduced."""
        return max(SMALLEST_TEXT, max(self.width, self.height) // _SIDES_PER_TEXT)

    def paste(
        self,
        canvas: Image.Image,
        draw: ImageDraw.ImageDraw,
        image: NDArray[np.uint8],
        at: tuple[int, int],
    ) -> None:
        """Draw *image* ``[H, W, 3]`` with a hairline border, so that white images are visible."""
        left, top = at
        shown = Image.fromarray(image)
        how = Image.Resampling.NEAREST if self.factor else Image.Resampling.LANCZOS
        if shown.size != (self.width, self.height):
            shown = shown.resize((self.width, self.height), how)
        draw.rectangle((left - 1, top - 1, left + self.width, top + self.height), outline=RULE)
        canvas.paste(shown, at)


@dataclass(frozen=True)
class GridLayout:
    """The positions of the cells of a grid on the canvas."""

    columns: int
    cell_size: tuple[int, int]
    gaps: tuple[int, int]
    top: int
    width: int
    height: int

    @classmethod
    def of(
        cls,
        count: int,
        cell_size: tuple[int, int],
        *,
        titles: int = 0,
        footer: int = 0,
        column_gap: int = 2 * GAP,
        row_gap: int = 4,
        narrowest: int = 0,
    ) -> GridLayout:
        """Choose a balanced number of columns for *count* cells.

        All lengths are in pixels.

        Args:
            count: Cells to place, at least 1.
            cell_size: Width and height of a cell.
            titles: Height reserved for titles above the first row.
            footer: Height reserved below the last row.
            column_gap: Between two columns.
            row_gap: Between two rows.
            narrowest: Smallest width between the margins.
        """
        top = MARGIN + line_height(HEADING) + 8 + titles
        cell_width, cell_height = cell_size

        def page(columns: int) -> GridLayout:
            rows = -(-count // columns)
            width = columns * (cell_width + column_gap) - column_gap + 2 * MARGIN
            height = top + rows * (cell_height + row_gap) - row_gap + footer + MARGIN
            fits = max(width, max(_NARROWEST, narrowest) + 2 * MARGIN)
            return cls(columns, cell_size, (column_gap, row_gap), top, fits, height)

        def cost(page: GridLayout) -> float:
            empty = -count % page.columns
            return float(abs(np.log(page.width / page.height / _WANTED_ASPECT)) + 2 * empty / count)

        return min((page(columns) for columns in range(1, count + 1)), key=cost)

    def start(self, heading: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """Return an empty canvas with the heading on it."""
        canvas = Image.new("RGB", (self.width, self.height), BACKGROUND)
        draw = ImageDraw.Draw(canvas)
        middle = MARGIN + line_height(HEADING) // 2
        text = fit(heading, HEADING, self.width - 2 * MARGIN)
        write(draw, (MARGIN, middle), text, HEADING)
        return canvas, draw

    def cell(self, index: int) -> tuple[int, int]:
        """Return the left upper corner of the cell at *index*."""
        row, column = divmod(index, self.columns)
        return (
            MARGIN + column * (self.cell_size[0] + self.gaps[0]),
            self.top + row * (self.cell_size[1] + self.gaps[1]),
        )


def heading_info(heading: str) -> PngInfo:
    """Return the text of a PNG file for a grid with this heading, see :func:`heading_rows`."""
    info = PngInfo()
    if _EPOCH_ALONE.fullmatch(heading):
        info.add_text(_HEADING_ROWS, str(MARGIN + line_height(HEADING)))
    return info


def heading_rows(info: Mapping[Any, Any], height: int) -> int:
    """Return how many upper rows of a picture hold nothing but its epoch; 0 if that is unknown.

    Args:
        info: What Pillow read besides the pixels.
        height: Of the picture.
    """
    text = info.get(_HEADING_ROWS)
    rows = int(text) if isinstance(text, str) and text.isdecimal() and len(text) < 4 else 0
    return rows if rows < height else 0
