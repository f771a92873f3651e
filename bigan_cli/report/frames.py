"""The frames of an animation of pictures: those of one epoch side by side, with titles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import read_file
from bigan_cli.data.image_file import open_image
from bigan_cli.data.source_size import source_size
from bigan_cli.report.drawing import (
    BACKGROUND,
    MUTED,
    NORMAL,
    RULE,
    TEXT,
    Size,
    fit,
    line_height,
    text_width,
    write,
)
from bigan_cli.report.epoch_folders import PictureFolder
from bigan_cli.report.grid_layout import heading_rows

_LONGEST_NAME = 220
# The size of titles of small pictures; larger ones are as many times as high as their titles.
_TEXT, _TEXT_SIZES, _HEIGHTS_PER_TEXT = 14, (11, 42), 28
# Panels go below one another where the frame would be wider than this, as a multiple of its height.
_WIDEST_ASPECT = 2.4
# Frames are reduced to these sides, and further where there are many, since the pixels of all
# frames decide the size of the file.
_LARGEST_FRAME, _SMALLEST_WIDTH = (1600, 1600), 800
_MOST_PIXELS = 10_000_000


@dataclass(frozen=True)
class _Panel:
    """The position of one folder's images on the canvas."""

    folder: PictureFolder
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class _Source:
    """The displayed size of an image, below *cut* rows that are left out."""

    width: int
    height: int
    cut: int = 0


