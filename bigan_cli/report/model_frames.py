"""Frames that show what models do: a walk through latents, scores and heatmaps over the epochs."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bigan_cli.report.binning import bins, linear_width, ticks
from bigan_cli.report.drawing import (
    ANOMALY,
    BACKGROUND,
    MUTED,
    NORMAL,
    RULE,
    Size,
    fit,
    line_height,
    to_rgb,
    write,
)
from bigan_cli.report.grid_layout import GAP, HEADING, MARGIN, Tile
from bigan_cli.report.heatmap import overlay
from bigan_cli.report.mpl_style import ANOMALY as ANOMALY_HEX
from bigan_cli.report.mpl_style import NORMAL as NORMAL_HEX
from bigan_cli.report.mpl_style import STYLE
from bigan_cli.report.mpl_style import TEXT as TEXT_HEX

_TEXT = 13
_DPI = 110


@dataclass(frozen=True)
class DrawnFrames:
    """Frames that are drawn already.

    Attributes:
        images: uint8 ``[H, W, 3]`` each, all of one size.
    """

    images: Sequence[NDArray[np.uint8]]

    @property
    def size(self) -> Size:
        """Width and height of every frame in pixels."""
        height, width = self.images[0].shape[:2]
        return width, height

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return iter(self.images)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return the frame at *index*."""
        return self.images[index]


@dataclass(frozen=True)
class EpochScores:
    """The scores of a test set by the model of one epoch.

    Attributes:
        epoch: 0 of the untrained network.
        normal: Scores of the normal images.
        outlier: Scores of the anomalies; may be empty.
        threshold: Scores above it are flagged; infinite if there is none.
        auroc: Of the scores; None without anomalies.
    """

    epoch: int
    normal: NDArray[np.float64]
    outlier: NDArray[np.float64]
    threshold: float
    auroc: float | None


def epoch_title(epoch: int) -> str:
    """Return how a frame names its epoch."""
    return "untrained" if epoch == 0 else f"epoch {epoch}"


def score_frames(epochs: Sequence[EpochScores], scale: float = 1.0) -> DrawnFrames:
    """Return one histogram for each epoch, all with the same axes."""
    every = np.concatenate([part for each in epochs for part in (each.normal, each.outlier)])
    width = linear_width(epochs[0].normal, every)
    edges = bins(every, width)
    top = max(
        float(_shares(values, edges).max())
        for each in epochs
        for values in (each.normal, each.outlier)
        if len(values)
    )
    return DrawnFrames([_histogram(each, every, edges, width, top, scale) for each in epochs])


def _shares(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.histogram(values, edges)[0] / max(1, len(values))


def _histogram(
    scores: EpochScores,
    every: NDArray[np.float64],
    edges: NDArray[np.float64],
    width: float | None,
    top: float,
    scale: float,
) -> NDArray[np.uint8]:
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(7.2, 4.4), dpi=round(_DPI * scale), layout="constrained")
        FigureCanvasAgg(figure)
        axis = figure.subplots()
        result = "" if scores.auroc is None else f"      AUROC {scores.auroc:.3f}"
        axis.set_title(f"{epoch_title(scores.epoch)}{result}")
        if width is not None:
            axis.set_xscale("asinh", linear_width=width)
            marks = ticks(every, width)
            axis.set_xticks(marks, [f"{mark:,g}" for mark in marks])
            axis.minorticks_off()
        groups = (
            ("normal test images", scores.normal, NORMAL_HEX),
            ("test anomalies", scores.outlier, ANOMALY_HEX),
        )
        for label, values, colour in groups:
            if len(values):
                axis.stairs(
                    _shares(values, edges),
                    edges,
                    fill=True,
                    facecolor=(colour, 0.45),
                    edgecolor=colour,
                    label=f"{label} ({len(values):,})",
                )
        if np.isfinite(scores.threshold):
            axis.axvline(scores.threshold, color=TEXT_HEX, linewidth=1.4, label="threshold")
        axis.set_xlim(edges[0], edges[-1])
        axis.set_ylim(0, 1.05 * top)
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axis.set_xlabel("Score, higher is more anomalous")
        axis.set_ylabel("Share of the group")
        axis.legend(loc="upper right")
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=figure.dpi)
    with Image.open(stream) as drawn:
        return np.asarray(drawn.convert("RGB"))


def heatmap_frames(
    images: NDArray[np.uint8],
    captions: Sequence[str],
    outlier: Sequence[bool],
    heatmaps: Sequence[tuple[int, NDArray[np.float32]]],
) -> DrawnFrames:
    """Return one frame for each epoch: the images, and their heatmaps laid over them.

    Args:
        images: uint8 ``[N, C, H, W]``.
        captions: One for each image.
        outlier: Whether each is an anomaly.
        heatmaps: (epoch, heatmaps ``[N, h, w]`` in units of normal images).
    """
    tile = Tile.of(images)
    width = 2 * MARGIN + len(images) * (tile.width + GAP) - GAP
    top = MARGIN + line_height(HEADING) + line_height(_TEXT) + 6
    height = top + 2 * (tile.height + GAP) + MARGIN
    frames = []
    for epoch, heats in heatmaps:
        canvas = Image.new("RGB", (max(width, 240), height), BACKGROUND)
        draw = ImageDraw.Draw(canvas)
        write(draw, (MARGIN, MARGIN + line_height(HEADING) // 2), epoch_title(epoch), HEADING)
        for i, image in enumerate(images):
            left = MARGIN + i * (tile.width + GAP)
            colour = ANOMALY if outlier[i] else MUTED
            middle = top - line_height(_TEXT) // 2
            write(draw, (left, middle), fit(captions[i], _TEXT, tile.width), _TEXT, colour)
            rgb = to_rgb(image)
            tile.paste(canvas, draw, rgb, (left, top))
            below = (left, top + tile.height + GAP)
            tile.paste(canvas, draw, np.asarray(overlay(rgb, heats[i])), below)
        frames.append(np.asarray(canvas))
    return DrawnFrames(frames)


def walk_frames(
    rows: Sequence[tuple[str, NDArray[np.uint8]]], positions: Sequence[float]
) -> DrawnFrames:
    """Return the frames of walks, one below the other.

    Args:
        rows: (title, images of the steps, uint8 ``[T, N, C, H, W]``): N images side by side.
        positions: Of each step on the walk, -1 to 1, shown by a mark.
    """
    tile = Tile.of(rows[0][1][0])
    columns = max(images.shape[1] for _, images in rows)
    width = max(2 * MARGIN + columns * (tile.width + 4) - 4, 260)
    title = line_height(_TEXT) + 4
    height = 2 * MARGIN + len(rows) * (title + tile.height + GAP) + 8
    frames = []
    for step, position in enumerate(positions):
        canvas = Image.new("RGB", (width, height), BACKGROUND)
        draw = ImageDraw.Draw(canvas)
        for r, (text, images) in enumerate(rows):
            top = MARGIN + r * (title + tile.height + GAP)
            write(draw, (MARGIN, top + title // 2), fit(text, _TEXT, width - 2 * MARGIN), _TEXT)
            for k, image in enumerate(images[step]):
                at = (MARGIN + k * (tile.width + 4), top + title)
                tile.paste(canvas, draw, to_rgb(image), at)
        middle, right = height - MARGIN, width - MARGIN
        draw.line((MARGIN, middle, right, middle), fill=RULE, width=2)
        at = round(MARGIN + (position + 1) / 2 * (right - MARGIN))
        draw.ellipse((at - 5, middle - 5, at + 5, middle + 5), fill=NORMAL)
        frames.append(np.asarray(canvas))
    return DrawnFrames(frames)
