"""Cross-fitting: every normal image calibrates, and the false-positive rate is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import beta, binom

from bigan_cli.architectures._feature_networks import PositionwiseDiscriminator, PositionwiseMLP
from bigan_cli.contracts import ImageShape
from bigan_cli.errors import DataError
from bigan_cli.model.networks import Networks
from bigan_cli.scoring.components.feature_mahalanobis import FeatureMahalanobis
from bigan_cli.scoring.components.patch_neighbours import PatchNeighbours
from bigan_cli.scoring.cross_fitting import (
    CrossFittedMaps,
    calibrate_cross_fitted,
    fit_cross_fitted_member,
    fold_maps,
)
from bigan_cli.scoring.ensemble_member import TrainingProvenance

CHANNELS, SIDE, BATCH, FPR, NORMALS, FOLDS = 6, 4, 32, 0.05, 20, 5
COMPONENTS = [
    PatchNeighbours(PatchNeighbours.Options(memory_bank_size=128)),
    FeatureMahalanobis(FeatureMahalanobis.Options()),
]
WEIGHTS = {"patch_neighbours": 1.0, "feature_mahalanobis": 1.0}


def _networks() -> Networks:
    torch.manual_seed(0)
    return Networks(
        PositionwiseMLP(CHANNELS, 8, 2),
        PositionwiseMLP(2, 8, CHANNELS),
        PositionwiseDiscriminator(CHANNELS, 2, 8),
        image_shape=ImageShape(3, 16, 16),
        latent_dim=2,
        extractor=torch.nn.Identity(),
        input_shape=ImageShape(CHANNELS, SIDE, SIDE),
    )


def _features(rng: np.random.Generator, images: int) -> np.ndarray:
    """Return feature maps of images that differ as a whole and from position to position."""
    whole = rng.normal(size=(images, 1, 1, CHANNELS))
    return (whole + rng.normal(size=(images, SIDE, SIDE, CHANNELS))).astype(np.float32)


def _detector(networks: Networks, normals: np.ndarray, folds: np.ndarray):
    parts = {
        fold: fold_maps(
            networks, COMPONENTS, WEIGHTS, normals[folds != fold], normals[folds == fold], BATCH, 0
        )
        for fold in np.unique(folds)
    }
    maps = CrossFittedMaps.join(parts, folds)
    member = fit_cross_fitted_member(
        networks, COMPONENTS, WEIGHTS, normals, maps, BATCH, TrainingProvenance()
    )
    return calibrate_cross_fitted([member], FPR, BATCH)


def _flagged(networks: Networks, seed: int, new: int) -> np.ndarray:
    """Return which of *new* normal images a detector of 20 others calls anomalous."""
    rng = np.random.default_rng([1, seed])
    normals = _features(rng, NORMALS)
    detector = _detector(networks, normals, rng.permutation(np.arange(NORMALS) % FOLDS))
    (member,) = detector.members
    scores = member.combine(member.component_scores(_features(rng, new), BATCH))
    return detector.calibration.p_values(scores) <= FPR


@pytest.mark.parametrize("seeds", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_of_new_normal_images_no_more_than_the_rate_is_called_anomalous(seeds):
    networks = _networks()
    flagged = np.stack([_flagged(networks, seed, new=32) for seed in range(seeds)])
    # One image a seed: independent draws.
    assert flagged[:, 0].sum() <= binom.ppf(0.999, seeds, FPR)
    # Those of one seed share a threshold, whose rate is Beta distributed.
    spread = np.sqrt(beta.var(1, NORMALS) / seeds + FPR * (1 - FPR) / flagged.size)
    assert flagged.mean() <= FPR + 3 * spread
    assert flagged.mean() > 0  # and it flags something


def test_scores_calibrated_without_leaving_out_would_break_the_rate():
    """The very images that fill the memory are nearer to it than any new one."""
    networks = _networks()
    rates = []
    for seed in range(4):
        rng = np.random.default_rng([2, seed])
        normals = _features(rng, NORMALS)
        detector = _detector(networks, normals, np.arange(NORMALS) % FOLDS)
        (member,) = detector.members
        own = member.combine(member.component_scores(normals, BATCH))
        new = member.combine(member.component_scores(_features(rng, 32), BATCH))
        rates.append((new > np.sort(own)[-1]).mean())
    assert np.mean(rates) > 3 * FPR


def test_an_anomaly_is_called_anomalous():
    rng = np.random.default_rng(0)
    normals = _features(rng, NORMALS)
    detector = _detector(_networks(), normals, np.arange(NORMALS) % FOLDS)
    image = _features(rng, 1)
    image[0, 1, 1] += 8
    (member,) = detector.members
    score = member.combine(member.component_scores(image, BATCH))
    assert detector.calibration.p_values(score)[0] == pytest.approx(1 / (NORMALS + 1))


def test_an_image_does_not_take_part_in_its_own_calibration_score():
    rng = np.random.default_rng(0)
    normals = _features(rng, NORMALS)
    folds = np.arange(NORMALS)  # leave-one-out
    before = _detector(_networks(), normals, folds).members[0].cross_fitted.scores
    normals[3] += 50
    after = _detector(_networks(), normals, folds).members[0].cross_fitted.scores
    # Linear in its own map: were it part of its own scale, the rise would be damped.
    assert after[3] - before[3] > 30


def test_members_of_other_images_are_not_calibrated_together():
    rng = np.random.default_rng(0)
    networks = _networks()
    few, more = (_detector(networks, _features(rng, n), np.arange(n) % FOLDS) for n in (20, 25))
    with pytest.raises(DataError, match="same images"):
        calibrate_cross_fitted([*few.members, *more.members], FPR, BATCH)
