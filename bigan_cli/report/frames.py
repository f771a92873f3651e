"""The frames of an animation: images of one epoch side by side, with titles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import read_file
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

_LONGEST_NAME = 220


@dataclass(frozen=True)
class _Panel:
    """The position of one folder's images on the canvas."""

    folder: PictureFolder
    left: int
    top: int
    width: int
    height: int


class FrameSequence:
    """Frames in the order of the epochs, drawn on access.

    The epochs are those of all folders. A folder without an image of an epoch shows its latest
    earlier one, labelled with its epoch; before its first one its panel is empty. Images of
    different sizes are centred on one canvas.

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
        self._text = int(np.clip(round(14 * scale), 11, 42))
        self._margin = max(4, round(12 * scale))
        self._bar = line_height(self._text) + self._margin
        self._sizes = {
            path: _scaled(_upright_size(path), scale)
            for folder in folders
            for path in folder.pictures.values()
        }
        self._panels, self.size = self._arrange([self._panel_size(f) for f in folders], folders)

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
        for panel in self._panels:
            self._draw_panel(canvas, draw, panel, self.epochs[index])
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
        canvas.paste(_read(path, (width, height)), (left, top))

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
        """Place the panels from left to right; small ones go below one another."""
        tallest = 1.3 * max(height for _, height in sizes)
        panels: list[_Panel] = []
        left = top = self._margin
        column = bottom = 0
        for folder, (width, height) in zip(folders, sizes, strict=True):
            if panels and top + height > tallest:
                left, top, column = left + column + 2 * self._margin, self._margin, 0
            panels.append(_Panel(folder, left, top, width, height))
            top += height + self._margin
            column, bottom = max(column, width), max(bottom, top)
        return panels, (left + column + self._margin, bottom + self._margin // 2)


def _scaled(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _upright_size(path: Path) -> Size:
    """Return the displayed width and height of an image, from its header."""
    height, width = source_size(path)
    return width, height


def _read(path: Path, size: Size) -> Image.Image:
    """Return the image in RGB, resized to *size* (width, height) if necessary."""
    width, height = _upright_size(path)
    picture = Image.fromarray(
        np.moveaxis(read_file(path, ImageShape(3, height, width))[0], 0, -1).copy()
    )
    if size == (width, height):
        return picture
    whole = size[0] % width == 0 and size[1] % height == 0
    how = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
    return picture.resize(size, how)
