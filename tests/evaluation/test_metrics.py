"""The figures are those of the textbook, and their intervals cover what they say."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from bigan_cli.errors import DataError
from bigan_cli.evaluation import metrics

tests_with_both = st.lists(
    st.tuples(st.booleans(), st.integers(-4, 4) | st.floats(-1e6, 1e6)), min_size=2, max_size=60
).filter(lambda rows: len({outlier for outlier, _ in rows}) == 2)


def split(rows: list[tuple[bool, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([r[0] for r in rows]), np.array([r[1] for r in rows], dtype=float)


@given(tests_with_both)
def test_auroc_is_the_chance_of_ranking_a_pair_right(rows: list[tuple[bool, float]]) -> None:
    outlier, scores = split(rows)
    pairs = scores[outlier][:, None] - scores[~outlier][None, :]
    assert metrics.auroc(outlier, scores) == pytest.approx(
        ((pairs > 0) + 0.5 * (pairs == 0)).mean(), abs=1e-12
    )


@given(tests_with_both, st.integers(0, 5))
def test_a_resample_has_the_figures_of_the_images_it_drew(
    rows: list[tuple[bool, float]], seed: int
) -> None:
    outlier, scores = split(rows)
    got = metrics.bootstrap(outlier, scores, resamples=3, seed=seed)
    assert got is not None
    random = np.random.default_rng(seed)
    normal, anomalous = scores[~outlier], scores[outlier]
    drawn_normal = normal[random.integers(0, len(normal), (3, len(normal)))]
    drawn_anomalous = anomalous[random.integers(0, len(anomalous), (3, len(anomalous)))]
    truth = np.repeat([False, True], [len(normal), len(anomalous)])
    for row in range(3):
        values = np.concatenate([drawn_normal[row], drawn_anomalous[row]])
        assert got.auroc[row] == pytest.approx(roc_auc_score(truth, values), abs=1e-12)
        assert got.average_precision[row] == pytest.approx(
            average_precision_score(truth, values), abs=1e-12
        )


def test_large_scores_are_not_squashed() -> None:
    # A sigmoid in float32 makes all of these 1.0, and the AUROC 0.5.
    scores = np.array([1000.0, 1001.0, 1002.0, 1003.0])
    outlier = np.array([False, False, True, True])
    assert metrics.auroc(outlier, scores) == 1.0
    assert metrics.average_precision(outlier, scores) == 1.0


@pytest.mark.parametrize("outlier", [[True, True], [False, False], []])
def test_one_kind_alone_has_no_figure(outlier: list[bool]) -> None:
    scores = np.arange(len(outlier), dtype=float)
    assert metrics.auroc(outlier, scores) is None
    assert metrics.average_precision(outlier, scores) is None
    assert metrics.bootstrap(outlier, scores) is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    for figure in (metrics.auroc, metrics.average_precision, metrics.bootstrap):
        with pytest.raises(DataError, match="1 of 3 scores"):
            figure([True, False, False], [1.0, bad, 2.0])


def test_the_interval_covers_the_true_auroc_about_95_times_in_100() -> None:
    random = np.random.default_rng(1)
    truth = 0.7602  # two normal laws one standard deviation apart: Phi(1 / sqrt 2)
    outlier = np.repeat([False, True], [150, 60])
    covered = 0
    for seed in range(200):
        scores = random.normal(size=210) + outlier
        resampled = metrics.bootstrap(outlier, scores, resamples=300, seed=seed)
        assert resampled is not None
        found = metrics.interval(float(roc_auc_score(outlier, scores)), resampled.auroc)
        covered += found.low <= truth <= found.high
    assert 180 <= covered <= 200


def test_the_same_seed_gives_the_same_resamples_in_any_block_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(2)
    outlier, scores = random.random(300) < 0.3, random.normal(size=300)
    first = metrics.bootstrap(outlier, scores, resamples=50, seed=7)
    again = metrics.bootstrap(outlier, scores, resamples=50, seed=7)
    other = metrics.bootstrap(outlier, scores, resamples=50, seed=8)
    assert first is not None
    assert again is not None
    assert other is not None
    assert (first.auroc == again.auroc).all()
    assert (first.auroc != other.auroc).any()
    monkeypatch.setattr(metrics, "_BLOCK", 3000)
    blocks = metrics.bootstrap(outlier, scores, resamples=50, seed=7)
    assert blocks is not None
    assert len(blocks.auroc) == 50


def test_a_thousand_resamples_of_ten_thousand_scores_take_seconds() -> None:
    random = np.random.default_rng(3)
    outlier, scores = random.random(10_000) < 0.9, random.normal(size=10_000)
    start = time.process_time()
    metrics.bootstrap(outlier, scores, resamples=1000)
    assert time.process_time() - start < 5


def test_each_class_is_held_against_the_other_kind() -> None:
    outlier = np.array([False, False, False, True, True, True, True])
    labels = np.array([0, 0, 3, 1, 1, 2, 2])
    scores = np.array([0.0, 1.0, 5.0, 9.0, 8.0, 2.0, -1.0])
    by_class = metrics.auroc_by_class(outlier, labels, scores)
    assert {label: found and found.value for label, found in by_class.items()} == {
        0: pytest.approx(6 / 8),  # against 9, 8, 2 and -1
        1: 1.0,
        2: pytest.approx(2 / 6),
        3: pytest.approx(2 / 4),
    }
    assert all(found and found.low <= found.value <= found.high for found in by_class.values())
    assert metrics.auroc_by_class([False] * 3, [0, 0, 1], [1.0, 2.0, 3.0]) == {0: None, 1: None}


@given(st.integers(0, 40), st.integers(1, 40))
def test_the_rate_interval_is_exact(count: int, total: int) -> None:
    count = min(count, total)
    found = metrics.rate([True] * count + [False] * (total - count))
    assert found is not None
    assert (found.count, found.total) == (count, total)
    assert found.low <= found.value <= found.high
    if count > 0:
        assert binom.sf(count - 1, total, found.low) == pytest.approx(0.025, rel=1e-6)
    if count < total:
        assert binom.cdf(count, total, found.high) == pytest.approx(0.025, rel=1e-6)


def test_no_images_have_no_rate_and_no_quantiles() -> None:
    assert metrics.rate([]) is None
    assert metrics.quantiles([], (0.5,)) is None
    assert metrics.quantiles([1.0, 2.0, 3.0], (0.5, 0.95)) == {
        "0.5": 2.0,
        "0.95": pytest.approx(2.9),
    }


@given(
    st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=2, max_size=40),
    st.sampled_from([0.0, 0.01, 0.05, 0.29, 0.5, 1.0]),
)
def test_recall_is_the_best_on_the_roc_curve_up_to_a_rate(
    images: list[tuple[bool, int]], fpr: float
) -> None:
    outlier = np.array([anomalous for anomalous, _ in images])
    scores = np.array([float(score) for _, score in images])
    found = metrics.recall_at(outlier, scores, fpr)
    if outlier.all() or not outlier.any():
        assert found is None
        return
    rates, recalls, _ = roc_curve(outlier, scores, drop_intermediate=False)
    assert found == pytest.approx(recalls[rates <= fpr + 1e-9].max())


def test_the_bootstrap_draws_recall_like_the_value() -> None:
    random = np.random.default_rng(5)
    outlier = np.arange(300) < 100
    scores = random.normal(size=300) + 2 * outlier
    drawn = metrics.bootstrap(outlier, scores)
    assert drawn is not None
    for fpr in metrics.RECALL_FPRS:
        value = metrics.recall_at(outlier, scores, fpr)
        assert value is not None
        low, high = np.quantile(drawn.recall[fpr], [0.01, 0.99])
        assert low <= value <= high
