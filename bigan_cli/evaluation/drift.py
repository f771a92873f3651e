"""A sequential test of whether new images are still like the calibration images.

Each new score is ranked among the calibration scores and all new scores before it. As long as
calibration and new images are exchangeable, these ranks, with ties broken at random, are
independent and uniform on [0, 1], and any capital won by betting against that is evidence of
drift: a conformal test martingale. By Ville's inequality the probability that the capital ever
reaches 1 / a is at most a, however long the stream is and however often it is looked at.

The p-values of a fixed calibration set would not do: they are uniform on average over calibration
sets only, and a long stream would show how this one differs.

The bets are bounded, at most double or nothing on one image: a few anomalies, whose ranks are
small, cannot win much. They are two-sided: scores that fall are a drift as well.

Sources: Vovk, Petej, Nouretdinov, Ahlberg, Carlsson, Gammerman, "Retrain or not retrain:
conformal test martingales for change-point detection", COPA 2021, arXiv 2102.10439 (the jumping
bets); Vovk, Nouretdinov, Gammerman, "Testing exchangeability on-line", ICML 2003.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# How much of the capital a bet risks, for ranks that are too small (+) or too large (-).
_STAKES = np.array([-0.9, -0.5, 0.0, 0.5, 0.9])
# The share of the capital that moves between bets after each image, for drifts that begin late.
_JUMPS = (0.001, 0.01)
# exp() of more is no finite number.
_LARGEST_LOGARITHM = 700.0


@dataclass(frozen=True, eq=False)
class DriftTest:
    """The outcome of testing a stream of images for drift.

    Attributes:
        ranks: float64 ``[N]`` in [0, 1], the rank of each image among those before; uniform
            without drift, small where images are more anomalous than those before.
        capital: float64 ``[N]``, the capital won after each image; it starts at 1.
        alarm: Index of the first image at which the capital reached the limit, or None.
    """

    ranks: NDArray[np.float64]
    capital: NDArray[np.float64]
    alarm: int | None


def detect_drift(
    calibration: NDArray[np.float64],
    scores: NDArray[np.float64],
    false_alarm_rate: float,
    seed: int = 0,
) -> DriftTest:
    """Test whether *scores* come from the same source as *calibration*.

    Args:
        calibration: Scores of calibration images, ``[n]``.
        scores: Scores of new images in the order of their arrival, ``[N]``.
        false_alarm_rate: Between 0 and 1: the probability of an alarm, ever, without drift.
        seed: Breaks ties.
    """
    ranks = online_ranks(calibration, scores, seed)
    capital = betting_capital(ranks)
    reached = np.flatnonzero(capital >= 1 / false_alarm_rate)
    return DriftTest(ranks, capital, int(reached[0]) if len(reached) else None)


def online_ranks(
    calibration: NDArray[np.float64], scores: NDArray[np.float64], seed: int = 0
) -> NDArray[np.float64]:
    """Return the smoothed conformal p-value of each score among all scores before it, ``[N]``."""
    before = sorted(calibration.tolist())
    breaking_ties = np.random.default_rng(seed).random(len(scores)).tolist()
    ranks = np.empty(len(scores))
    for i, (score, tie) in enumerate(zip(scores.tolist(), breaking_ties, strict=True)):
        below, up_to = bisect_left(before, score), bisect_right(before, score)
        larger, equal = len(before) - up_to, up_to - below
        ranks[i] = (larger + tie * (equal + 1)) / (len(before) + 1)
        insort(before, score)
    return ranks


def betting_capital(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the capital after each rank, ``[N]``: the mean over several ways of betting."""
    tilt = 1 - 2 * ranks  # the scores have risen, or fallen
    # Both very high and very low scores have become more frequent, or rarer.
    spread = 6 * ranks**2 - 6 * ranks + 1
    # Each win is stake * gain; gains are in [-1, 1], and of mean 0 for uniform ranks.
    gains = np.stack([tilt, spread], axis=1)
    jumps = np.array(_JUMPS)[:, None, None]
    shares = np.full((len(_JUMPS), gains.shape[1], len(_STAKES)), 1 / len(_STAKES))
    logarithms = np.zeros(shares.shape[:2])  # of the capital, which may exceed any number
    capital = np.empty(len(ranks))
    for i, gain in enumerate(gains):
        shares = ((1 - jumps) * shares + jumps / len(_STAKES)) * (1 + gain[:, None] * _STAKES)
        totals = shares.sum(axis=2)
        shares /= totals[:, :, None]
        logarithms = np.minimum(logarithms + np.log(totals), _LARGEST_LOGARITHM)
        capital[i] = np.exp(logarithms).mean()
    return capital
