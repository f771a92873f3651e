"""Scoring of a test set: its images, their masks, and the scores of a detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bigan_cli.data.masks import Masks
from bigan_cli.data.prepare import TestSet
from bigan_cli.evaluation.detector_evaluation import TestScores
from bigan_cli.evaluation.pixel_metrics import PixelHistograms, PixelMetrics
from bigan_cli.scoring.detector import Detector, Scores
from bigan_cli.scoring.regions import resize_heatmap
from bigan_cli.workflows.models import LoadedModel

# Images scored between two reports of progress; a multiple of any useful batch size.
_CHUNK = 1024
# Batches whose heatmaps are in memory at a time.
_MAPS_TOGETHER = 4


@dataclass(frozen=True, eq=False)
class ScoredTest:
    """A test set with the scores of its images.

    Attributes:
        model: The detector that was evaluated.
        test: The images.
        masks: Their ground-truth masks; None if they have none.
        scores: The scores of the images, in their order.
        untrained: The same of the untrained networks; None if they were not scored.
    """

    model: LoadedModel
    test: TestSet
    masks: Masks | None
    scores: Scores
    untrained: Scores | None


def score_test(
    detector: Detector, test: TestSet, on_progress: Callable[[int, int], None]
) -> Scores:
    """Return the scores of the test images; *on_progress* gets (images done, total)."""
    pixels = test.images.pixels
    chunk = max(_CHUNK // detector.batch_size, 1) * detector.batch_size
    if detector.is_tiled:  # one image may take seconds
        chunk = 1
    chunks: list[Scores] = []
    for start in range(0, max(len(pixels), 1), chunk):
        chunks.append(detector.score(pixels[start : start + chunk]))
        on_progress(min(start + chunk, len(pixels)), len(pixels))
    return Scores(
        np.concatenate([scores.score for scores in chunks]),
        np.concatenate([scores.p_value for scores in chunks]),
        {
            name: np.concatenate([scores.components[name] for scores in chunks])
            for name in detector.component_names
        },
        np.concatenate([scores.members for scores in chunks], axis=1),
    )


def with_pixels(
    scores: Scores,
    detector: Detector,
    test: TestSet,
    masks: Masks | None,
    *,
    keep_aspect: bool = False,
) -> TestScores:
    """Return *scores* with the metrics of the heatmaps of images with masks, if there are any.

    Args:
        scores: Of the test images.
        detector: The detector that scored them.
        test: The images.
        masks: Their ground truth, or None.
        keep_aspect: Whether the images were padded instead of stretched.
    """
    pixels = None
    if masks is not None and detector.has_heatmaps:
        pixels = _pixel_metrics(detector, test, masks, keep_aspect=keep_aspect)
    return TestScores(scores.score, scores.components, pixels, scores.members)


def _pixel_metrics(
    detector: Detector, test: TestSet, masks: Masks, *, keep_aspect: bool
) -> PixelMetrics:
    """Return the metrics of the heatmaps, each at the size of its image in the dataset."""
    histograms = PixelHistograms()
    chunk = 1 if detector.is_tiled else _MAPS_TOGETHER * detector.batch_size
    for start in range(0, len(masks.index), chunk):
        images = masks.index[start : start + chunk]
        heatmaps = detector.heatmaps(test.images.pixels[images])
        if heatmaps is None:
            break
        for image, heat in zip(images.tolist(), heatmaps, strict=True):
            anomalous = masks.anomalous(image)
            height, width = anomalous.shape
            inside = None if detector.roi is None else detector.roi.at_size(height, width)
            heat_of_image = resize_heatmap(
                heat, height, width, detector.roi, keep_aspect=keep_aspect
            )
            histograms.add(heat_of_image, anomalous, inside)
    return histograms.metrics()
