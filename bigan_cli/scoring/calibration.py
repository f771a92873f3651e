"""From a score to a p-value and a threshold with a known false-positive rate.

Split-conformal calibration: the scores of n normal images that took no part in training nor in
choosing the epoch are kept, and a new image is ranked among them. For an image drawn as those
were (exchangeable with them), whatever the distribution of the scores and however good or bad
the networks are, the chance of a p-value of ``a`` or less is at most ``a``.

A p-value says how rare such a score is among *normal* images. It is not the probability that
the image is an anomaly.

Source: Bates, Candès, Lei, Romano, Sesia, "Testing for outliers with conformal p-values",
Annals of Statistics 2023, arXiv 2104.08279: the marginal p-value of section 1, and the Beta law
of the false-positive rate given the calibration set, section 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bigan_cli.data.splits import normals_needed
from bigan_cli.errors import DataError, UsageError


@dataclass(frozen=True, eq=False)
class Calibration:
    """The scores of the calibration normals, and the two equal rules made from them.

    For every rate ``a`` and every score ``s``, ties and rounding included::

        p_values(s) <= a    if and only if    s > threshold(a)

    Attributes:
        scores: float64 ``[n]``, n >= 1, all finite; sorted upwards and read-only, in whatever
            order they were given.

    Raises:
        DataError: There are no scores, or some are not finite.
    """

    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        scores = np.sort(np.asarray(self.scores, dtype=np.float64), axis=None)
        if scores.size == 0:
            raise DataError("no calibration images: a threshold needs normal images to rank among")
        if not np.isfinite(scores).all():
            raise DataError("some calibration scores are not finite; the networks are broken")
        scores.flags.writeable = False
        object.__setattr__(self, "scores", scores)

    @property
    def n(self) -> int:
        """How many normal images the calibration rests on."""
        return int(self.scores.size)

    @property
    def smallest_fpr(self) -> float:
        """The smallest rate that these normals can guarantee, 1 / (n + 1)."""
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
            DataError: There are too few calibration images for so small a rate.
            UsageError: *fpr* is not between 0 and 1.
        """
        self.check(fpr)
        return float(self.scores[self.n - self._rank(fpr)])

    def check(self, fpr: float) -> None:
        """Refuse a rate that is too small for n calibration images, n < 1/fpr - 1.

        Raises:
            DataError: Says how many normal images are there and how many are needed.
            UsageError: *fpr* is not between 0 and 1.
        """
        if not 0 < fpr < 1:
            raise UsageError(f"a false-positive rate lies between 0 and 1, got {fpr:g}")
        if self._rank(fpr) < 1:
            raise DataError(
                f"a false-positive rate of {fpr:g} needs at least {normals_needed(fpr)} "
                f"calibration images, and this model has {self.n}",
                hint=f"ask for {_round_up(self.smallest_fpr):g} or more, or train with more "
                "normal images or a larger data.calibration_portion",
            )

    def fpr_interval(self, fpr: float, confidence: float = 0.95) -> tuple[float, float, float]:
        """Return the (mean, low, high) of the rate that ``threshold(fpr)`` really has.

        The rate depends on which normals happened to be in the calibration set. For continuous
        scores it follows Beta(n + 1 - k, k) over such draws; with ties it is no larger. Needs
        scipy, which is imported here and nowhere else in this module.

        Args:
            fpr: The rate asked for.
            confidence: The share of the law between low and high, with equal tails.
        """
        self.check(fpr)
        from scipy.special import betaincinv  # 0.3 s, and scoring does not need it

        flagged = self._rank(fpr)
        tail = (1 - confidence) / 2
        low, high = betaincinv(flagged, self.n + 1 - flagged, [tail, 1 - tail])
        return flagged / (self.n + 1), float(low), float(high)

    def _rank(self, fpr: float) -> int:
        """Return the largest m with ``m / (n + 1) <= fpr`` as the comparison of p-values sees it.

        m is floor((n + 1) fpr), but that product may round to either side of an integer (0.29 *
        100 < 29). Stepping by the very division that makes the p-values keeps both rules equal.
        """
        m = math.floor((self.n + 1) * fpr)
        while (m + 1) / (self.n + 1) <= fpr:
            m += 1
        while m > 0 and m / (self.n + 1) > fpr:
            m -= 1
        return m


def _round_up(rate: float) -> float:
    """Return *rate* rounded up to three significant digits, for a message."""
    digits = 2 - math.floor(math.log10(rate))
    rounded = math.ceil(rate * 10.0**digits) / 10.0**digits
    return max(rounded, rate)
