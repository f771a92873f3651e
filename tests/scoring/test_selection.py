"""Which normals a neighbour component keeps, and in how many dimensions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.scoring.components._coreset import coreset
from bigan_cli.scoring.components._neighbours import NeighbourOptions
from bigan_cli.scoring.components._principal import principal_axes
from bigan_cli.scoring.components._rows import times
from bigan_cli.scoring.components.discriminator_neighbours import DiscriminatorNeighbours
from bigan_cli.scoring.components.latent_neighbours import LatentNeighbours
from bigan_cli.testing import score_component_checks


class Points:
    def __init__(self, points):
        self.z = self.image_features = points


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def as_they_are(points):
    return points


def drawn(seed, *size):
    return torch.randn(*size, generator=seeded(seed))


def fit(points, seed=0, component=LatentNeighbours, **options):
    made = component(component.Options(**options))
    return made, made.fit(points, seeded(seed))


def bank_of(fitted):
    return fitted["bank"].float() * fitted["scale"]


def radius(points, bank):
    """How far the point farthest from the bank is."""
    return torch.cdist(points.double(), bank.double()).amin(dim=1).max().item()


# Coreset


@given(
    seed=st.integers(0, 2**31 - 1),
    number=st.integers(1, 12),
    width=st.integers(1, 6),
    few=st.booleans(),
)
def test_no_point_is_farther_from_a_coreset_than_its_own_are_from_each_other(
    seed, number, width, few
):
    points = drawn(seed, 40, width) * 3 + 10
    points = points.round() if few else points  # many are the same then
    chosen = coreset(points, number, as_they_are, seeded(seed))
    assert chosen.dtype == torch.int64
    assert len(chosen.unique()) == number
    kept = points[chosen].double()
    apart = torch.cdist(kept, kept)
    apart.fill_diagonal_(float("inf"))
    # That is what makes a radius at most twice the best.
    assert radius(points, kept) <= apart.min().item() + 1e-2


@given(seed=st.integers(0, 2**31 - 1), clusters=st.integers(2, 10), width=st.integers(1, 300))
def test_every_cluster_is_kept_however_rare(seed, clusters, width):
    centres = torch.zeros(clusters, width)
    centres[:, 0] = 100 * torch.arange(clusters)
    members = torch.cat([torch.zeros(500, dtype=torch.int64), torch.arange(clusters)])
    points = centres[members] + drawn(seed, len(members), width).clamp(-2, 2) / width**0.5
    component, fitted = fit(
        points, seed, memory_bank_size=clusters, subsampling="coreset", n_neighbors=1
    )
    assert len(fitted["bank"]) == clusters
    assert component.score(Points(points), fitted).max() < 10


def test_a_coreset_covers_better_than_a_random_choice():
    spread = torch.linspace(0.1, 4, 24).sqrt()
    for seed in range(5):
        points = drawn(seed, 600, 24) * spread
        _, random = fit(points, seed, memory_bank_size=60)
        _, chosen = fit(points, seed, memory_bank_size=60, subsampling="coreset")
        assert radius(points, bank_of(chosen)) < radius(points, bank_of(random))


def test_a_projected_coreset_covers_better_than_a_random_choice():
    # More directions than the distances are measured in, few of which the points lie in.
    for seed in range(5):
        points = drawn(seed, 600, 8) * torch.linspace(0.5, 3, 8) @ drawn(seed + 9, 8, 500)
        _, random = fit(points, seed, memory_bank_size=60)
        _, chosen = fit(points, seed, memory_bank_size=60, subsampling="coreset")
        assert radius(points, bank_of(chosen)) < radius(points, bank_of(random))


def test_the_choice_is_decided_by_the_generator():
    points = drawn(0, 300, 200)
    first, again, other = (
        fit(points, seed, memory_bank_size=20, subsampling="coreset")[1] for seed in (1, 1, 2)
    )
    assert torch.equal(first["bank"], again["bank"])
    assert not torch.equal(first["bank"], other["bank"])


def test_a_coreset_of_directions_is_one_by_angle():
    # Long vectors in one direction, and a short one in another.
    points = torch.cat([torch.tensor([[1.0, 0.0]]) * torch.arange(1, 100)[:, None], torch.eye(2)])
    _, fitted = fit(
        points, component=DiscriminatorNeighbours, memory_bank_size=2, subsampling="coreset"
    )
    torch.testing.assert_close(bank_of(fitted).sort(dim=0).values, torch.eye(2).sort(dim=0).values)


@pytest.mark.parametrize("size", [30, 31, 4096])
def test_nothing_is_dropped_where_there_is_room(size):
    points = drawn(0, 30, 5)
    _, random = fit(points, memory_bank_size=size)
    _, chosen = fit(points, memory_bank_size=size, subsampling="coreset")
    assert torch.equal(random["bank"], chosen["bank"])
    assert len(random["bank"]) == 30


def test_a_coreset_sees_more_normals_than_it_keeps():
    limits = [
        LatentNeighbours(NeighbourOptions(memory_bank_size=100, subsampling=selection)).fit_limit()
        for selection in ("random", "coreset")
    ]
    assert limits == [100, 800]


# Principal components


@given(
    seed=st.integers(0, 2**31 - 1),
    rank=st.integers(1, 8),
    width=st.integers(9, 40),
    metric=st.sampled_from(["euclidean", "cosine"]),
)
def test_distances_are_the_same_in_all_dimensions_that_there_are(seed, rank, width, metric):
    # A cone of normals through the origin, or a plane: unit vectors of a plane stay in it.
    plane = drawn(seed, rank, width)
    normals = drawn(seed + 1, 60, rank) @ plane
    query = Points(drawn(seed + 2, 20, rank) @ plane)
    options = {"metric": metric, "n_neighbors": 3}
    whole, whole_fitted = fit(normals, **options)
    short, short_fitted = fit(normals, **options, dimensions=rank)
    assert short_fitted["bank"].shape == (60, rank)
    assert short_fitted["axes"].shape == (width, rank)
    # Both banks are kept in half precision.
    tolerance = {"rtol": 5e-3, "atol": 5e-3 * whole_fitted["scale"].item()}
    torch.testing.assert_close(
        short.score(query, short_fitted), whole.score(query, whole_fitted), **tolerance
    )


@pytest.mark.parametrize("dimensions", [7, 8, 1000])
def test_as_many_dimensions_as_there_are_change_nothing(dimensions):
    points = drawn(0, 50, 7)
    assert fit(points)[1].keys() == fit(points, dimensions=dimensions)[1].keys()
    assert torch.equal(fit(points)[1]["bank"], fit(points, dimensions=dimensions)[1]["bank"])


@given(
    seed=st.integers(0, 2**31 - 1),
    rows=st.integers(1, 64),
    width=st.integers(1, 300),
    columns=st.integers(1, 40),
)
def test_a_row_gives_the_same_bits_in_any_place(seed, rows, width, columns):
    matrix = drawn(seed, width, columns)
    found = times(drawn(seed + 1, 1, width).repeat(rows, 1), matrix)
    assert found.shape == (rows, columns)
    assert (found == found[0]).all()
    wanted = drawn(seed + 1, 1, width).double() @ matrix.double()
    torch.testing.assert_close(found[:1].double(), wanted, rtol=1e-4, atol=1e-4)


def test_the_axes_are_those_of_the_greatest_variance():
    points = drawn(0, 400, 60) * torch.linspace(5, 0.1, 60) + 7
    axes = principal_axes(points, 6, seeded(0)).double()
    torch.testing.assert_close(axes.T @ axes, torch.eye(6).double(), rtol=0, atol=1e-5)
    centred = (points - points.mean(dim=0)).double()
    kept = (centred @ axes).square().sum(dim=0)
    most = torch.linalg.svdvals(centred)[:6].square()
    torch.testing.assert_close(kept, most, rtol=0.02, atol=0)
    assert kept.sum() > 0.99 * most.sum()


def test_fewer_points_than_dimensions_give_as_many_axes_as_points():
    component, fitted = fit(drawn(0, 4, 50), dimensions=20)
    assert fitted["axes"].shape == (50, 4)
    assert component.score(Points(drawn(1, 3, 50)), fitted).isfinite().all()


def test_principal_axes_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    points = drawn(0, 100, 40)
    first, again = (principal_axes(points, 3, seeded(5)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)


def test_normals_that_are_all_the_same_are_at_no_distance():
    points = torch.full((30, 12), 3.0)
    component, fitted = fit(points, memory_bank_size=10, subsampling="coreset", dimensions=4)
    assert component.score(Points(points[:2]), fitted).abs().max() < 1e-2


# The contract of a component


CHECKS = [
    pytest.param(check, id=f"{component.name}-{check.name}")
    for component in (LatentNeighbours, DiscriminatorNeighbours)
    for check in score_component_checks(
        component, {"memory_bank_size": 10, "subsampling": "coreset", "dimensions": 3}
    )
]


@pytest.mark.parametrize("check", CHECKS)
def test_a_projected_coreset_keeps_the_contract(check):
    check.call()
