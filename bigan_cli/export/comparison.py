"""Comparison of an exported model with the detector that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bigan_cli.errors import DataError
from bigan_cli.export.graph import TIE
from bigan_cli.export.outputs import Runner
from bigan_cli.formatting import count
from bigan_cli.scoring.detector import Detector

LARGEST_DIFFERENCE = 1e-4
"""Scores may differ by this, relative to max(1, score): 1 is the spread of normal scores."""
LARGEST_MAP_DIFFERENCE = 1e-3
"""Heatmaps may differ by this; 1 is the threshold."""


@dataclass(frozen=True)
class Comparison:
    """How far an exported model is from its detector, over some images.

    Attributes:
        images: How many.
        score_difference: The largest difference of scores, relative to max(1, score).
        p_value_difference: The largest difference of p-values.
        heatmap_difference: The largest difference of heatmaps; None without heatmaps.
        labels_differing: How many labels differ, of images whose score is not the threshold.
        at_threshold: How many images have the threshold as their score, but for rounding
            (:data:`~bigan_cli.export.graph.TIE`), which alone decides the detector's label; the
            exported model calls them normal. One of the calibration images always is.
    """

    images: int
    score_difference: float
    p_value_difference: float
    heatmap_difference: float | None
    labels_differing: int
    at_threshold: int

    def check(self) -> None:
        """Raise a DataError if the exported model is not the same as the detector."""
        problems = []
        # Not the opposite comparison: a difference may be NaN.
        if not self.score_difference <= LARGEST_DIFFERENCE:
            problems.append(f"scores differ by up to {self.score_difference:.2g}")
        heat = self.heatmap_difference
        if heat is not None and not heat <= LARGEST_MAP_DIFFERENCE:
            problems.append(f"heatmaps differ by up to {heat:.2g}")
        if self.labels_differing:
            problems.append(f"{count(self.labels_differing, 'label')} changed")
        if problems:
            raise DataError(
                f"the exported model does not match the detector on {count(self.images, 'image')}: "
                + ", ".join(problems),
                "nothing was written; please report this, with the architecture and components",
            )


def compare(
    detector: Detector,
    run: Runner,
    pixels: NDArray[np.uint8],
    fpr: float,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Comparison:
    """Compare an exported model with its detector.

    The exported model gets one image alone, and the others in batches of the detector's size.

    Args:
        detector: On the CPU.
        run: Runs the exported model.
        pixels: uint8 ``[N, C, H, W]``, N >= 1.
        fpr: The false-positive rate of the exported model.
        on_progress: Called with (images done, total).
    """
    threshold = detector.calibration.threshold(fpr)
    scores, p_values, heatmaps = [0.0], [0.0], []
    labels = at_threshold = 0
    starts = [0, *range(1, len(pixels), detector.batch_size)]
    for start, stop in zip(starts, [*starts[1:], len(pixels)], strict=True):
        chunk = np.asarray(pixels[start:stop])
        expected = detector.score(chunk, heatmaps=True, fpr=fpr)
        found = run(np.ascontiguousarray(chunk.transpose(0, 2, 3, 1)))
        unit = np.maximum(1, np.abs(expected.score))
        scores.append(float((np.abs(found["score"] - expected.score) / unit).max()))
        p_values.append(float(np.abs(found["p_value"] - expected.p_value).max()))
        if expected.heatmaps is not None:
            heatmaps.append(float(np.abs(found["heatmap"] - expected.heatmaps).max()))
        tied = np.abs(expected.score - threshold) <= TIE * max(1, abs(threshold))
        changed = found["label"] != detector.predict(expected, fpr)
        labels += int((changed & ~tied).sum())
        at_threshold += int(tied.sum())
        on_progress(stop, len(pixels))
    # numpy's maximum, which keeps NaN.
    largest = float(np.max(heatmaps)) if heatmaps else None
    return Comparison(
        images=len(pixels),
        score_difference=float(np.max(scores)),
        p_value_difference=float(np.max(p_values)),
        heatmap_difference=largest,
        labels_differing=labels,
        at_threshold=at_threshold,
    )
