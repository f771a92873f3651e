"""Grids of images as PNG files: comparisons, samples and scored test images.

Images are uint8 ``[N, C, H, W]`` with C = 1, 3 or 4. The size of a grid depends only on N and the
shape of the images, not on headings or captions, so the grids of all epochs of a run make an
animation. Small images are enlarged by an integer factor without smoothing; images with a side
above 256 pixels are reduced to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bigan_cli.atomic import atomic_write
from bigan_cli.report.colour_bars import (
    BAR_GAP,
    SMALL_TEXT,
    bars_width,
    difference_bar,
    heat_bar,
)
from bigan_cli.report.drawing import (
    ANOMALY,
    MUTED,
    NORMAL,
    RULE,
    TEXT,
    Colour,
    difference_image,
    fit,
    line_height,
    text_width,
    to_rgb,
    write,
)
from bigan_cli.report.grid_layout import GAP, MARGIN, SMALLEST_TEXT, GridLayout, Tile, heading_info
from bigan_cli.report.heatmap import overlay

Pixels = NDArray[np.uint8]

_TITLES = ("original", "reconstruction", "difference")


def comparison_grid(
    path: Path,
    originals: Pixels,
    reconstructions: Pixels,
    heading: str = "",
    captions: Sequence[str] = (),
    heatmaps: NDArray[np.float32] | None = None,
) -> None:
    """Write a grid of images, their reconstructions and differences.

    The difference is |original - reconstruction|, averaged over the channels, in colour on a
    fixed scale from 0 to 255, so grids of different epochs and runs are comparable.

    Args:
        path: The PNG file, replaced if it exists.
        originals: uint8 ``[N, C, H, W]``, N at least 1.
        reconstructions: The same shape.
        heading: One line above the grid, such as ``epoch 10``.
        captions: One text per image, or none at all; lines are split at newlines and truncated
            if they are too wide.
        heatmaps: float32 ``[N, H, W]`` in units of normal images, laid over the images in a
            column of their own; see :mod:`bigan_cli.report.heatmap`.

    Raises:
        ValueError: The arrays are empty, not images, or of different shapes, or there are other
            than N captions.
    """
    _check(originals)
    _check_alike(originals, reconstructions)
    if captions and len(captions) != len(originals):
        raise ValueError(f"{len(captions)} captions of {len(originals)} images")
    tile = Tile.of(originals)
    text_size = tile.text_size
    lines = [caption.split("\n") for caption in captions]
    below = max(map(len, lines), default=0) * line_height(text_size)
    titles = _TITLES if heatmaps is None else (*_TITLES, "heatmap")
    column = max(tile.width, *(text_width(title, text_size) for title in titles))
    inner = 4
    width = len(titles) * (column + inner) - inner
    page = GridLayout.of(
        len(originals),
        (width, tile.height + below),
        titles=line_height(text_size) + 2,
        row_gap=GAP if below else inner,
        footer=line_height(SMALLEST_TEXT) + line_height(SMALL_TEXT) + 10,
        narrowest=bars_width(heatmap=heatmaps is not None),
    )
    canvas, draw = page.start(heading)
    inset = (column - tile.width) // 2
    for group in range(min(page.columns, len(originals))):
        left, top = page.cell(group)
        for k, title in enumerate(titles):
            centre = left + k * (column + inner) + column // 2
            at = (centre - text_width(title, text_size) // 2, top - line_height(text_size) // 2 - 2)
            write(draw, at, title, text_size, MUTED)
    for i, (one, other) in enumerate(zip(originals, reconstructions, strict=True)):
        left, top = page.cell(i)
        images = [to_rgb(one), to_rgb(other), difference_image(one, other)]
        if heatmaps is not None:
            images.append(np.asarray(overlay(images[0], heatmaps[i])))
        for k, image in enumerate(images):
            tile.paste(canvas, draw, image, (left + k * (column + inner) + inset, top))
        for n, line in enumerate(lines[i] if lines else ()):
            down = top + tile.height + 4 + n * line_height(text_size) + line_height(text_size) // 2
            text = fit(line, text_size, width - inset)
            write(draw, (left + inset, down), text, text_size)
    middle = page.height - MARGIN - line_height(SMALL_TEXT) - line_height(SMALLEST_TEXT) // 2
    right = difference_bar(draw, (MARGIN, middle))
    if heatmaps is not None:
        heat_bar(draw, (right + BAR_GAP, middle))
    _save(path, canvas, heading)


def sample_grid(path: Path, images: Pixels, heading: str = "") -> None:
    """Write a grid of *images*, row by row.

    Args:
        path: The PNG file, replaced if it exists.
        images: uint8 ``[N, C, H, W]``, N at least 1.
        heading: One line above the grid.

    Raises:
        ValueError: The array is empty or not images.
    """
    _check(images)
    tile = Tile.of(images)
    page = GridLayout.of(len(images), (tile.width, tile.height), column_gap=4, row_gap=4)
    canvas, draw = page.start(heading)
    for i, image in enumerate(images):
        tile.paste(canvas, draw, to_rgb(image), page.cell(i))
    _save(path, canvas, heading)


def test_grid(
    path: Path,
    originals: Pixels,
    reconstructions: Pixels,
    captions: Sequence[str],
    outlier: Sequence[bool | None],
    flagged: Sequence[bool] | None = None,
    heading: str = "",
) -> None:
    """Write a grid of scored images with reconstruction, score and predicted label.

    The colour of the frame is the predicted label, the mark next to the caption the ground
    truth.

    Args:
        path: The PNG file, replaced if it exists.
        originals: uint8 ``[N, C, H, W]``, N at least 1.
        reconstructions: The same shape.
        captions: One text per image, see :func:`score_caption`; lines are split at newlines and
            shortened where they are too wide.
        outlier: The ground truth of each image; None if unknown.
        flagged: Whether each image is called anomalous; None for grey frames.
        heading: One line above the grid.

    Raises:
        ValueError: The arguments are empty, not images, or of different lengths.
    """
    _check(originals)
    _check_alike(originals, reconstructions)
    verdicts = [None] * len(originals) if flagged is None else list(flagged)
    if not len(captions) == len(outlier) == len(verdicts) == len(originals):
        raise ValueError("captions, outlier and flagged must have one entry per image")
    tile = Tile.of(originals)
    lines = [caption.split("\n") for caption in captions]
    pair = _Pair(tile, max(2 * tile.width + 4, 132), max(map(len, lines)))
    legend = _verdict_legend(
        frames=flagged is not None, marks=any(truth is not None for truth in outlier)
    )
    footer = line_height(SMALLEST_TEXT) + 8 if legend else 0
    page = GridLayout.of(
        len(originals),
        (pair.width, pair.height),
        row_gap=GAP,
        footer=footer,
        narrowest=_legend_width(legend),
    )
    canvas, draw = page.start(heading)
    for i, (one, other) in enumerate(zip(originals, reconstructions, strict=True)):
        frame = RULE if verdicts[i] is None else ANOMALY if verdicts[i] else NORMAL
        pair.draw(canvas, draw, page.cell(i), (one, other), lines[i], frame, outlier[i])
    _draw_legend(draw, legend, (MARGIN, page.height - MARGIN - line_height(SMALLEST_TEXT) // 2))
    _save(path, canvas, heading)


def score_caption(score: float, p_value: float, label: str = "") -> str:
    """Return the caption of a scored image: score and p-value, and its label on a second line."""
    number = f"{score:.2f}" if abs(score) < 1e5 else f"{score:.2e}"
    first = f"score {number}, p {p_value:.2g}"
    return f"{first}\n{label}" if label else first


@dataclass(frozen=True)
class _Pair:
    """A framed original and reconstruction with lines of caption below."""

    tile: Tile
    inner: int
    lines: int
    edge: int = 6

    @property
    def width(self) -> int:
        return self.inner + 2 * self.edge

    @property
    def height(self) -> int:
        return self.tile.height + 2 * self.edge + 4 + self.lines * line_height(self.tile.text_size)

    def draw(
        self,
        canvas: Image.Image,
        draw: ImageDraw.ImageDraw,
        at: tuple[int, int],
        images: tuple[Pixels, Pixels],
        caption: Sequence[str],
        frame: Colour,
        outlier: bool | None,
    ) -> None:
        left, top = at
        bottom = top + self.tile.height + 2 * self.edge - 1
        draw.rectangle((left, top, left + self.width - 1, bottom), outline=frame, width=3)
        half = self.inner // 2
        for k, image in enumerate(images):
            inset = (half - self.tile.width) // 2
            where = (left + self.edge + k * (half + self.inner % 2) + inset, top + self.edge)
            self.tile.paste(canvas, draw, to_rgb(image), where)
        middle = bottom + 5 + line_height(self.tile.text_size) // 2
        room = self.width
        if outlier is not None:
            _mark(draw, (left + self.width - 6, middle), outlier)
            room -= 18
        for line in caption:
            write(draw, (left, middle), fit(line, self.tile.text_size, room), self.tile.text_size)
            middle, room = middle + line_height(self.tile.text_size), self.width


_Legend = list[tuple[str, Colour | bool]]


def _verdict_legend(*, frames: bool, marks: bool) -> _Legend:
    entries: _Legend = []
    if frames:
        entries += [("flagged", ANOMALY), ("not flagged", NORMAL)]
    if marks:
        entries += [("true anomaly", True), ("truly normal", False)]
    return entries


def _legend_width(legend: _Legend) -> int:
    return sum(18 + text_width(text, SMALLEST_TEXT) + 16 for text, _ in legend)


def _draw_legend(draw: ImageDraw.ImageDraw, legend: _Legend, at: tuple[int, int]) -> None:
    left, middle = at
    for text, sign in legend:
        if isinstance(sign, bool):
            _mark(draw, (left + 6, middle), sign)
        else:
            draw.rectangle((left, middle - 6, left + 12, middle + 6), outline=sign, width=3)
        write(draw, (left + 18, middle), text, SMALLEST_TEXT)
        left += 18 + text_width(text, SMALLEST_TEXT) + 16


def _mark(draw: ImageDraw.ImageDraw, centre: tuple[int, int], outlier: bool) -> None:
    """Draw a filled triangle for an anomaly, an open circle for a normal image."""
    x, y = centre
    if outlier:
        draw.polygon([(x, y - 6), (x + 6, y + 5), (x - 6, y + 5)], fill=TEXT)
    else:
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), outline=TEXT, width=2)


def _check(images: Pixels) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3, 4):
        raise ValueError(f"not uint8 [N, C, H, W]: {images.dtype} {list(images.shape)}")
    if 0 in images.shape:
        raise ValueError("no images to show")


def _check_alike(originals: Pixels, reconstructions: Pixels) -> None:
    _check(reconstructions)
    if originals.shape != reconstructions.shape:
        raise ValueError(
            f"{list(originals.shape)} originals, {list(reconstructions.shape)} reconstructions"
        )


def _save(path: Path, canvas: Image.Image, heading: str) -> None:
    with atomic_write(path) as stream:
        # A grid of photographs takes 5 s at Pillow's own level, and is an eighth smaller.
        canvas.save(stream, format="PNG", compress_level=1, pnginfo=heading_info(heading))
