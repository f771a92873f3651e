"""Conformal calibration: p-values and thresholds with a known false-positive rate.

Split-conformal calibration: the scores of n normal images that took no part in training nor in
choosing the epoch are kept, and a new image is ranked among them. For an image exchangeable
with those, whatever the distribution of the scores and however good or bad the networks are,
the probability of a p-value of ``a`` or less is at most ``a``.

A p-value says how rare such a score is among *normal* images. It is not the probability that
the image is an anomaly.

Source: Bates, Candès, Lei, Romano, Sesia, "Testing for outliers with conformal p-values",
Annals of Statistics 2023, arXiv 2104.08279: the marginal p-value of section 1, and the Beta
distribution of the false-positive rate given the calibration set, section 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bigan_cli.errors import DataError, UsageError


@dataclass(frozen=True, eq=False)
class Calibration:
    """The scores of the calibration images, and two equivalent decision rules based on them.

    For every rate ``a`` and every score ``s``, ties and rounding included::

        p_values(s) <= a    if and only if    s > threshold(a)

    Attributes:
        scores: float64 ``[n]``, n >= 1, all finite; sorted in ascending order, read-only.
        cross_fitted: Whether each score is of networks fitted without its image, rather than of
            an image that was held out from the detector's own; see
            :mod:`bigan_cli.scoring.cross_fitting`.

    Raises:
        DataError: There are no scores, or some are not finite.
    """

    scores: NDArray[np.float64]
    cross_fitted: bool = False

    def __post_init__(self) -> None:
        scores = np.sort(np.asarray(self.scores, dtype=np.float64), axis=None)
        if scores.size == 0:
            raise DataError("no calibration images: a threshold needs the scores of normal images")
        if not np.isfinite(scores).all():
            raise DataError("some calibration scores are not finite; the networks are broken")
        scores.flags.writeable = False
        object.__setattr__(self, "scores", scores)

    @property
    def n(self) -> int:
        """The number of calibration images."""
        return int(self.scores.size)

    @property
    def smallest_fpr(self) -> float:
        """The smallest rate that n calibration images can guarantee, 1 / (n + 1)."""
        return 1 / (self.n + 1)

    def p_values(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return ``(1 + #{calibration scores >= s}) / (n + 1)`` for each score.

        Args:
            scores: Any shape; infinities are ranked like other numbers.

        Returns:
            float64 of the same shape, each in [1 / (n + 1), 1].

        Raises:
            DataError: A score is NaN, which has no rank.
        """
        wanted = np.asarray(scores, dtype=np.float64)
        if np.isnan(wanted).any():
            raise DataError("a score is not a number, so it has no p-value")
        at_least = self.n - np.searchsorted(self.scores, wanted, side="left")
        return np.asarray((1 + at_least) / (self.n + 1), dtype=np.float64)

    def threshold(self, fpr: float) -> float:
        """Return the score that an image must *exceed* to be called anomalous at rate *fpr*.

        It is the k-th smallest calibration score, k = ceil((n + 1) (1 - fpr)).

        Raises:
            UsageError: *fpr* is not between 0 and 1, or so small that there are too few
                calibration images.
        """
        self.check(fpr)
        return float(self.scores[self.n - self.rank(fpr)])

    def check(self, fpr: float) -> None:
        """Raise an error if these images cannot guarantee *fpr*; see :func:`check_fpr`."""
        check_fpr(fpr, self.n)

    def fpr_interval(self, fpr: float, confidence: float = 0.95) -> tuple[float, float, float]:
        """Return the (mean, low, high) of the rate that ``threshold(fpr)`` really has.

        The rate depends on which images happened to be in the calibration set. For continuous
        scores it follows a Beta distribution over such draws; with ties it is no larger.

        Args:
            fpr: The configured rate.
            confidence: The probability between low and high, with equal tails.
        """
        self.check(fpr)
        from scipy.special import betaincinv  # takes 0.3 s to import; scoring does not need it

        flagged = self.rank(fpr)
        tail = (1 - confidence) / 2
        low, high = betaincinv(flagged, self.n + 1 - flagged, [tail, 1 - tail])
        return flagged / (self.n + 1), float(low), float(high)

    def rank(self, fpr: float) -> int:
        """Return the largest m with ``m / (n + 1) <= fpr`` in floating-point arithmetic.

        An image is anomalous at rate *fpr* if at most m - 1 calibration images have its score
        or a higher one.

        m is floor((n + 1) fpr), but that product may round to either side of an integer (0.29 *
        100 < 29). Comparing with the division that makes the p-values keeps both rules equal.
        """
        m = math.floor((self.n + 1) * fpr)
        while (m + 1) / (self.n + 1) <= fpr:
            m += 1
        while m > 0 and m / (self.n + 1) > fpr:
            m -= 1
        return m


def calibration_method(*, cross_fitted: bool) -> str:
    """Return ``cross-fitting`` or ``held-out``, as ``data.calibration`` names it."""
    return "cross-fitting" if cross_fitted else "held-out"


def calibration_promise(*, cross_fitted: bool) -> str:
    """Return what holds for the false-positive rate, as in "the rate is ..."."""
    if not cross_fitted:
        return "at most the requested rate, on average over calibration sets (split conformal)"
    return (
        "about the requested rate, but without a guarantee; images that are held out for "
        "calibration alone would give one"
    )


def check_fpr(fpr: float, images: int | None = None) -> None:
    """Raise an error if *images* calibration images cannot guarantee the rate *fpr*.

    Args:
        fpr: The false-positive rate wanted.
        images: How many calibration images there are; None if that is not known yet, so that
            only the range of *fpr* is checked.

    Raises:
        UsageError: *fpr* is not between 0 and 1, or there are fewer than 1/fpr - 1 calibration
            images; the message says how many are needed, and which rate is possible.
    """
    if not 0 < fpr < 1:
        raise UsageError(f"'score.fpr' must be between 0 and 1, got {fpr:g}")
    if images is not None and 1 / (images + 1) > fpr:
        raise UsageError(
            f"a false-positive rate of {fpr:g} needs at least {images_needed(fpr)} calibration "
            f"images, and there are {images}",
            f"set 'score.fpr' to {_round_up(1 / (images + 1)):g} or more, or train with more "
            "normal images",
        )


def images_needed(fpr: float) -> int:
    """Return the smallest number of calibration images that can guarantee *fpr* (above 0).

    It is the smallest n with 1/(n + 1) <= *fpr*, by the division that makes the p-values.
    """
    n = max(1, math.ceil(1 / Fraction(fpr)) - 1)
    # The exact 1/(n + 1) may be rounded to *fpr* where the next larger one is as well.
    return n - 1 if n > 1 and 1 / n <= fpr else n


def _round_up(rate: float) -> float:
    """Return *rate* rounded up to three significant digits, for a message."""
    digits = 2 - math.floor(math.log10(rate))
    rounded = math.ceil(rate * 10.0**digits) / 10.0**digits
    return max(rounded, rate)
