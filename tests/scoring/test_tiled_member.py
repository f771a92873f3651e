"""Large images, scored by their tiles."""

from __future__ import annotations

import numpy as np
import pytest

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.contracts import ImageShape
from bigan_cli.data.tiles import Tiles, Tiling
from bigan_cli.model.networks import build_networks
from bigan_cli.scoring.components.latent_neighbours import LatentNeighbours
from bigan_cli.scoring.components.reconstruction import Reconstruction
from bigan_cli.scoring.detector import Detector
from bigan_cli.scoring.fit import fit_detector
from bigan_cli.scoring.normal_images import NormalImages

SHAPE = ImageShape(1, 20, 31)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    size = (24, SHAPE.channels, SHAPE.height, SHAPE.width)
    return np.random.default_rng(0).integers(100, 156, size, np.uint8)


@pytest.fixture(scope="module")
def detector(images: np.ndarray) -> Detector:
    tiling = Tiling.of(SHAPE, 8)
    assert tiling is not None
    architecture = Dcgan(DcganOptions(feature_maps_gen=4, feature_maps_disc=4))
    networks = build_networks(architecture, tiling.tile, 4, seed=0)
    fit, validation, calibration = images[:10], images[10:14], images[14:]
    normals = NormalImages(
        Tiles(fit, tiling)[:],
        validation,
        calibration,
        tiling=tiling,
        validation_tiles=Tiles(validation, tiling)[:],
    )
    components = [
        Reconstruction(Reconstruction.Options()),
        LatentNeighbours(LatentNeighbours.Options()),
    ]
    return fit_detector(networks, components, {"reconstruction": 1.0}, normals, 0.1, 4, 0)


def test_an_image_has_one_score_one_p_value_and_one_map_of_its_size(
    detector: Detector, images: np.ndarray
) -> None:
    scores = detector.score(images[:3], heatmaps=True)
    assert detector.shape == SHAPE
    assert detector.is_tiled
    assert scores.score.shape == scores.p_value.shape == (3,)
    assert scores.heatmaps is not None
    assert scores.heatmaps.shape == (3, SHAPE.height, SHAPE.width)
    assert detector.calibration.n == 10
    assert detector.reconstruct(images[:2]).shape == images[:2].shape


def test_it_is_the_same_to_the_bit_alone_and_among_others(
    detector: Detector, images: np.ndarray
) -> None:
    together = detector.score(images[:5], heatmaps=True)
    for i in range(5):
        alone = detector.score(images[i : i + 1], heatmaps=True)
        assert alone.score[0] == together.score[i]
        assert np.array_equal(alone.heatmaps[0], together.heatmaps[i])
        assert np.array_equal(detector.heatmaps(images[i : i + 1])[0], together.heatmaps[i])
        assert detector.score(images[i : i + 1]).score[0] == together.score[i]


def test_a_single_odd_place_decides_and_is_found(detector: Detector, images: np.ndarray) -> None:
    odd = images[14:15].copy()
    odd[:, :, 12:16, 20:24] = 255
    scores = detector.score(odd, heatmaps=True)
    assert detector.predict(scores).all()
    assert scores.score[0] > detector.score(images[14:15]).score[0] + 1
    row, column = np.unravel_index(scores.heatmaps[0].argmax(), scores.heatmaps[0].shape)
    assert 12 <= row < 16
    assert 20 <= column < 24
    assert scores.heatmaps[0].max() > 1


def test_calibration_ranks_images_and_not_tiles(detector: Detector, images: np.ndarray) -> None:
    of_calibration = detector.score(images[14:])
    assert sorted(of_calibration.score) == sorted(detector.calibration.scores)
    assert (of_calibration.p_value <= 0.1).sum() <= 1


def test_no_image_gives_empty_results(detector: Detector, images: np.ndarray) -> None:
    scores = detector.score(images[:0], heatmaps=True)
    assert scores.score.shape == (0,)
    assert scores.heatmaps.shape == (0, SHAPE.height, SHAPE.width)
