"""Metrics of the separation of anomalies from normal images, with confidence intervals.

All functions take the ground truth as ``outlier`` (bool ``[N]``) and scores as floats ``[N]``,
higher for anomalies. Scores are unbounded and compared in float64. A metric that is undefined
because one kind of image is absent is None, not 0.5. Scores that are not finite raise a
:class:`DataError`.

scikit-learn and scipy are imported inside the functions that need them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bigan_cli.errors import DataError

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

RESAMPLES = 1000
RECALL_FPRS = (0.0, 0.01, 0.05)
"""The false-positive rates at which recall is reported."""
CONFIDENCE = 0.95

# Resamples are computed in blocks of about this many images, in about 100 MB of memory.
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Rate:
    """A share of *total* images, with its exact (Clopper-Pearson) 95 % interval."""

    count: int
    total: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Resamples:
    """The metrics of each bootstrap resample, float64 ``[R]``; recall by false-positive rate.

    Two results with the same truth, seed and number of resamples have the same resamples, so
    their differences are the paired bootstrap of the difference.
    """

    auroc: Floats
    average_precision: Floats
    recall: Mapping[float, Floats]


@dataclass(frozen=True)
class MemberFigures:
    """Metrics of the single members of an ensemble.

    Attributes:
        auroc: AUROC of each member's score, in the order of the members.
        mean: Their mean.
        standard_deviation: That of the sample (divisor M - 1): the effect of the seed alone.
    """

    auroc: tuple[float, ...]
    mean: float
    standard_deviation: float


def auroc(outlier: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the area under the ROC curve, or None if one kind is absent.

    It is the probability that a random anomaly has a higher score than a random normal image;
    ties count half.
    """
    truth, values = _checked(outlier, scores)
    if not _both(truth):
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, values))


def average_precision(outlier: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the average precision, the sum of (R_i - R_i-1) P_i, or None as in :func:`auroc`.

    It depends on the prevalence: a random ranking has the share of anomalies, not 0.5.
    """
    truth, values = _checked(outlier, scores)
    if not _both(truth):
        return None
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, values))


def recall_at(outlier: ArrayLike, scores: ArrayLike, fpr: float) -> float | None:
    """Return the largest share of anomalies found at a false-positive rate of at most *fpr*.

    The threshold is chosen on these images, unlike the calibrated one.

    Returns:
        The recall, or None as in :func:`auroc`.
    """
    truth, values = _checked(outlier, scores)
    if not _both(truth):
        return None
    normal = np.sort(values[~truth])[::-1]
    allowed = _allowed(fpr, len(normal))
    if allowed >= len(normal):
        return 1.0
    return float((values[truth] > normal[allowed]).mean())


def _allowed(fpr: float, normal_images: int) -> int:
    """Return how many of *normal_images* may be flagged at a rate of *fpr*."""
    return math.floor(fpr * normal_images + 1e-9)  # 0.29 * 100 is below 29


def bootstrap(
    outlier: ArrayLike, scores: ArrayLike, resamples: int = RESAMPLES, seed: int = 0
) -> Resamples | None:
    """Resample normal images and anomalies separately, with replacement.

    Stratification keeps the prevalence of the test set. Distinct scores are ranked once; a
    resample is then two histograms over the ranks, whose cumulative sums give the
    metrics (1,000 resamples of 10,000 scores take about half a second).

    Returns:
        One AUROC and average precision per resample, or None if one kind is absent.
    """
    truth, values = _checked(outlier, scores)
    if not _both(truth):
        return None
    distinct, rank = np.unique(-values, return_inverse=True)  # rank 0 is the highest score
    strata = rank[~truth], rank[truth]
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(values))
    parts = []
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        false, true = (_histograms(s, rows, len(distinct), random) for s in strata)
        parts.append(_figures(false, true))
    joined = np.concatenate(parts, axis=1)
    return Resamples(joined[0], joined[1], dict(zip(RECALL_FPRS, joined[2:], strict=True)))


def interval(value: float, samples: Floats, confidence: float = CONFIDENCE) -> Estimate:
    """Return *value* with the percentile interval of its bootstrap *samples*.

    An interval that does not contain the value (possible at the end of the scale) is widened.
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return Estimate(value, min(float(low), value), max(float(high), value))


def auroc_by_class(
    outlier: ArrayLike, labels: ArrayLike, scores: ArrayLike, seed: int = 0
) -> dict[int, Estimate | None]:
    """Return the AUROC of each class among *labels* against all images of the other kind.

    An anomalous class is compared with all normal images, a normal class with all anomalies. The
    intervals are those of :func:`bootstrap` with *seed*.
    """
    truth, values = _checked(outlier, scores)
    classes = np.asarray(labels)
    result: dict[int, Estimate | None] = {}
    for label in np.unique(classes):
        of_class = classes == label
        kind = bool(truth[of_class][0])
        chosen = of_class | (truth != kind)
        area = auroc(truth[chosen], values[chosen])
        drawn = bootstrap(truth[chosen], values[chosen], seed=seed)
        result[int(label)] = None
        if area is not None and drawn is not None:
            result[int(label)] = interval(area, drawn.auroc)
    return result


def member_figures(outlier: ArrayLike, scores: Floats | None) -> MemberFigures | None:
    """Return the metrics of each row of *scores*, float64 ``[M, N]``.

    None with fewer than two members, or if one kind of image is absent.
    """
    if scores is None or len(scores) < 2:
        return None
    areas = [area for row in scores if (area := auroc(outlier, row)) is not None]
    if not areas:
        return None
    return MemberFigures(tuple(areas), float(np.mean(areas)), float(np.std(areas, ddof=1)))


def rate(flagged: ArrayLike, confidence: float = CONFIDENCE) -> Rate | None:
    """Return the share of True among *flagged* (bool ``[N]``), or None if N is 0.

    The interval is that of Clopper and Pearson, exact for a binomial count: its coverage is at
    least 95 % for any N, so it is a little wide.
    """
    hits = np.asarray(flagged, dtype=bool)
    if hits.size == 0:
        return None
    from scipy.special import betaincinv

    count, total = int(hits.sum()), int(hits.size)
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, tail))
    high = 1.0 if count == total else float(betaincinv(count + 1, total - count, 1 - tail))
    return Rate(count, total, count / total, low, high)


