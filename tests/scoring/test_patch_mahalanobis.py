"""Mahalanobis distances at the positions of feature maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis

from bigan_cli.scoring.components.patch_mahalanobis import PatchMahalanobis

SEEDS = st.integers(0, 2**31 - 1)


@dataclass
class Outputs:
    x: torch.Tensor
    layer_channels: tuple[int, ...]


def drawn(seed: int, *size: int) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def heatmap(
    normal: torch.Tensor, test: torch.Tensor, layers: tuple[int, ...] = (), **options: float
) -> torch.Tensor:
    """Return the maps of *test* ``[N, K, h, w]`` after fitting to *normal*."""
    layers = layers or (normal.shape[1],)
    component = PatchMahalanobis(PatchMahalanobis.Options(**options))
    embedded = component.embed(Outputs(normal, layers))
    fitted = component.fit(embedded, torch.Generator().manual_seed(0))
    return component.heatmap(Outputs(test, layers), fitted)


@given(seed=SEEDS)
def test_without_prior_it_is_the_distance_of_each_position(seed: int) -> None:
    scales = 0.5 + torch.arange(6.0).reshape(1, 1, 2, 3)
    normal, test = drawn(seed, 60, 8, 2, 3) * scales, drawn(seed + 1, 3, 8, 2, 3)
    found = heatmap(normal, test, prior=0, shrinkage=0)
    stored = normal.half().double().numpy()
    for row, column in np.ndindex(2, 3):
        points = stored[:, :, row, column]
        inverse = np.linalg.inv(np.cov(points.T, bias=True))
        for image in range(3):
            wanted = mahalanobis(test[image, :, row, column], points.mean(0), inverse)
            assert float(found[image, row, column]) == pytest.approx(wanted, rel=0.01)


def test_what_is_normal_depends_on_the_position() -> None:
    """A bright edge is normal where all images have one, and nowhere else."""
    normal = drawn(0, 40, 8, 4, 4)
    normal[:, :, 0] += 6
    test = drawn(1, 2, 8, 4, 4)
    test[:, :, 0] += 6
    test[1, :, 2, 3] += 6
    found = heatmap(normal, test)
    assert found[0].max() < 6
    assert found[1].argmax() == 2 * 4 + 3
    assert found[1, 2, 3] > 10


def test_few_images_share_the_covariance_of_all_positions() -> None:
    """Five images alone would leave most directions without variance, and distances absurd."""
    normal, test = drawn(0, 5, 32, 8, 8), drawn(1, 20, 32, 8, 8)
    assert heatmap(normal, test).median() < 2 * 32**0.5
    assert heatmap(normal, test, prior=0).median() > 4 * 32**0.5


def test_vectors_without_a_position_share_one_gaussian() -> None:
    """With a region of interest the positions inside are fitted as ``[M, K, 1, 1]``."""
    normal, test = drawn(0, 400, 8, 1, 1), drawn(1, 2, 8, 3, 5)
    assert heatmap(normal, test).shape == (2, 3, 5)
    points = normal[:, :, 0, 0].half().double().numpy()
    inverse = np.linalg.inv(np.cov(points.T, bias=True))
    wanted = mahalanobis(test[1, :, 2, 4], points.mean(0), inverse)
    assert float(heatmap(normal, test)[1, 2, 4]) == pytest.approx(wanted, rel=0.02)


def test_only_the_finest_layers_are_used() -> None:
    normal, test = drawn(0, 40, 24, 2, 2), drawn(1, 2, 24, 2, 2)
    changed = test.clone()
    changed[:, 16:] += 9
    layers = (8, 8, 8)
    assert torch.equal(heatmap(normal, test, layers), heatmap(normal, changed, layers))
    changed[:, 15] += 9
    assert not torch.equal(heatmap(normal, test, layers), heatmap(normal, changed, layers))


@pytest.mark.parametrize("channels", [13, 40, 304])
def test_an_image_has_the_same_bits_at_any_place_of_a_batch(channels: int) -> None:
    normal, test = drawn(0, 30, channels, 5, 7), drawn(1, 16, channels, 5, 7)
    found = heatmap(normal, test)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(2))
    assert torch.equal(heatmap(normal, test[order]), found[order])
    repeated = test[:1].expand(16, -1, -1, -1)
    assert torch.equal(heatmap(normal, repeated)[7], found[0])
