"""The classical detectors: on the bundled digits, and on images whose scores are known."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bigan_cli.errors import DataError
from bigan_cli.evaluation import baselines
from bigan_cli.evaluation.baselines import BASELINES, baseline_scores, run_baselines


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    pixels = np.round(found.images * 255 / 16).astype(np.uint8)[:, None]
    zeros = found.target == 0
    train = np.arange(len(pixels)) < 900
    return pixels[zeros & train], pixels[~train], ~zeros[~train]


def test_each_tells_zeros_from_other_digits(digits):
    figures = run_baselines(*digits)
    assert list(figures) == ["pca", "neighbours", "isolation_forest", "one_class_svm"]
    for name, found in figures.items():
        assert found["auroc"] > 0.9, name
        assert found["average_precision"] > found["auroc"] - 0.2
        assert found["fitted_to"] == len(digits[0])


@pytest.mark.parametrize("name", BASELINES)
def test_a_score_repeats_and_does_not_depend_on_the_company(digits, name):
    fit, test, _ = digits
    whole = baseline_scores(name, fit, test, seed=3)
    assert whole.dtype == np.float64
    assert whole.shape == (len(test),)
    assert np.array_equal(whole, baseline_scores(name, fit, test, seed=3))
    np.testing.assert_allclose(baseline_scores(name, fit, test[5:9], seed=3), whole[5:9], rtol=1e-4)


def test_neighbours_are_euclidean_distances_of_pixels_from_0_to_1():
    fit = np.zeros((8, 1, 8, 8), np.uint8)
    test = np.full((2, 1, 8, 8), 255, np.uint8)
    test[0] = 51
    assert baseline_scores("neighbours", fit, test) == pytest.approx([8 * 0.2, 8])


def test_pca_keeps_less_of_colour_images():
    draw = np.random.default_rng(0)
    # Along the first axis 92 % of the variance, so grey images need a second one.
    noise = draw.normal(size=(400, 3)) * np.sqrt([92, 6, 2])
    axes = np.linalg.qr(draw.normal(size=(192, 3)))[0].T
    colour = np.clip(128 + noise @ axes * 5, 0, 255).astype(np.uint8).reshape(400, 3, 8, 8)
    off = np.clip(128 + 40 * axes[1:2] * 5, 0, 255).astype(np.uint8).reshape(1, 3, 8, 8)
    as_grey = off.reshape(1, 1, 24, 8)
    lost = baseline_scores("pca", colour, off)[0]
    kept = baseline_scores("pca", colour.reshape(400, 1, 24, 8), as_grey)[0]
    assert lost > 10 * kept


def test_a_support_vector_machine_takes_a_drawn_part_of_many_images(digits, monkeypatch):
    fit, test, outlier = digits
    fewer = {**BASELINES["one_class_svm"].__dict__, "most": 20}
    monkeypatch.setitem(BASELINES, "one_class_svm", baselines.Baseline(**fewer))
    assert run_baselines(fit, test, outlier)["one_class_svm"]["fitted_to"] == 20
    one, other = (baseline_scores("one_class_svm", fit, test, seed) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_figures_without_anomalies_are_unknown(digits):
    fit, test, outlier = digits
    figures = run_baselines(fit, test[~outlier], outlier[~outlier])
    assert {found["auroc"] for found in figures.values()} == {None}


def test_nothing_to_score_is_told(digits):
    with pytest.raises(DataError, match="no test images"):
        run_baselines(digits[0], digits[1][:0], digits[2][:0])
