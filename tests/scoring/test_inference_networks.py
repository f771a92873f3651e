"""Inference networks compute what was trained, also for third-party architectures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.contracts import ImageShape
from bigan_cli.model.networks import Networks, build_networks
from bigan_cli.scoring.components._neighbours import NeighbourComponent, NeighbourOptions
from bigan_cli.scoring.components.latent_neighbours import LatentNeighbours
from bigan_cli.scoring.inference import run_batches
from bigan_cli.scoring.inference_networks import InferenceNetworks, batch_size_for

SHAPE = ImageShape(3, 16, 20)


@pytest.fixture
def networks():
    options = DcganOptions(feature_maps_gen=8, feature_maps_disc=8, spectral_norm=True)
    return build_networks(Dcgan(options), SHAPE, 6, 0)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (50, 3, 16, 20)).astype(np.uint8)


def observed(networks, pixels):
    with torch.no_grad():
        (outputs,) = run_batches(networks, pixels, len(pixels), lambda outputs, _: outputs)
        return [
            outputs.z,
            outputs.reconstruction,
            *outputs.real,
            *outputs.fake,
            outputs.image_features,
        ]


def plainly(networks, pixels):
    x = torch.from_numpy(pixels).float() / 127.5 - 1
    networks.eval()
    with torch.no_grad():
        z = networks.encoder(x)
        fake = networks.generator(z)
        judged = [*networks.discriminator(x, z), *networks.discriminator(fake, z)]
        return [z, fake, *judged, networks.discriminator.image_features(x)]


def test_they_compute_the_same_and_leave_the_trained_ones_alone(networks, pixels):
    before = {name: value.clone() for name, value in networks.state_dict().items()}
    for got, wanted in zip(observed(networks, pixels), plainly(networks, pixels), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    assert any(parametrize.is_parametrized(m) for m in networks.modules())
    assert not any(
        parametrize.is_parametrized(m) for m in InferenceNetworks(networks).encoder.modules()
    )
    assert not any(
        parametrize.is_parametrized(m) for m in InferenceNetworks(networks).discriminator.modules()
    )
    for name, value in networks.state_dict().items():
        assert torch.equal(value, before[name])
    networks.train()
    logits, _ = networks.discriminator(torch.rand(2, 3, 16, 20), torch.rand(2, 6))
    logits.sum().backward()
    assert all(p.grad is not None for p in networks.discriminator.parameters())


@pytest.mark.parametrize("first", ["real", "image_features", "encoder_features"])
def test_what_is_seen_in_a_batch_is_computed_once_in_any_order(networks, pixels, first):
    calls = []
    networks.discriminator.image_trunk.register_forward_hook(lambda *_: calls.append("D"))
    networks.encoder.trunk.register_forward_hook(lambda *_: calls.append("E"))
    networks.generator.register_forward_hook(lambda *_: calls.append("G"))
    ready = InferenceNetworks(networks)
    calls.clear()
    with torch.no_grad():
        (outputs,) = run_batches(ready, pixels, len(pixels), lambda outputs, _: outputs)
        getattr(outputs, first)
        assert outputs.real[1].shape == (50, 256)
        assert outputs.image_features.shape == (50, 256)
        assert outputs.encoder_features.shape[0] == 50
    assert sorted(calls) == ["D", "E"]


def test_two_batches_are_not_taken_for_each_other(networks, pixels):
    ready = InferenceNetworks(networks)
    with torch.no_grad():
        alone = list(run_batches(ready, pixels, 25, lambda outputs, _: outputs.image_features))
        together = list(run_batches(ready, pixels, 25, lambda outputs, _: outputs))
        assert torch.equal(together[0].image_features, alone[0])
        assert torch.equal(together[1].image_features, alone[1])
        for outputs, wanted in zip(together, alone, strict=True):
            assert torch.equal(outputs.real[0], ready.discriminator(outputs.x, outputs.z)[0])
            assert torch.equal(outputs.image_features, wanted)


class Viewing(nn.Module):
    """What may not have its channels last: ``view`` wants them first."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4 * 16 * 20, 6)

    def forward(self, x):
        return self.head(self.convolution(x).view(len(x), -1))


def test_an_architecture_that_cannot_have_channels_last_goes_without(networks, pixels):
    assert InferenceNetworks(networks).layout == torch.channels_last
    strange = Networks(Viewing(), networks.generator, networks.discriminator, SHAPE, 6)
    assert InferenceNetworks(strange).layout == torch.contiguous_format
    for got, wanted in zip(observed(strange, pixels), plainly(strange, pixels), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_the_number_of_threads_changes_no_bit(networks, pixels):
    def look(outputs, count):
        return torch.cat([outputs.z, outputs.real[1], outputs.image_features], dim=1)[:count]

    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(torch.cat(list(run_batches(networks, pixels, 8, look))))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert results[0].shape == (50, 6 + 256 + 256)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_looked_at_is_computed_by_one_thread_without_gradients(networks, pixels, threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = list(
            run_batches(
                networks,
                pixels,
                8,
                lambda *_: (torch.get_num_threads(), torch.is_grad_enabled()),
            )
        )
    finally:
        torch.set_num_threads(before)
    assert found == [(1, False)] * 7


@pytest.mark.parametrize(
    ("side", "images"), [(8, 64), (28, 64), (64, 64), (128, 16), (512, 1), (1024, 1)]
)
def test_a_batch_of_large_images_is_smaller(side, images):
    assert batch_size_for(ImageShape(3, side, side)) == images


class Points:
    def __init__(self, points):
        self.z = points


@pytest.mark.parametrize("memory_bank_size", [1, 3, 63, 64, 65, 1000])
@pytest.mark.parametrize("neighbours", [1, 5, 80])
def test_the_nearest_are_found_and_their_distances_exact(memory_bank_size, neighbours):
    generator = torch.Generator().manual_seed(memory_bank_size)
    bank = 40 + torch.randn(memory_bank_size, 17, generator=generator)
    component = LatentNeighbours(NeighbourOptions(n_neighbors=neighbours))
    assert isinstance(component, NeighbourComponent)
    fitted = component.fit(bank, generator)
    kept = fitted["bank"].double() * fitted["scale"].double()
    # Some of the points are in the bank itself, at no distance at all.
    points = torch.cat([kept[:2].float(), 40 + torch.randn(30, 17, generator=generator)])
    got = component.score(Points(points), fitted)
    count = min(neighbours, memory_bank_size)
    wanted = torch.cdist(points.double(), kept).topk(count, dim=1, largest=False).values.mean(dim=1)
    torch.testing.assert_close(got.double(), wanted, rtol=1e-5, atol=1e-5)


def test_another_bank_replaces_the_one_that_was_kept():
    component = LatentNeighbours(NeighbourOptions(n_neighbors=1))
    generator = torch.Generator().manual_seed(0)
    points = torch.zeros(1, 4)
    for distance in (1.0, 2.0, 1.0):
        fitted = component.fit(torch.tensor([[distance, 0, 0, 0]]), generator)
        assert component.score(Points(points), fitted).item() == pytest.approx(distance)
