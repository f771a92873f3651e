"""Scoring of batches of decoded images, concurrently and in order."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode_pipeline import DecodedImage, map_batches
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.sources.image_source import Failed, Found
from bigan_cli.data.unreadable import UnreadableImage
from bigan_cli.errors import DataError, UsageError
from bigan_cli.formatting import one_line
from bigan_cli.scoring.regions import THRESHOLD, find_regions, resize_heatmap
from bigan_cli.storage.score_table import ANOMALY, NORMAL, NOT_FINITE, REVIEW, ScoreRow
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.map_files import MapFiles
from bigan_cli.workflows.models import LoadedModel

if TYPE_CHECKING:
    from bigan_cli.data.region_of_interest import RegionOfInterest
    from bigan_cli.scoring.detector import Detector, Scores

_COLOURS = {1: "grey", 3: "RGB", 4: "RGBA"}
# More warnings about single files are not useful; every input has its row.
_MOST_WARNINGS = 20


@dataclass
class Counts:
    """Counts of the inputs processed so far; see :class:`ScoreResult`."""

    scored: int = 0
    skipped: int = 0
    not_finite: int = 0
    anomalies: int = 0
    reviews: int = 0
    conversions: Counter[str] = field(default_factory=Counter)


class StoppedError(Exception):
    """``should_stop`` returned True; the partial output stays."""


@dataclass(frozen=True)
class Rule:
    """How images are labelled: arguments of :meth:`Detector.predict`, and the resulting limit.

    Attributes:
        fpr: The false-positive rate, or None.
        threshold: A threshold in its place, or None.
        limit: The score above which an image is anomalous.
        review_fpr: The false-positive rate above which an image is to be reviewed, if it is not
            anomalous; None without such a band.
        review_limit: The score for that rate.
    """

    fpr: float | None
    threshold: float | None
    limit: float
    review_fpr: float | None = None
    review_limit: float | None = None

    @classmethod
    def of(
        cls,
        detector: Detector,
        fpr: float | None,
        threshold: float | None,
        review_fpr: float | None = None,
    ) -> Rule:
        """Return the rule for the arguments of a call, *fpr* or *threshold* or neither.

        Raises:
            UsageError: *review_fpr* marks no image that is not anomalous already, or there are too
                few calibration images for a rate.
        """
        calibration = detector.calibration
        if threshold is None:
            fpr = detector.default_fpr if fpr is None else fpr
            limit = calibration.threshold(fpr)
        else:
            fpr, limit = None, threshold
        review_limit = None if review_fpr is None else calibration.threshold(review_fpr)
        if review_limit is not None and review_limit >= limit:
            raise UsageError(
                f"no image would be labelled 'review': its scores would begin at "
                f"{review_limit:.4g}, and those of anomalies at {limit:.4g}",
                "set 'review_fpr=SHARE' higher" + (f" than {fpr:g}" if fpr is not None else ""),
            )
        return cls(fpr, threshold, limit, review_fpr, review_limit)

    def labels(self, detector: Detector, scores: Scores) -> list[str]:
        """Return the label of each image."""
        anomalous = detector.predict(scores, self.fpr, self.threshold)
        odd = anomalous if self.review_fpr is None else detector.predict(scores, self.review_fpr)
        return [
            ANOMALY if is_anomalous else REVIEW if is_odd else NORMAL
            for is_anomalous, is_odd in zip(anomalous.tolist(), odd.tolist(), strict=True)
        ]


def score_batches(
    model: LoadedModel,
    inputs: Iterable[Found],
    rule: Rule,
    options: DecodeOptions,
    files: MapFiles | None,
    counts: Counts,
    callbacks: Callbacks,
    *,
    strict: bool,
) -> Iterator[list[ScoreRow]]:
    """Yield the rows of each batch, in the order of the inputs, and count them.

    The files of a batch's heatmaps are written before its rows are returned.
    """
    detector = model.detector
    on_cpu = model.device.type == "cpu"
    # A GPU computes one batch after another, a CPU one on each of its cores.
    turn = nullcontext() if on_cpu else threading.Lock()

    def work(batch: list[DecodedImage]) -> tuple[list[DecodedImage], list[ScoreRow]]:
        with turn:
            scored = score_batch(model, batch, rule)
        for image in batch:
            image.pixels = None  # frees the memory
        located = [
            with_regions(row, image, heat, detector.roi, files, options)
            for row, image, heat in scored
        ]
        return batch, located

    results = map_batches(
        inputs,
        detector.shape,
        detector.images_at_once,
        work,
        workers=_cpu_workers(detector) if on_cpu else 0,
        options=options,
    )
    for batch, rows in results:
        for image, row in zip(batch, rows, strict=True):
            if row.error:
                _skip(row, counts, callbacks, strict=strict)
            else:
                counts.conversions.update(_conversions(image, detector.shape))
        counts.scored += sum(row.score is not None for row in rows)
        counts.anomalies += sum(row.label == ANOMALY for row in rows)
        counts.reviews += sum(row.label == REVIEW for row in rows)
        yield rows
        callbacks.on_progress("scoring images", counts.scored + counts.skipped, None)
        if callbacks.should_stop():
            raise StoppedError


Scored = tuple[ScoreRow, DecodedImage, NDArray[np.float32] | None]
"""The row of an image, the image, and its heatmap at the model's size if there is one."""


