"""The thresholds that a reader can choose are those of the detector."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.report.html.page import ScoredImages
from bigan_cli.report.html.thresholds import rate_rows, shortest_rate, stops
from bigan_cli.scoring.calibration import Calibration


def scored(calibration, fpr, seed=0, size=200, ties=False):
    rng = np.random.default_rng(seed)
    score = rng.normal(0.5, 1.5, size)
    if ties:
        score = np.round(score)
    p_value = calibration.p_values(score)
    return ScoredImages(
        [f"{i}.png" for i in range(size)],
        score,
        p_value,
        p_value <= fpr,
        outlier=rng.random(size) < 0.4,
    )


@given(n=st.integers(1, 5000), data=st.data())
def test_the_rate_to_type_has_the_rank_it_stands_for(n, data):
    rank = data.draw(st.integers(1, n))
    calibration = Calibration(np.arange(n, dtype=np.float64))
    text = shortest_rate(rank, n)
    assert calibration.rank(float(text)) == rank
    assert len(text) <= len(str(n)) + 3  # no more digits than it takes


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [19, 80, 1000])
def test_every_stop_flags_what_the_detector_would(n, ties):
    scores = np.random.default_rng(1).normal(size=n)
    calibration = Calibration(np.round(scores) if ties else scores)
    images = scored(calibration, 0.05, ties=ties)
    found, start = stops(images, calibration, 0.05, calibration.threshold(0.05))
    assert [stop.threshold for stop in found] == sorted(stop.threshold for stop in found)
    for stop in found:
        assert stop.threshold == calibration.threshold(float(stop.option))
        flagged = images.score > stop.threshold
        assert stop.flagged == flagged.sum()
        assert stop.false_positives == (flagged & ~images.outlier).sum()
        assert stop.true_positives == (flagged & images.outlier).sum()
    assert found[start].threshold == calibration.threshold(0.05)
    assert found[start].flagged == images.anomalous.sum()
    assert len(found) < 300


def test_a_threshold_given_as_a_score_is_one_of_them():
    calibration = Calibration(np.random.default_rng(1).normal(size=50))
    images = scored(calibration, 0.05)
    images = ScoredImages(images.names, images.score, images.p_value, images.score > 0.7)
    found, start = stops(images, calibration, None, 0.7)
    assert (found[start].threshold, found[start].fpr, found[start].option) == (0.7, None, "")
    assert found[start].flagged == (images.score > 0.7).sum()
    assert found[start].false_positives is None
    assert [stop.threshold for stop in found] == sorted(stop.threshold for stop in found)


def test_a_tenth_of_the_rate_is_in_the_table_or_says_what_it_needs():
    calibration = Calibration(np.random.default_rng(1).normal(size=300))
    images = scored(calibration, 0.02)
    rows = {row.fpr: row for row in rate_rows(images, calibration, 0.02)}
    assert rows[0.02].stop.flagged == images.anomalous.sum()
    assert rows[0.002].stop is None
    assert rows[0.002].needed == 499
    assert rows[0.05].stop.threshold == calibration.threshold(0.05)
