"""Evaluation of a detector on a test set, from scores and ground truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.evaluation.metrics import (
    RECALL_FPRS,
    RESAMPLES,
    Bools,
    Estimate,
    Floats,
    MemberFigures,
    Rate,
    Resamples,
    auroc,
    auroc_by_class,
    average_precision,
    bootstrap,
    interval,
    member_figures,
    quantiles,
    rate,
    recall_at,
)
from bigan_cli.evaluation.pixel_metrics import PixelMetrics
from bigan_cli.scoring.calibration import (
    Calibration,
    calibration_method,
    calibration_promise,
)

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True, eq=False)
class TestScores:
    """The scores of a test set's N images.

    Attributes:
        score: float64 ``[N]``.
        components: Name -> float64 ``[N]``.
        pixels: Metrics of the heatmaps; None without masks or heatmaps.
        members: float64 ``[M, N]``, the score of each member alone; None for a single network.
    """

    __test__ = False  # not a test class for pytest

    score: Floats
    components: Mapping[str, Floats]
    pixels: PixelMetrics | None = None
    members: Floats | None = None


@dataclass(frozen=True)
class Ranking:
    """Metrics of the ranking of anomalies above normal images; all None if one kind is absent.

    Attributes:
        auroc: With a stratified bootstrap interval.
        average_precision: Likewise.
        components: AUROC of each score component alone.
        recall: False-positive rate -> the share of anomalies found at the threshold that has
            this rate on the test images; see :func:`recall_at`.
        pixel_auroc: AUROC of the heatmaps' single pixels against the ground-truth masks; None
            without masks or heatmaps.
        pixel_aupro: Area under the per-region overlap of the heatmaps; None likewise.
    """

    auroc: Estimate | None
    average_precision: Estimate | None
    components: Mapping[str, float | None]
    recall: Mapping[str, Estimate] = field(default_factory=dict)
    pixel_auroc: float | None = None
    pixel_aupro: float | None = None


@dataclass(frozen=True)
class OperatingPoint:
    """Rates at the calibrated threshold.

    Attributes:
        fpr: The configured false-positive rate.
        threshold: An image is called anomalous if its score exceeds this.
        calibration_images: Number of calibration images.
        calibration: ``held-out``, or ``cross-fitting`` if the networks were also trained on
            these images.
        promise: The guarantee for the false-positive rate.
        expected_fpr: Mean and 95 % interval of the true rate of a threshold from that many
            calibration images (Beta distribution); needs no test images.
        observed_fpr: Share of the normal test images called anomalous; None without any.
        observed_tpr: Share of the test anomalies called anomalous; None without any.
        precision: Share of anomalies among the test images called anomalous.
    """

    fpr: float
    threshold: float
    calibration_images: int
    calibration: str
    promise: str
    expected_fpr: Estimate
    observed_fpr: Rate | None
    observed_tpr: Rate | None
    precision: Rate | None

    @property
    def surprising(self) -> bool:
        """Whether the observed false-positive rate contradicts the expected one.

        The two 95 % intervals are then disjoint: the normal test images differ from the
        calibration images, and the guaranteed rate does not hold for them.
        """
        seen, expected = self.observed_fpr, self.expected_fpr
        return seen is not None and (seen.low > expected.high or seen.high < expected.low)


@dataclass(frozen=True)
class ClassResult:
    """One class of the test set.

    Attributes:
        name: Name of the class.
        outlier: Whether it is an anomaly under the run's protocol.
        auroc: Against all images of the other kind, with a stratified bootstrap interval.
        flagged: Share of its images that are called anomalous.
    """

    name: str
    outlier: bool
    auroc: Estimate | None
    flagged: Rate


@dataclass(frozen=True)
class Evaluation:
    """All metrics of one evaluation.

    Attributes:
        images: Number of test images.
        normal_images: Number of normal ones.
        anomalies: Number of anomalies.
        prevalence: Share of anomalies, the average precision of a random ranking; None for an
            empty test set.
        trained: Metrics of the detector.
        untrained: Metrics of the same networks before training, if they were scored.
        gain: AUROC trained minus untrained, with the interval of the paired bootstrap.
        operating_point: Rates at the calibrated threshold.
        classes: The classes that occur, in the order of the labels.
        quantiles: ``calibration``, ``normal_images`` and ``anomalies`` -> quantile -> score; None
            without such images.
        distinct_scores: Number of distinct scores; few of them for many images indicate that the
            networks have collapsed.
        resamples: Number of resamples of the bootstrap.
        seed: Seed of the bootstrap.
        masked_images: Number of images with pixel metrics.
        masked_regions: Number of connected regions of their masks.
        members: Metrics of each member alone; None for a single network or without AUROC.
    """

    images: int
    normal_images: int
    anomalies: int
    prevalence: float | None
    trained: Ranking
    untrained: Ranking | None
    gain: Estimate | None
    operating_point: OperatingPoint
    classes: tuple[ClassResult, ...]
    quantiles: Mapping[str, Mapping[str, float] | None]
    distinct_scores: int
    resamples: int
    seed: int
    masked_images: int = 0
    masked_regions: int = 0
    members: MemberFigures | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain dictionaries, lists and numbers."""
        return dataclasses.asdict(self)