class FrameSequence:
    """Frames in the order of the epochs, drawn on access.

    The epochs are those of all folders. Each frame has its epoch once: the headings of the run's
    own grids, which repeat it, are cut off. A folder without an image of an epoch shows its
    latest earlier one, labelled with that epoch; before its first one its panel is empty. Images
    of different sizes are centred on one canvas.

    Args:
        folders: One or more, in the order of the panels.
        scale: Scale factor. Integers keep pixels sharp.

    Attributes:
        epochs: The epoch of each frame.
        size: Width and height of every frame in pixels.

    Raises:
        UnreadableImage: The header of an image cannot be read.
    """

    def __init__(self, folders: Sequence[PictureFolder], scale: float = 1.0) -> None:
        if not folders:
            raise ValueError("no folders to show")
        self.epochs = sorted({epoch for folder in folders for epoch in folder.pictures})
        self._scale = scale
        self._sources = {
            path: _measure(path) for folder in folders for path in folder.pictures.values()
        }
        tallest = max(source.height for source in self._sources.values())
        text = scale * max(_TEXT, tallest / _HEIGHTS_PER_TEXT)
        self._text = int(np.clip(round(text), *_TEXT_SIZES))
        self._margin = max(4, round(12 * scale))
        self._bar = line_height(self._text) + self._margin
        # Of one folder, the epoch is on the right of its title.
        self._header = self._bar if len(folders) > 1 else 0
        self._sizes = {
            path: _scaled((source.width, source.height), scale)
            for path, source in self._sources.items()
        }
        self._panels, self.size = self._arrange([self._panel_size(f) for f in folders], folders)

    @classmethod
    def reduced(cls, folders: Sequence[PictureFolder]) -> FrameSequence:
        """Return frames of the pictures' own size, or smaller where the file would be large."""
        frames, scale = cls(folders), 1.0
        while (factor := frames._excess()) < 1:
            scale *= min(factor, 0.98)
            frames = cls(folders, scale)
        return frames

    def _excess(self) -> float:
        """Return the factor by which frames are to be reduced; 1 or more if they are not."""
        width, height = self.size
        sides = min(_LARGEST_FRAME[0] / width, _LARGEST_FRAME[1] / height)
        pixels = math.sqrt(_MOST_PIXELS / (width * height * len(self)))
        return min(sides, max(pixels, _SMALLEST_WIDTH / width))

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self.frame(index) for index in range(len(self)))

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return the frame at *index*, uint8 ``[H, W, 3]``.

        Raises:
            UnreadableImage: An image cannot be read; the message names it.
        """
        canvas = Image.new("RGB", self.size, BACKGROUND)
        draw = ImageDraw.Draw(canvas)
        epoch = self.epochs[index]
        for panel in self._panels:
            self._draw_panel(canvas, draw, panel, epoch)
        if self._header:
            middle = self._margin + self._bar // 2
            write(draw, (self._margin, middle), f"epoch {epoch}", self._text, TEXT)
        width, height = self.size
        thickness = max(2, round(3 * self._scale))
        done = round(width * (index + 1) / len(self))
        draw.rectangle((0, height - thickness, width - 1, height - 1), fill=RULE)
        if done:  # with many frames, the bar of the first ones has no pixel
            draw.rectangle((0, height - thickness, done - 1, height - 1), fill=NORMAL)
        return np.asarray(canvas)

    def _draw_panel(
        self, canvas: Image.Image, draw: ImageDraw.ImageDraw, panel: _Panel, epoch: int
    ) -> None:
        shown = max((e for e in panel.folder.pictures if e <= epoch), default=None)
        label = "no picture yet" if shown is None else f"epoch {shown}"
        if self._header and shown == epoch:
            label = ""
        middle = panel.top + self._bar // 2
        label_left = panel.left + panel.width - text_width(label, self._text)
        room = label_left - panel.left - self._margin
        write(
            draw, (panel.left, middle), fit(panel.folder.name, self._text, room), self._text, TEXT
        )
        write(draw, (label_left, middle), label, self._text, MUTED)
        if shown is None:
            return
        path = panel.folder.pictures[shown]
        width, height = self._sizes[path]
        left = panel.left + (panel.width - width) // 2
        top = panel.top + self._bar + (panel.height - self._bar - height) // 2
        canvas.paste(_read(path, self._sources[path], (width, height)), (left, top))

    def _panel_size(self, folder: PictureFolder) -> Size:
        sizes = [self._sizes[path] for path in folder.pictures.values()]
        name = min(text_width(folder.name, self._text), _LONGEST_NAME)
        labels = ["no picture yet", *(f"epoch {epoch}" for epoch in folder.pictures)]
        widest = max(text_width(label, self._text) for label in labels)
        width = max(name + self._margin + widest, *(width for width, _ in sizes))
        return width, self._bar + max(height for _, height in sizes)

    def _arrange(
        self, sizes: Sequence[Size], folders: Sequence[PictureFolder]
    ) -> tuple[list[_Panel], Size]:
        """Place the panels from left to right; small ones go below one another.

        So do all where the frame would be too wide.
        """
        for rows in range(1, len(sizes) + 1):
            tallest = (rows + 0.3) * max(height for _, height in sizes)
            panels, size = self._in_columns(sizes, folders, tallest)
            if size[0] <= _WIDEST_ASPECT * size[1]:
                break
        return panels, size

    def _in_columns(
        self, sizes: Sequence[Size], folders: Sequence[PictureFolder], tallest: float
    ) -> tuple[list[_Panel], Size]:
        """Place the panels in columns of at most *tallest* pixels."""
        panels: list[_Panel] = []
        left, first = self._margin, self._margin + self._header
        top = first
        column = bottom = 0
        for folder, (width, height) in zip(folders, sizes, strict=True):
            if panels and top + height > tallest + self._header:
                left, top, column = left + column + 2 * self._margin, first, 0
            panels.append(_Panel(folder, left, top, width, height))
            top += height + self._margin
            column, bottom = max(column, width), max(bottom, top)
        return panels, (left + column + self._margin, bottom + self._margin // 2)


def _scaled(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _measure(path: Path) -> _Source:
    """Return the size of an image, from its header."""
    height, width = source_size(path)
    cut = 0
    # What Pillow cannot open is no grid of a run.
    with suppress(Exception), open_image(path) as image:
        cut = heading_rows(image.info, image.height)
    return _Source(width, height - cut, cut)


def _read(path: Path, source: _Source, size: Size) -> Image.Image:
    """Return the image in RGB, resized to *size* (width, height) if necessary."""
    pixels = read_file(path, ImageShape(3, source.cut + source.height, source.width))[0]
    picture = Image.fromarray(np.moveaxis(pixels[:, source.cut :], 0, -1).copy())
    if size == (source.width, source.height):
        return picture
    whole = size[0] % source.width == 0 and size[1] % source.height == 0
    how = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
    return picture.resize(size, how)