def quantiles(scores: ArrayLike, at: Sequence[float]) -> dict[str, float] | None:
    """Return the score at each quantile of *at*, by its name (``"0.95"``), or None if empty."""
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0:
        return None
    return {f"{q:g}": float(v) for q, v in zip(at, np.quantile(values, at), strict=True)}


def _checked(outlier: ArrayLike, scores: ArrayLike) -> tuple[Bools, Floats]:
    truth = np.asarray(outlier, dtype=bool)
    values = np.asarray(scores, dtype=np.float64)
    if truth.shape != values.shape or truth.ndim != 1:
        raise ValueError(f"truth {truth.shape} and scores {values.shape} must be two equal lists")
    if not np.isfinite(values).all():
        raise DataError(f"{(~np.isfinite(values)).sum()} of {len(values)} scores are not finite")
    return truth, values


def _both(truth: Bools) -> bool:
    return bool(truth.any()) and not bool(truth.all())


def _histograms(
    stratum: NDArray[np.intp], rows: int, bins: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Return the count of each rank, ``[rows, bins]``, in *rows* resamples of the stratum."""
    drawn = stratum[random.integers(0, len(stratum), (rows, len(stratum)))]
    drawn += np.arange(rows)[:, None] * bins
    return np.bincount(drawn.ravel(), minlength=rows * bins).reshape(rows, bins)


def _figures(false: NDArray[np.int64], true: NDArray[np.int64]) -> Floats:
    """Return (AUROC, average precision, recall at each rate) of each row, ``[5, rows]``.

    Args:
        false: ``[rows, G]`` normal images at each distinct score, the highest score first.
        true: The same for anomalies.
    """
    false_above = np.cumsum(false, axis=1)
    true_above = np.cumsum(true, axis=1)
    normals, anomalies = false_above[:, -1], true_above[:, -1]
    below = normals[:, None] - false_above + 0.5 * false
    area = (true * below).sum(axis=1) / (normals * anomalies)
    # Without images down to here the precision is 0/0, and has weight 0.
    precision = true_above / np.maximum(true_above + false_above, 1)
    average = (true * precision).sum(axis=1) / anomalies
    allowed = [_allowed(fpr, int(normals[0])) for fpr in RECALL_FPRS]
    recall = [_found(false_above, true_above, number) / anomalies for number in allowed]
    return np.stack([area, average, *recall])


def _found(
    false_above: NDArray[np.int64], true_above: NDArray[np.int64], allowed: int
) -> NDArray[np.int64]:
    """Return how many anomalies each row flags with at most *allowed* normal images, ``[rows]``."""
    # The lowest threshold that flags no more; there may be none.
    thresholds = np.count_nonzero(false_above <= allowed, axis=1)
    last = np.maximum(thresholds - 1, 0)[:, None]
    found = np.take_along_axis(true_above, last, axis=1)[:, 0]
    return np.where(thresholds > 0, found, 0)