def evaluate(  # noqa: PLR0913  plain arrays
    outlier: NDArray[np.bool_],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    trained: TestScores,
    flagged: Bools,
    calibration: Calibration,
    fpr: float,
    *,
    untrained: TestScores | None = None,
    seed: int = 0,
) -> Evaluation:
    """Compute all metrics of an :class:`Evaluation`.

    Args:
        outlier: bool ``[N]``, the truth; N may be 0.
        labels: int64 ``[N]``, indices into *class_names*.
        class_names: Names of all classes.
        trained: The detector's scores.
        flagged: bool ``[N]``, which images the detector calls anomalous at *fpr*.
        calibration: The detector's calibration.
        fpr: The false-positive rate of the threshold.
        untrained: The scores of the untrained networks, in the same order.
        seed: Seed of the bootstrap.

    Raises:
        DataError: A score is not finite.
        UsageError: *fpr* is not between 0 and 1, or there are too few calibration images for it.
    """
    drawn = bootstrap(outlier, trained.score, seed=seed)
    drawn_untrained = None
    if untrained is not None:
        drawn_untrained = bootstrap(outlier, untrained.score, seed=seed)
    normal_images = int((~outlier).sum())
    return Evaluation(
        images=len(outlier),
        normal_images=normal_images,
        anomalies=len(outlier) - normal_images,
        prevalence=1 - normal_images / len(outlier) if len(outlier) else None,
        trained=_ranking(outlier, trained, drawn),
        untrained=None if untrained is None else _ranking(outlier, untrained, drawn_untrained),
        gain=_gain(outlier, trained, untrained, drawn, drawn_untrained),
        operating_point=_operating_point(outlier, flagged, calibration, fpr),
        classes=_classes(outlier, labels, class_names, trained.score, flagged, seed),
        quantiles={
            "calibration": quantiles(calibration.scores, QUANTILES),
            "normal_images": quantiles(trained.score[~outlier], QUANTILES),
            "anomalies": quantiles(trained.score[outlier], QUANTILES),
        },
        distinct_scores=len(np.unique(trained.score)),
        resamples=RESAMPLES,
        seed=seed,
        masked_images=0 if trained.pixels is None else trained.pixels.images,
        masked_regions=0 if trained.pixels is None else trained.pixels.regions,
        members=member_figures(outlier, trained.members),
    )


def _ranking(outlier: Bools, scores: TestScores, drawn: Resamples | None) -> Ranking:
    components = {name: auroc(outlier, values) for name, values in scores.components.items()}
    area, precision = auroc(outlier, scores.score), average_precision(outlier, scores.score)
    pixels = scores.pixels or PixelMetrics(None, None, 0, 0)
    if drawn is None or area is None or precision is None:
        return Ranking(None, None, components, {}, pixels.auroc, pixels.aupro)
    return Ranking(
        interval(area, drawn.auroc),
        interval(precision, drawn.average_precision),
        components,
        _recall(outlier, scores.score, drawn),
        pixels.auroc,
        pixels.aupro,
    )


def _recall(outlier: Bools, score: Floats, drawn: Resamples) -> dict[str, Estimate]:
    found = {}
    for fpr in RECALL_FPRS:
        share = recall_at(outlier, score, fpr)
        if share is not None:
            found[f"{fpr:g}"] = interval(share, drawn.recall[fpr])
    return found


def _gain(
    outlier: Bools,
    trained: TestScores,
    untrained: TestScores | None,
    drawn: Resamples | None,
    drawn_untrained: Resamples | None,
) -> Estimate | None:
    if untrained is None or drawn is None or drawn_untrained is None:
        return None
    after, before = auroc(outlier, trained.score), auroc(outlier, untrained.score)
    if after is None or before is None:
        return None
    return interval(after - before, drawn.auroc - drawn_untrained.auroc)


def _operating_point(
    outlier: Bools, flagged: Bools, calibration: Calibration, fpr: float
) -> OperatingPoint:
    return OperatingPoint(
        fpr=fpr,
        threshold=calibration.threshold(fpr),
        calibration_images=calibration.n,
        calibration=calibration_method(cross_fitted=calibration.cross_fitted),
        promise=calibration_promise(cross_fitted=calibration.cross_fitted),
        expected_fpr=Estimate(*calibration.fpr_interval(fpr)),
        observed_fpr=rate(flagged[~outlier]),
        observed_tpr=rate(flagged[outlier]),
        precision=rate(outlier[flagged]) if outlier.any() else None,
    )


def _classes(
    outlier: Bools,
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    score: Floats,
    flagged: Bools,
    seed: int,
) -> tuple[ClassResult, ...]:
    results = []
    for label, area in auroc_by_class(outlier, labels, score, seed).items():
        of_class = labels == label
        share = rate(flagged[of_class])
        if share is not None:  # always, for a class that occurs
            kind = bool(outlier[of_class][0])
            results.append(ClassResult(class_names[label], kind, area, share))
    return tuple(results)
