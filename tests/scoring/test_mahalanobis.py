"""Mahalanobis distances, their shrinkage, and what could make them infinite."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from bigan_cli.scoring.components.latent_mahalanobis import LatentMahalanobis
from bigan_cli.testing import score_component_checks

SEEDS = st.integers(0, 2**31 - 1)


class Latents:
    def __init__(self, z):
        self.z = z


def drawn(seed, *size):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def scores(normals, query, shrinkage="auto", directions=256):
    options = LatentMahalanobis.Options(shrinkage=shrinkage, directions=directions)
    component = LatentMahalanobis(options)
    fitted = component.fit(normals, torch.Generator().manual_seed(0))
    assert all(value.dtype == torch.float32 for value in fitted.values())
    return component.score(Latents(query), fitted)


@given(seed=SEEDS, count=st.integers(4, 60), width=st.integers(2, 30))
def test_it_is_the_distance_by_the_covariance_of_ledoit_and_wolf(seed, count, width):
    normals = drawn(seed, count, width) * torch.linspace(0.2, 3, width) + 5
    query = drawn(seed + 1, 10, width) * 4
    wanted = LedoitWolf().fit(normals.double().numpy()).mahalanobis(query.double().numpy())
    np.testing.assert_allclose(scores(normals, query), np.sqrt(wanted), rtol=1e-3)


@given(seed=SEEDS, width=st.integers(1, 12))
def test_without_shrinkage_an_affine_map_changes_nothing(seed, width):
    normals, query = drawn(seed, 200, width), drawn(seed + 1, 20, width) * 2
    # Far from singular, as a rotation and a stretch by at most ten.
    rotation = torch.linalg.qr(drawn(seed + 2, width, width)).Q
    stretch = 0.5 + 4.5 * torch.rand(width, generator=torch.Generator().manual_seed(seed))
    shift = 3 * drawn(seed + 3, width)
    moved = [z @ rotation * stretch + shift for z in (normals, query)]
    before, after = scores(normals, query, 0.0), scores(*moved, 0.0)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)


@given(seed=SEEDS, width=st.integers(2, 12), scale=st.floats(0.01, 100))
def test_with_shrinkage_turning_and_scaling_change_nothing(seed, width, scale):
    normals = drawn(seed, 30, width) * torch.linspace(0.3, 2, width)
    query = drawn(seed + 1, 20, width) * 2
    rotation = torch.linalg.qr(drawn(seed + 2, width, width)).Q
    before = scores(normals, query)
    after = scores(normals @ rotation * scale, query @ rotation * scale)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)


def test_full_shrinkage_is_the_euclidean_distance_in_standard_deviations():
    normals, query = drawn(0, 50, 6) * torch.arange(1, 7), drawn(1, 9, 6)
    apart = torch.linalg.vector_norm(query - normals.mean(dim=0), dim=1)
    deviation = normals.var(dim=0, correction=0).mean().sqrt()
    torch.testing.assert_close(scores(normals, query, 1.0), apart / deviation)


@given(seed=SEEDS, width=st.integers(6, 40))
def test_directions_without_a_variance_of_their_own_share_theirs(seed, width):
    # Four directions in which the normals spread, and many in which they hardly do.
    spread = torch.cat([torch.tensor([8.0, 6.0, 4.0, 3.0]), torch.full((width - 4,), 0.1)])
    normals, query = drawn(seed, 4000, width) * spread, drawn(seed + 1, 20, width)
    every, few = scores(normals, query, 0.0), scores(normals, query, 0.0, directions=4)
    torch.testing.assert_close(few, every, rtol=0.1, atol=0.1)


def test_two_normals_tell_no_direction_from_another():
    query = torch.tensor([[0.0, 3.0], [3.0, 0.0]])
    torch.testing.assert_close(
        scores(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), query), torch.full((2,), 3 * 2**0.5)
    )


def test_a_step_across_the_normals_counts_more_than_one_along_them():
    normals = drawn(0, 300, 2) * torch.tensor([10.0, 0.1])
    along, across = scores(normals, torch.tensor([[5.0, 0.0], [0.0, 5.0]]))
    assert along < 1
    assert across > 10 * along


@given(
    seed=SEEDS,
    count=st.integers(1, 12),
    width=st.integers(1, 40),
    constant=st.integers(0, 40),
    scale=st.sampled_from([0.0, 1e-20, 1e-6, 1.0, 1e4]),
    shrinkage=st.sampled_from(["auto", 0.0, 0.5, 1.0]),
)
def test_it_is_finite_however_few_or_flat_the_normals_are(
    seed, count, width, constant, scale, shrinkage
):
    normals = drawn(seed, count, width) * scale + 2
    normals[:, :constant] = 3.0
    query = torch.cat([normals, drawn(seed + 1, 5, width), 1e6 * drawn(seed + 2, 5, width)])
    found = scores(normals, query, shrinkage)
    assert found.isfinite().all()
    assert (found >= 0).all()


def test_leaving_a_constant_latent_counts_more_than_a_step_as_large_among_the_others():
    normals = drawn(0, 100, 3)
    normals[:, 0] = 1.0
    step = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 0.0]])
    among, out = scores(normals, step)
    assert out > 2 * among


def test_what_embed_gives_is_left_alone():
    for dtype in (torch.float32, torch.float64):
        normals = drawn(0, 20, 3).to(dtype)
        before = normals.clone()
        scores(normals, drawn(1, 2, 3))
        assert torch.equal(normals, before)


@pytest.mark.parametrize("value", [-0.1, 1.5, "none", None])
def test_a_shrinkage_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="shrinkage"):
        LatentMahalanobis.Options(shrinkage=value)


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{check.name}-{next(iter(options))}")
        for options in ({"shrinkage": 0.0}, {"directions": 3})
        for check in score_component_checks(LatentMahalanobis, options)
    ],
)
def test_it_keeps_the_contract(check):
    check.call()
