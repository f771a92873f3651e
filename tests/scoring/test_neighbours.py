"""The neighbour search finds the same as an exhaustive search."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bigan_cli.scoring.components.latent_neighbours import LatentNeighbours


def curved(count, dimensions, generator):
    """Points as networks make them: a few things vary, and the rest follows."""
    few = torch.randn(count, 12, generator=generator)
    spread = torch.randn(12, dimensions, generator=torch.Generator().manual_seed(99))
    noise = 0.3 * torch.randn(count, dimensions, generator=generator)
    return torch.relu(few @ spread) + noise


def fitted_to(points, **options):
    component = LatentNeighbours(LatentNeighbours.Options(**options))
    return component, component.fit(points, torch.Generator().manual_seed(0))


def by_looking_at_all(points, kept, neighbours, metric):
    bank = (kept["bank"].float() * kept["scale"]).double()
    if metric != "euclidean":
        length = points.norm(dim=1, keepdim=True)
        points = points / (length if metric == "cosine" else length.sqrt())
    apart = torch.cdist(points.double(), bank)
    return apart.topk(neighbours, largest=False).values.mean(dim=1).float()


@settings(max_examples=20, deadline=None)
@given(
    dimensions=st.sampled_from([8, 40, 255, 256, 700]),
    bank=st.sampled_from([3, 64, 1000, 1024, 2500]),
    neighbours=st.sampled_from([1, 5, 30]),
    metric=st.sampled_from(["euclidean", "cosine", "root"]),
    seed=st.integers(0, 1000),
)
def test_distances_are_those_of_the_nearest(dimensions, bank, neighbours, metric, seed):
    generator = torch.Generator().manual_seed(seed)
    component, kept = fitted_to(
        curved(bank, dimensions, generator), n_neighbors=neighbours, metric=metric
    )
    points = torch.cat(
        [curved(48, dimensions, generator), 4 * torch.randn(16, dimensions, generator=generator)]
    )
    got = component.score(SimpleNamespace(z=points), kept)
    wanted = by_looking_at_all(points, kept, min(neighbours, bank), metric)
    # A wide space is searched in its leading dimensions: what is found may lie a little further.
    assert (got >= wanted * (1 - 1e-4)).all()
    assert (got[:48] <= wanted[:48] * 1.001).float().mean() > 0.9
    assert (got <= wanted * 1.05).all()
    if dimensions < 256 or bank < 1024:
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dimensions", [40, 300, 1152])
def test_a_point_of_the_bank_is_at_no_distance(dimensions):
    generator = torch.Generator().manual_seed(1)
    component, kept = fitted_to(curved(2000, dimensions, generator), n_neighbors=1)
    points = kept["bank"][:64].float() * kept["scale"]
    assert component.score(SimpleNamespace(z=points), kept).max() == 0


@pytest.mark.parametrize("dimensions", [300, 1152])
def test_the_place_in_a_batch_changes_no_bit(dimensions):
    generator = torch.Generator().manual_seed(2)
    component, kept = fitted_to(curved(2000, dimensions, generator))
    points = curved(64, dimensions, generator)
    order = torch.randperm(64, generator=generator)
    straight = component.score(SimpleNamespace(z=points), kept)
    assert torch.equal(component.score(SimpleNamespace(z=points[order]), kept), straight[order])


def test_how_strongly_something_is_seen_tells_by_its_square_root():
    points = torch.eye(4) * torch.tensor([[1.0], [1.0], [4.0], [9.0]])
    far = {}
    for metric in ("euclidean", "cosine", "root"):
        component, kept = fitted_to(points[:1], metric=metric, n_neighbors=1)
        outputs = SimpleNamespace(z=torch.cat([4 * points[:1], points[2:]]))
        far[metric] = component.score(outputs, kept)
    torch.testing.assert_close(far["euclidean"], torch.tensor([3.0, 17**0.5, 82**0.5]))
    torch.testing.assert_close(far["cosine"], torch.tensor([0.0, 2**0.5, 2**0.5]))
    torch.testing.assert_close(far["root"], torch.tensor([1.0, 5**0.5, 10**0.5]))
    component, kept = fitted_to(torch.zeros(3, 4), metric="root")
    assert component.score(SimpleNamespace(z=torch.zeros(2, 4)), kept).tolist() == [0.0, 0.0]
