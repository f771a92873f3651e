"""The p-value rule and the threshold rule are one rule, and it keeps its promised rate."""

from __future__ import annotations

import re
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.errors import DataError, UsageError
from bigan_cli.scoring.calibration import Calibration, check_fpr, images_needed

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
# Few distinct values, so that ties between calibration and new scores are the common case.
tied = st.integers(-3, 3).map(float)
score_lists = st.lists(finite, min_size=1, max_size=60) | st.lists(tied, min_size=1, max_size=60)
rates = (
    st.floats(0.0001, 0.9999)
    | st.sampled_from([0.01, 0.05, 0.1, 0.29, 0.3, 0.57, 0.58, 0.7])
    | st.builds(lambda a, b: a / (a + b), st.integers(1, 60), st.integers(1, 60))
)


@given(score_lists, st.lists(finite | tied, min_size=1, max_size=20), rates)
def test_p_value_and_threshold_decide_alike(
    calibration: list[float], new: list[float], fpr: float
) -> None:
    rule = Calibration(np.array(calibration))
    scores = np.array(new + calibration)
    if rule.n < images_needed(fpr):
        assert (rule.p_values(scores) > fpr).all()
        with pytest.raises(UsageError):
            rule.threshold(fpr)
        return
    by_p = rule.p_values(scores) <= fpr
    assert (by_p == (scores > rule.threshold(fpr))).all()


@given(score_lists, finite | tied)
def test_p_value_is_the_definition(calibration: list[float], score: float) -> None:
    p = Calibration(np.array(calibration)).p_values(score)
    n = len(calibration)
    assert p == (1 + sum(c >= score for c in calibration)) / (n + 1)


@given(st.integers(1, 400), st.decimals("0.001", "0.999", places=3))
def test_threshold_is_the_order_statistic_of_the_paper(n: int, decimal: object) -> None:
    fpr = Fraction(str(decimal))
    rule = Calibration(np.arange(1.0, n + 1))
    k = -((-(n + 1) * (1 - fpr)) // 1)  # ceil, exactly
    if k > n:
        with pytest.raises(UsageError):
            rule.threshold(float(fpr))
    else:
        assert rule.threshold(float(fpr)) == k


@given(st.integers(1, 2000), rates)
def test_a_rate_is_refused_alike_before_and_after_calibration(images: int, fpr: float) -> None:
    rule = Calibration(np.zeros(images))
    try:
        check_fpr(fpr, images)
    except UsageError as refusal:
        with pytest.raises(UsageError, match=re.escape(refusal.message)):
            rule.threshold(fpr)
        possible = re.search(r"'score.fpr' to (\S+) or more", refusal.hint)
        assert possible is not None
        check_fpr(float(possible[1]), images)
    else:
        rule.threshold(fpr)


@given(st.integers(1, 5000))
def test_images_needed_is_the_least_that_suffices(n: int) -> None:
    fpr = 1 / (n + 1)
    assert images_needed(fpr) == n
    Calibration(np.zeros(n)).check(fpr)
    if n > 1:
        with pytest.raises(UsageError):
            Calibration(np.zeros(n - 1)).check(fpr)


def test_a_rate_that_no_number_of_images_reaches_is_told_at_once() -> None:
    assert images_needed(1e-18) == pytest.approx(1e18)
    for fpr in (1e-18, 1e-30, 5e-324):
        with pytest.raises(UsageError, match="needs at least"):
            Calibration(np.zeros(50)).check(fpr)


def test_too_few_normals_says_how_many_are_needed() -> None:
    with pytest.raises(UsageError) as caught:
        Calibration(np.zeros(50)).threshold(0.01)
    assert "at least 99" in caught.value.message
    assert "there are 50" in caught.value.message
    assert "0.0197" in caught.value.hint
    Calibration(np.zeros(50)).threshold(0.0197)


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_rate_outside_zero_to_one_is_refused(fpr: float) -> None:
    with pytest.raises(UsageError):
        Calibration(np.zeros(50)).threshold(fpr)


@pytest.mark.parametrize("scores", [[], [1.0, float("nan")], [float("inf")]])
def test_unusable_calibration_scores_are_refused(scores: list[float]) -> None:
    with pytest.raises(DataError):
        Calibration(np.array(scores))


def test_a_score_that_is_not_a_number_has_no_p_value() -> None:
    with pytest.raises(DataError):
        Calibration(np.zeros(5)).p_values([0.0, float("nan")])


def test_the_scores_are_kept_sorted_and_cannot_be_changed() -> None:
    given_scores = np.array([3.0, 1.0, 2.0])
    rule = Calibration(given_scores)
    given_scores[0] = -9
    assert rule.scores.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="read-only"):
        rule.scores[0] = 5


def test_the_rate_of_new_normals_follows_the_beta_law() -> None:
    random = np.random.default_rng(0)
    fpr, n = 0.05, 200
    mean, low, high = Calibration(np.zeros(n)).fpr_interval(fpr)
    # The false-positive rate of a threshold t on uniform scores is 1 - t.
    rates_seen = 1 - np.array([Calibration(random.random(n)).threshold(fpr) for _ in range(4000)])
    assert mean == pytest.approx(10 / 201)
    assert rates_seen.mean() == pytest.approx(mean, abs=0.001)
    assert ((rates_seen >= low) & (rates_seen <= high)).mean() == pytest.approx(0.95, abs=0.015)


def test_ranking_a_score_imports_no_scipy() -> None:
    code = (
        "import sys, numpy as np; from bigan_cli.scoring.calibration import Calibration;"
        "c = Calibration(np.arange(100.0)); c.p_values([3.0]); c.threshold(0.05);"
        "sys.exit(any(m in sys.modules for m in ('scipy', 'sklearn', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
