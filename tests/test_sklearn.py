"""The scikit-learn estimator keeps scikit-learn's contract."""

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import check_estimator

from bigan_cli import BiganWarning
from bigan_cli.errors import UsageError
from bigan_cli.sklearn import BiGANOutlierDetector

SMALL = {"epochs": 2, "feature_maps": 4, "latent_dim": 4, "device": "cpu"}
RANDOM = np.random.default_rng(0)
DIGITS = RANDOM.integers(0, 256, (90, 64)).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_check_estimator_passes():
    check_estimator(BiGANOutlierDetector(epochs=5))  # and otherwise the defaults


def test_signs_agree_and_the_detector_is_the_same():
    fitted = BiGANOutlierDetector(**SMALL).fit(DIGITS)
    samples = fitted.score_samples(DIGITS[:9])
    assert np.array_equal(fitted.decision_function(DIGITS[:9]), samples - fitted.offset_)
    expected = np.where(samples - fitted.offset_ < 0, -1, 1)
    assert fitted.predict(DIGITS[:9]).tolist() == expected.tolist()
    # Images of 8 x 8 are taken as they are: the sign is the one difference from `bigan score`.
    images = DIGITS[:9].reshape(9, 8, 8)
    assert np.array_equal(fitted.detector_.score(images).score, -samples)
    flagged = fitted.detector_.predict(images, fpr=fitted.fpr_)
    assert flagged.tolist() == (expected == -1).tolist()


def test_few_rows_warn_that_the_rate_is_not_guaranteed():
    with pytest.warns(BiganWarning, match="calibrated on the training images"):
        fitted = BiGANOutlierDetector(**SMALL).fit(DIGITS[:10])
    assert fitted.fpr_ == pytest.approx(1 / 11)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), None])
def test_image_shape(shape):
    fitted = BiGANOutlierDetector(image_shape=shape, **SMALL).fit(DIGITS)
    assert str(fitted.detector_.image_shape) == "1x8x8"


@pytest.mark.parametrize("shape", [(8, 9), (4, 16), (8, 8, 2), (8,)])
def test_a_wrong_image_shape_is_a_value_error(shape):
    with pytest.raises(ValueError, match="image_shape"):
        BiGANOutlierDetector(image_shape=shape, **SMALL).fit(DIGITS)


def test_in_a_pipeline_and_in_cross_validation():
    rows = RANDOM.normal(size=(240, 5))
    pipeline = make_pipeline(MinMaxScaler(), BiGANOutlierDetector(**SMALL)).fit(rows[:90])
    assert set(pipeline.predict(rows[90:])) <= {-1, 1}

    def share_of_inliers(estimator, X, y=None):
        return float((estimator.predict(X) == 1).mean())

    shares = cross_val_score(pipeline, rows, scoring=share_of_inliers, cv=2, error_score="raise")
    assert ((shares >= 0) & (shares <= 1)).all()


def test_rows_are_not_cut_into_tiles():
    with pytest.raises(UsageError, match="tiles"):
        BiGANOutlierDetector(settings={"tile": 32}).fit(DIGITS[:40])
