"""The sequential test for drift: its false alarms are as rare as promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, kstest

from bigan_cli.evaluation.drift import betting_capital, detect_drift, online_ranks
from bigan_cli.scoring.calibration import Calibration

STREAMS = 200
RATE = 0.05


def streams(seed, images, *, ties=False):
    """Yield (calibration scores, new scores) of 200 sources without drift, with their numbers."""
    for number in range(STREAMS):
        random = np.random.default_rng([seed, number])
        scores = random.gamma(3, size=60 + images)
        scores = np.round(scores) if ties else scores
        yield number, scores[:60], scores[60:]


@pytest.mark.parametrize(
    ("images", "ties"),
    [(150, False), (150, True), pytest.param(1000, False, marks=pytest.mark.slow)],
)
def test_alarms_without_drift_are_no_more_frequent_than_promised(images, ties):
    alarms = sum(
        detect_drift(calibration, new, RATE, seed).alarm is not None
        for seed, calibration, new in streams(images, images, ties=ties)
    )
    assert alarms <= binom.ppf(0.999, STREAMS, RATE)


def test_p_values_of_a_fixed_calibration_set_would_raise_many_more():
    alarms = sum(
        betting_capital(Calibration(calibration).p_values(new)).max() >= 1 / RATE
        for _, calibration, new in streams(1, 400)
    )
    assert alarms > binom.ppf(0.999, STREAMS, RATE)


@pytest.mark.parametrize("ties", [False, True])
def test_ranks_are_uniform_and_independent_without_drift(ties):
    ranks = [online_ranks(old, new, seed) for seed, old, new in streams(2, 20, ties=ties)]
    assert kstest(np.concatenate(ranks), "uniform").pvalue > 0.001
    first, second = np.array(ranks)[:, :-1].ravel(), np.array(ranks)[:, 1:].ravel()
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06  # 3.7 standard errors


@pytest.mark.parametrize("change", [lambda x: x + 1, lambda x: x - 1, lambda x: 3 * x])
def test_scores_that_rise_fall_or_spread_raise_an_alarm(change):
    random = np.random.default_rng(0)
    calibration, same, new = (
        random.normal(size=300),
        random.normal(size=200),
        random.normal(size=300),
    )
    found = detect_drift(calibration, np.concatenate([same, change(new)]), 0.01)
    assert found.alarm is not None
    assert 200 < found.alarm < 350


def test_a_few_anomalies_raise_none():
    random = np.random.default_rng(0)
    new = random.normal(size=2000) + 9 * (random.random(2000) < 0.05)
    assert detect_drift(random.normal(size=300), new, 0.01).alarm is None


def test_more_rows_never_take_an_alarm_back():
    random = np.random.default_rng(0)
    calibration, new = random.normal(size=100), random.normal(size=200) + 1
    whole = detect_drift(calibration, new, 0.01)
    part = detect_drift(calibration, new[:150], 0.01)
    np.testing.assert_array_equal(whole.capital[:150], part.capital)
    assert whole.alarm == part.alarm
