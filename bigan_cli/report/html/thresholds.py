"""The thresholds that a reader can choose, and what each of them would flag."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bigan_cli.report.html.page import ScoredImages
from bigan_cli.scoring.calibration import Calibration, images_needed

# Every rank up to this has a stop of its own; above, each is this much larger than the last.
_DENSE = 100
_GROWTH = 1.02
# Higher false-positive rates are of no use.
_HIGHEST_FPR = 0.5
# The rates of the table, besides that of the report and a tenth of it.
_RATES = (0.1, 0.05, 0.01, 0.001)


@dataclass(frozen=True)
class Stop:
    """One threshold, and what it flags.

    Attributes:
        rank: An image is flagged if its p-value is at most rank / (n + 1); 0 for a threshold
            that was given as a score.
        option: The shortest ``--fpr`` with this threshold, as text; empty for a given score.
        fpr: rank / (n + 1); None for a given score.
        threshold: Scores above it are flagged.
        flagged: How many images it flags.
        false_positives: How many normal images among them; None where the truth is not known.
        true_positives: How many anomalies; None likewise.
    """

    rank: int
    option: str
    fpr: float | None
    threshold: float
    flagged: int
    false_positives: int | None
    true_positives: int | None


@dataclass(frozen=True)
class RateRow:
    """A false-positive rate of the table.

    Attributes:
        fpr: The rate asked for.
        stop: What it flags; None if there are too few calibration images.
        needed: How many calibration images it needs.
    """

    fpr: float
    stop: Stop | None
    needed: int


def ranks(images: ScoredImages, calibration: Calibration) -> NDArray[np.int64]:
    """Return the rank m of each image, where its p-value is m / (n + 1), int64 ``[N]``."""
    return np.rint(images.p_value * (calibration.n + 1)).astype(np.int64)


def stops(
    images: ScoredImages, calibration: Calibration, fpr: float | None, threshold: float
) -> tuple[list[Stop], int]:
    """Return the thresholds, the highest last, and the index of that of the report."""
    highest = max(1, math.floor(_HIGHEST_FPR * (calibration.n + 1)))
    wanted = {1, *range(1, min(_DENSE, highest) + 1)}
    rank = float(_DENSE)
    while rank < highest:
        wanted.add(round(rank))
        rank = max(rank * _GROWTH, rank + 1)
    if fpr is not None:
        wanted.add(calibration.rank(fpr))
    of_images = ranks(images, calibration)
    found = [_stop(images, of_images, calibration, rank) for rank in sorted(wanted, reverse=True)]
    if fpr is not None:
        start = sorted(wanted, reverse=True).index(calibration.rank(fpr))
        return found, start
    given = Stop(0, "", None, threshold, *_counts(images, images.anomalous))
    found = sorted([*found, given], key=lambda stop: stop.threshold)
    return found, found.index(given)


def rate_rows(images: ScoredImages, calibration: Calibration, fpr: float | None) -> list[RateRow]:
    """Return what some false-positive rates would flag, the highest rate first."""
    rates = {*_RATES} if fpr is None else {*_RATES, fpr, float(f"{fpr / 10:.6g}")}
    of_images = ranks(images, calibration)
    rows = []
    for rate in sorted(rates, reverse=True):
        rank = calibration.rank(rate)
        stop = _stop(images, of_images, calibration, rank) if rank else None
        rows.append(RateRow(rate, stop, images_needed(rate)))
    return rows


def shortest_rate(rank: int, n: int) -> str:
    """Return the decimal of the fewest digits that has *rank* among n calibration images."""
    for digits in range(1, 18):
        rate = math.ceil(rank / (n + 1) * 10**digits) / 10**digits
        text = f"{rate:.{digits}f}"
        if rank / (n + 1) <= float(text) < min(1.0, (rank + 1) / (n + 1)):
            return text
    return repr(rank / (n + 1))


def _stop(
    images: ScoredImages, of_images: NDArray[np.int64], calibration: Calibration, rank: int
) -> Stop:
    n = calibration.n
    return Stop(
        rank,
        shortest_rate(rank, n),
        rank / (n + 1),
        float(calibration.scores[n - rank]),
        *_counts(images, of_images <= rank),
    )


def _counts(images: ScoredImages, flagged: NDArray[np.bool_]) -> tuple[int, int | None, int | None]:
    """Return how many images are flagged, and how many normal ones and anomalies of them."""
    total = int(flagged.sum())
    if images.outlier is None:
        return total, None, None
    found = int((flagged & images.outlier).sum())
    return total, total - found, found
