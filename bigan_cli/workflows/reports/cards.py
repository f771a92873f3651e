"""Pictures of the images that a report shows: the extremes, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import read_image
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.masks import Masks
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.data.source_size import source_size
from bigan_cli.data.unreadable import UnreadableImage
from bigan_cli.report.drawing import to_rgb
from bigan_cli.report.heatmap import overlay
from bigan_cli.report.html.page import Box, Card, ScoredImages
from bigan_cli.report.html.pictures import data_uri, outline_uri, picture_size
from bigan_cli.scoring.detector import Detector
from bigan_cli.scoring.regions import find_regions, resize_heatmap

if TYPE_CHECKING:
    from bigan_cli.contracts import RawImage

Pixels = NDArray[np.uint8]

# Characters of all pictures together: with the numbers of 10,000 images a page stays below 10 MB.
_MOST_CHARACTERS = 7_000_000
# How many of each kind are shown; the numbers are those of whole pages of the gallery.
_EXTREMES, _LEAST, _MISTAKES, _OF_EACH_CLASS = 36, 12, 12, 2
_MOST_CLASSES = 20
# The value of the brightest colour of an overlay.
_BRIGHTEST = 4.0
# An image that is cut into tiles takes seconds.
_MOST_TILED = 8


Heatmap = NDArray[np.float32]


@dataclass(frozen=True)
class ImageSource:
    """The images themselves.

    Attributes:
        original: Index -> the image, upright and in its own size.
        pixels: Indices -> the images as the networks take them, uint8 ``[N, C, H, W]``.
        options: How files are read.
        masks: Ground truth, or None.
    """

    original: Callable[[int], RawImage]
    pixels: Callable[[NDArray[np.int64]], Pixels]
    options: DecodeOptions
    masks: Masks | None = None


@dataclass(frozen=True, eq=False)
class _Look:
    """What the detector makes of one image."""

    index: int
    rebuilt: Pixels
    heat: Heatmap | None
    roi: RegionOfInterest | None
    components: dict[str, float]


def make_cards(
    detector: Detector,
    images: ScoredImages,
    source: ImageSource,
    fpr: float | None,
    on_progress: Callable[[int, int], None],
) -> tuple[tuple[Card, ...], float]:
    """Return the pictures of the most interesting images, and the brightest value of heatmaps.

    Images whose files cannot be read any more are left out.

    Args:
        detector: Makes reconstructions and heatmaps.
        images: All images.
        source: Where they come from.
        fpr: Sets the unit of the heatmaps; None for the detector's own.
        on_progress: Called with (pictures done, in all).
    """
    chosen = _chosen(images)
    if detector.is_tiled:
        chosen = chosen[:_MOST_TILED]
    cards: list[Card] = []
    characters, batch, brightest = 0, min(16, detector.images_at_once), 0.0
    for start in range(0, len(chosen), batch):
        index = np.array(chosen[start : start + batch], np.int64)
        looks = _look(detector, source, index, fpr)
        if not start:  # the most anomalous images of all
            peaks = [float(look.heat.max()) for look in looks if look.heat is not None]
            brightest = max([_BRIGHTEST, *peaks])
        for look in looks:
            try:
                card = _card(look, source, brightest)
            except UnreadableImage:
                continue
            characters += sum(
                map(len, (card.original, card.reconstruction, card.heatmap, card.mask))
            )
            if characters > _MOST_CHARACTERS:
                return tuple(cards), brightest
            cards.append(card)
        on_progress(min(start + batch, len(chosen)), len(chosen))
    return tuple(cards), brightest


def _chosen(images: ScoredImages) -> list[int]:
    """Return the indices of the images to show, the most important first."""
    order = np.argsort(-images.score, kind="stable")
    groups = [order[:_MISTAKES], order[::-1][:_LEAST]]
    if images.outlier is not None:
        outlier = images.outlier[order]
        groups += [order[~outlier][:_MISTAKES], order[outlier][::-1][:_MISTAKES]]
    groups.append(order[:_EXTREMES])
    if images.labels is not None:
        labels = images.labels[order]
        for label in np.unique(labels)[:_MOST_CLASSES]:
            of_class = order[labels == label]
            groups += [of_class[:_OF_EACH_CLASS], of_class[::-1][:_OF_EACH_CLASS]]
    return list(dict.fromkeys(np.concatenate(groups).tolist()))


def _look(
    detector: Detector, source: ImageSource, index: NDArray[np.int64], fpr: float | None
) -> list[_Look]:
    """Return what the detector makes of the images that can be read."""
    readable, found = [], []
    for i in index.tolist():
        try:
            readable.append(source.pixels(np.array([i]))[0])
            found.append(i)
        except UnreadableImage:
            continue
    if not found:
        return []
    pixels = np.stack(readable)
    scores = detector.score(pixels, heatmaps=True, fpr=fpr)
    rebuilt = detector.reconstruct(pixels)
    return [
        _Look(
            index=i,
            rebuilt=rebuilt[place],
            heat=None if scores.heatmaps is None else scores.heatmaps[place],
            roi=detector.roi,
            components={name: float(each[place]) for name, each in scores.components.items()},
        )
        for place, i in enumerate(found)
    ]


def _card(look: _Look, source: ImageSource, brightest: float) -> Card:
    raw = source.original(look.index)
    height, width = source_size(raw, source.options)
    shown = display_pixels(raw, *picture_size(height, width), source.options)
    heatmap, boxes, peak = "", tuple[Box, ...](), None
    if look.heat is not None:
        keep_aspect = source.options.keep_aspect
        heat = resize_heatmap(
            look.heat, shown.shape[0], shown.shape[1], look.roi, keep_aspect=keep_aspect
        )
        heatmap = data_uri(np.asarray(overlay(shown, _compressed(heat, brightest))))
        full = resize_heatmap(look.heat, height, width, look.roi, keep_aspect=keep_aspect)
        boxes = _boxes(full)
        peak = _peak(full) if boxes else None
    return Card(
        index=look.index,
        width=width,
        height=height,
        original=data_uri(shown),
        reconstruction=data_uri(to_rgb(look.rebuilt)),
        heatmap=heatmap,
        mask=_outline(source.masks, look.index, *shown.shape[:2]),
        boxes=boxes,
        peak=peak,
        components=look.components,
    )


def _compressed(heat: Heatmap, brightest: float) -> Heatmap:
    """Return a heatmap with values from 1 to *brightest* on a logarithmic scale from 1 to 4.

    A clear defect exceeds the threshold many times over, and all around it; on the usual scale
    its place would be lost in one colour. Values up to the threshold are unchanged.
    """
    above = np.log(np.maximum(heat, 1)) * np.float32((_BRIGHTEST - 1) / np.log(brightest))
    return np.where(heat > 1, 1 + above, heat).astype(np.float32)


def _boxes(heat: Heatmap) -> tuple[Box, ...]:
    """Return the frames of an image's regions in its heatmap, which has the image's own size."""
    height, width = heat.shape
    return tuple(
        Box(
            round(100 * region.left / width, 3),
            round(100 * region.top / height, 3),
            round(100 * region.width / width, 3),
            round(100 * region.height / height, 3),
        )
        for region in find_regions(heat)
    )


def _peak(heat: Heatmap) -> tuple[float, float]:
    """Return where a heatmap is highest, in percent from the left and the top."""
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    return (
        round(100 * (column + 0.5) / heat.shape[1], 2),
        round(100 * (row + 0.5) / heat.shape[0], 2),
    )


def display_pixels(raw: RawImage, height: int, width: int, options: DecodeOptions) -> Pixels:
    """Return an image in colour at another size, uint8 ``[H, W, 3]``."""
    stretched = replace(options, keep_aspect=False)
    pixels = read_image(raw, ImageShape(3, height, width), stretched)
    return np.ascontiguousarray(np.moveaxis(pixels, 0, -1))


def _outline(masks: Masks | None, index: int, height: int, width: int) -> str:
    """Return the outline of the ground truth, or nothing where there is none."""
    if masks is None or index not in masks.index:
        return ""
    anomalous = masks.anomalous(index)
    return outline_uri(anomalous, height, width) if anomalous.any() else ""


def file_source(paths: Sequence[str], shape: ImageShape, options: DecodeOptions) -> ImageSource:
    """Return the source of image files."""

    def pixels(index: NDArray[np.int64]) -> Pixels:
        return np.stack([read_image(Path(paths[i]), shape, options) for i in index.tolist()])

    return ImageSource(lambda i: Path(paths[i]), pixels, options)
