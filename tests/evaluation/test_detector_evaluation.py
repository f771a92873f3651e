"""An evaluation says what the scores say, and no more where a kind of image is absent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bigan_cli.errors import UsageError
from bigan_cli.evaluation.detector_evaluation import Evaluation, TestScores
from bigan_cli.evaluation.detector_evaluation import evaluate as evaluate_flagged
from bigan_cli.scoring.calibration import Calibration

NAMES = ("zero", "one", "two", "three")


def scores_of(values: np.ndarray) -> TestScores:
    return TestScores(values, {"half": values / 2, "flat": np.zeros_like(values)})


def evaluate(
    outlier: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    scores: TestScores,
    calibration: Calibration,
    fpr: float,
    **more: Any,
) -> Evaluation:
    """Evaluate with the images flagged that have a p-value of at most *fpr*."""
    flagged = calibration.p_values(scores.score) <= fpr
    return evaluate_flagged(outlier, labels, names, scores, flagged, calibration, fpr, **more)


@pytest.fixture
def calibration() -> Calibration:
    return Calibration(np.random.default_rng(0).normal(size=199))


def test_a_good_detector_on_both_kinds(calibration: Calibration) -> None:
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [200, 50, 50])
    outlier = labels > 0
    score = random.normal(size=300) + 3.0 * (labels == 1) + 1.0 * (labels == 2)
    noise = random.normal(size=300)
    result = evaluate(
        outlier, labels, NAMES, scores_of(score), calibration, 0.05, untrained=scores_of(noise)
    )
    assert (result.images, result.normal_images, result.anomalies) == (300, 200, 100)
    assert result.prevalence == pytest.approx(1 / 3)
    trained, untrained, gain = result.trained, result.untrained, result.gain
    assert trained.auroc is not None
    assert trained.auroc.low < trained.auroc.value < trained.auroc.high
    assert trained.components == {"half": trained.auroc.value, "flat": 0.5}
    assert untrained is not None
    assert untrained.auroc is not None
    assert gain is not None
    assert gain.value == pytest.approx(trained.auroc.value - untrained.auroc.value)
    assert gain.low > 0
    by_name = {c.name: c for c in result.classes}
    assert list(by_name) == ["zero", "one", "two"]
    assert not by_name["zero"].outlier
    assert by_name["one"].auroc is not None
    assert by_name["two"].auroc is not None
    assert by_name["one"].auroc.low > by_name["two"].auroc.high
    assert list(trained.recall) == ["0", "0.01", "0.05"]
    point = result.operating_point
    assert point.observed_tpr is not None
    assert point.observed_tpr.count == (score[outlier] > point.threshold).sum()
    assert point.observed_fpr is not None
    assert point.observed_fpr.count == (score[~outlier] > point.threshold).sum()
    assert not point.surprising
    assert by_name["one"].flagged.count + by_name["two"].flagged.count == point.observed_tpr.count
    json.dumps(result.as_dict(), allow_nan=False)


def test_without_anomalies_there_is_no_auroc_but_a_calibrated_threshold(
    calibration: Calibration,
) -> None:
    score = np.random.default_rng(2).normal(size=100)
    none = np.zeros(100, dtype=bool)
    result = evaluate(none, none.astype(np.int64), NAMES, scores_of(score), calibration, 0.05)
    assert result.trained.auroc is None
    assert result.trained.average_precision is None
    assert result.trained.components == {"half": None, "flat": None}
    assert result.prevalence == 0
    point = result.operating_point
    assert point.calibration_images == 199
    assert point.expected_fpr.low < point.expected_fpr.value < point.expected_fpr.high
    assert point.observed_fpr is not None
    assert point.observed_tpr is None
    assert point.precision is None
    assert result.quantiles["normal_images"] is not None
    assert result.quantiles["anomalies"] is None
    json.dumps(result.as_dict(), allow_nan=False)


def test_an_empty_test_set_leaves_the_calibration(calibration: Calibration) -> None:
    empty = np.empty(0)
    result = evaluate(
        empty.astype(bool), empty.astype(np.int64), NAMES, scores_of(empty), calibration, 0.05
    )
    assert result.images == 0
    assert result.prevalence is None
    assert result.operating_point.observed_fpr is None
    assert result.quantiles["calibration"] is not None
    assert result.classes == ()
    json.dumps(result.as_dict(), allow_nan=False)


def test_normals_unlike_those_of_the_calibration_are_noticed(calibration: Calibration) -> None:
    shifted = np.random.default_rng(3).normal(size=200) + 1.5
    none = np.zeros(200, dtype=bool)
    result = evaluate(none, none.astype(np.int64), NAMES, scores_of(shifted), calibration, 0.05)
    assert result.operating_point.surprising


def test_too_small_a_rate_is_refused(calibration: Calibration) -> None:
    none = np.zeros(3, dtype=bool)
    with pytest.raises(UsageError, match="at least 999"):
        evaluate(none, none.astype(np.int64), NAMES, scores_of(np.zeros(3)), calibration, 0.001)


def test_the_seed_decides_the_intervals(calibration: Calibration) -> None:
    random = np.random.default_rng(4)
    labels = np.repeat([0, 1], 60)
    score = random.normal(size=120) + labels

    def run(seed: int) -> dict[str, object]:
        return evaluate(
            labels > 0, labels, NAMES, scores_of(score), calibration, 0.05, seed=seed
        ).as_dict()

    assert run(5) == run(5)
    assert run(5)["trained"] != run(6)["trained"]
