"""``bigan score --review-fpr``, ``--fdr`` and ``--top``: labels and rows beside those of --fpr."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.false_discovery import benjamini_hochberg


@pytest.fixture
def score(bigan, trained):
    """Run ``bigan score`` on the trained run, on CPU."""
    return lambda *words: bigan("score", "--run", trained, "--device", "cpu", *words)


def rows_of(file):
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_images_between_two_rates_are_labelled_for_a_review(score, pictures, tmp_path):
    output = tmp_path / "scores.csv"
    words = ("--fpr", "0.05", "--review-fpr", "0.3", "--output", output)
    done = score(pictures, *words)
    assert done.code == 0, done.err
    labels = {"normal": set(), "review": set(), "anomaly": set()}
    for row in rows_of(output):
        labels[row["label"]].add(float(row["p_value"]))
    assert max(labels["anomaly"]) <= 0.05 < min(labels["review"])
    assert max(labels["review"]) <= 0.3 < min(labels["normal"])
    assert "to review" in done.err


def test_a_resumed_output_has_one_rule(score, pictures, tmp_path):
    output = tmp_path / "scores.csv"
    done = score(pictures, "--review-fpr", "0.3", "--output", output)
    assert done.code == 0
    lines = output.read_text().splitlines(keepends=True)
    header = {"kind": "bigan score, unfinished", "review": None}
    (tmp_path / "scores.csv.partial").write_text(json.dumps(header) + "\n" + "".join(lines[:9]))
    assert score(pictures, "--review-fpr", "0.3", "--output", output, "--resume").code == 2


def test_the_false_discovery_rate_labels_the_batch_as_one_rule_for_single_images_would(
    score, pictures, tmp_path
):
    output = tmp_path / "scores.csv"
    done = score(pictures, "--fdr", "0.3", "--output", output)
    assert done.code == 0, done.err
    rows = rows_of(output)
    p_values = np.array([float(row["p_value"]) for row in rows])
    expected = benjamini_hochberg(p_values, 0.3)
    assert [row["label"] == "anomaly" for row in rows] == expected.tolist()
    assert "for a false discovery rate of 0.3" in done.err


def test_top_gives_the_most_anomalous_images_of_all(score, pictures, tmp_path):
    output = tmp_path / "all.csv"
    assert score(pictures, "--output", output).code == 0
    done = score(pictures, "--top", "5")
    expected = sorted(rows_of(output), key=lambda row: -float(row["score"]))[:5]
    assert [row["path"] for row in csv.DictReader(done.lines)] == [r["path"] for r in expected]
    assert "scored 150" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--fdr", "0.1", "--fpr", "0.1"), "a false discovery rate excludes --fpr"),
        (("--fdr", "1.5"), "not between 0 and 1"),
        (("--fpr", "0.2", "--review-fpr", "0.1"), "no image would be labelled"),
        (("--threshold", "-99", "--review-fpr", "0.1"), "no image would be labelled"),
        (("--top", "3", "--resume", "--output", "{tmp}/a.csv"), "cannot be resumed"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(score, pictures, tmp_path, words, message):
    done = score(pictures, *[word.format(tmp=tmp_path) for word in words])
    assert done.code == 2, done.err
    assert message in done.err


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=40), st.floats(0.01, 0.9))
def test_the_procedure_is_that_of_scipy(p_values, rate):
    from scipy.stats import false_discovery_control

    adjusted = false_discovery_control(p_values)
    found = benjamini_hochberg(np.array(p_values), rate)
    clear = np.abs(adjusted - rate) > 1e-12
    np.testing.assert_array_equal(found[clear], (adjusted <= rate)[clear])


def test_the_false_discovery_rate_holds_on_average():
    proportions = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        calibration = Calibration(random.normal(size=400))
        anomalous = random.random(200) < 0.2
        scores = random.normal(size=200) + 4 * anomalous
        found = benjamini_hochberg(calibration.p_values(scores), 0.2)
        proportions.append((found & ~anomalous).sum() / max(found.sum(), 1))
    assert 0.05 < np.mean(proportions) < 0.2 + 3 * np.std(proportions) / 200**0.5