def score_batch(model: LoadedModel, batch: Sequence[DecodedImage], rule: Rule) -> list[Scored]:
    """Return the row of each image, and its heatmap at the model's size if there is one."""
    detector = model.detector
    pixels = [image.pixels for image in batch if image.pixels is not None]
    if not pixels:
        return [(ScoreRow(image.name, error=image.error), image, None) for image in batch]
    scores = detector.score(np.stack(pixels), heatmaps=True, fpr=rule.fpr, allow_nan=True)
    labels = rule.labels(detector, scores)
    table = np.stack([scores.score, scores.p_value, *scores.components.values()], axis=1)
    maps = [None] * len(pixels) if scores.heatmaps is None else list(scores.heatmaps)
    scored = zip(table.tolist(), labels, maps, strict=True)
    rows: list[Scored] = []
    for image in batch:
        path = image.name
        if image.pixels is None:
            rows.append((ScoreRow(path, error=image.error), image, None))
            continue
        (score, p_value, *values), label, heat = next(scored)
        if not all(map(math.isfinite, (score, *values))):
            rows.append((ScoreRow(path, error=NOT_FINITE), image, None))
            continue
        components = dict(zip(scores.components, values, strict=True))
        rows.append((ScoreRow(path, score, p_value, label, components), image, heat))
    return rows


def with_regions(
    row: ScoreRow,
    image: DecodedImage,
    heat: NDArray[np.float32] | None,
    roi: RegionOfInterest | None,
    files: MapFiles | None,
    options: DecodeOptions,
) -> ScoreRow:
    """Return the row with the regions of the image, and write the files of its heatmap."""
    if heat is None or image.found is None or isinstance(image.source, Failed):
        return row
    if files is None and not (heat > THRESHOLD).any():
        return replace(row, regions=())  # a resized map has no larger values
    size = (image.found.height, image.found.width)
    heat = resize_heatmap(heat, *size, roi, keep_aspect=options.keep_aspect)
    regions = find_regions(heat)
    if files is not None:
        try:
            inside = None if roi is None else roi.at_size(*size)
            files.write(image.source, heat, regions, options, inside)
        except UnreadableImage as error:  # since it was scored
            return ScoreRow(row.path, error=error.reason)
    return replace(row, regions=regions)


def _skip(row: ScoreRow, counts: Counts, callbacks: Callbacks, *, strict: bool) -> None:
    path = one_line(row.path)
    if strict:
        failed = "score" if row.error == NOT_FINITE else "read"
        raise DataError(
            f"cannot {failed} {path}: {row.error}", "'strict=True' ends at the first of these"
        )
    counts.skipped += 1
    counts.not_finite += row.error == NOT_FINITE
    if counts.skipped <= _MOST_WARNINGS:
        callbacks.warn(f"skipped {path}: {row.error}")
    if counts.skipped == _MOST_WARNINGS:
        callbacks.warn("further skipped inputs are not listed here; each has its row")


def _conversions(image: DecodedImage, shape: ImageShape) -> list[str]:
    """Return descriptions of how an image was converted to the model's shape."""
    found = image.found
    if found is None:
        return []
    conversions = []
    if found.channels != shape.channels:
        conversions.append(
            f"converted from {_COLOURS[found.channels]} to {_COLOURS[shape.channels]}"
        )
    if (found.height, found.width) != (shape.height, shape.width):
        conversions.append(f"resized to {shape.height}x{shape.width}")
    return [*conversions, *found.remarks]


def _cpu_workers(detector: Detector) -> int:
    """Return how many batches a CPU computes at a time; ``OMP_NUM_THREADS`` decides if set."""
    import torch

    if detector.is_tiled:  # its tiles keep all cores busy
        return 1

    return torch.get_num_threads()
