import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.contracts import CHANNELS, SMALLEST_SIDE, ImageShape
from bigan_cli.model.networks import (
    add_cycle_discriminators,
    add_heads,
    build_networks,
    to_model_range,
    to_pixels,
)
from bigan_cli.model.summary import summarise

SMALL = {"feature_maps_gen": 4, "feature_maps_disc": 4}


def build(shape, latent_dim=5, seed=0, **options):
    return build_networks(Dcgan(DcganOptions(**(SMALL | options))), shape, latent_dim, seed)


@given(
    channels=st.sampled_from(CHANNELS),
    height=st.integers(SMALLEST_SIDE, 70),
    width=st.integers(SMALLEST_SIDE, 70),
    latent_dim=st.integers(1, 20),
)
def test_any_size_keeps_the_contract_and_learns(channels, height, width, latent_dim):
    shape = ImageShape(channels, height, width)
    networks = build(shape, latent_dim)  # checks the shapes and the range of the outputs
    x = torch.rand(3, channels, height, width) * 2 - 1
    z = networks.encoder(x)
    logits, features = networks.discriminator(networks.generator(z), z)
    assert networks.discriminator.image_features(x).shape[0] == 3
    (logits.sum() + features.sum()).backward()
    for name, parameter in networks.named_parameters():
        if name != "discriminator.head.bias":
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("shape", [ImageShape(1, 256, 256), ImageShape(3, 8, 256)])
def test_large_and_long_images(shape):
    assert build(shape).image_shape == shape


@settings(max_examples=4, deadline=None)
@given(batch=st.integers(1, 6), side=st.sampled_from([8, 13, 28]))
def test_eval_does_not_depend_on_the_batch(batch, side):
    networks = build(ImageShape(1, side, side)).eval()
    x = torch.rand(7, 1, side, side) * 2 - 1
    together = networks.discriminator(x, networks.encoder(x))[0]
    alone = torch.cat(
        [networks.discriminator(part, networks.encoder(part))[0] for part in x.split(batch)]
    )
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_seed_decides_the_weights_and_the_global_state_is_left_alone():
    state = torch.get_rng_state()
    one, same, other = (build(ImageShape(1, 8, 8), seed=s) for s in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    weights = [n.encoder.head.weight for n in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_sigmoid_output_spans_the_same_range():
    generator = build(ImageShape(1, 8, 8), output="sigmoid").generator
    generator.upsample[-1].bias.data.fill_(50.0)
    assert generator(torch.zeros(2, 5)).min() > 0.99
    generator.upsample[-1].bias.data.fill_(-50.0)
    assert generator(torch.zeros(2, 5)).max() < -0.99


def test_spectral_norm_bounds_every_layer_of_the_discriminator():
    def norms(networks):
        networks.train()
        for _ in range(30):  # the power iteration settles
            networks.discriminator(torch.zeros(2, 1, 16, 16), torch.zeros(2, 5))
        layers = (torch.nn.Conv2d, torch.nn.Linear)
        return [
            torch.linalg.matrix_norm(m.weight.flatten(1), 2).item()
            for m in networks.discriminator.modules()
            if isinstance(m, layers)
        ]

    shape = ImageShape(1, 16, 16)
    with_norm = norms(build(shape, initialisation="kaiming", spectral_norm=True))
    assert max(with_norm) < 1.05
    without = norms(build(shape, initialisation="kaiming", spectral_norm=False))
    assert max(without) > 1.3


def test_options_change_the_networks():
    shape = ImageShape(1, 16, 16)
    plain = build(shape)
    wider = build(shape, feature_maps_gen=8, feature_maps_disc=8)
    for part in ("encoder", "generator", "discriminator"):
        count = [sum(p.numel() for p in getattr(n, part).parameters()) for n in (plain, wider)]
        assert count[0] < count[1], part
    dropped = build(shape, dropout_rate=0.5).train()
    x, z = torch.ones(4, 1, 16, 16), torch.ones(4, 5)
    assert not torch.equal(dropped.discriminator(x, z)[0], dropped.discriminator(x, z)[0])


@pytest.mark.parametrize("scheme", ["normal", "xavier", "kaiming", "orthogonal"])
def test_initialisation(scheme):
    networks = build(ImageShape(1, 16, 16), initialisation=scheme, spectral_norm=False)
    weight = networks.encoder.trunk[2].weight
    bias = networks.encoder.head.bias
    assert torch.count_nonzero(bias) == 0
    if scheme == "normal":
        assert 0.015 < weight.std() < 0.025
    if scheme == "orthogonal":
        rows = weight.flatten(1)
        torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=1e-5, rtol=0)


def test_summary_counts_every_weight_once():
    networks = build(ImageShape(3, 13, 21))
    assert {"heads", "cycle_discriminators"}.isdisjoint(row.name for row in summarise(networks))
    add_heads(networks, {"distortion": 1, "rotation": 4})
    add_cycle_discriminators(networks, ("image", "latent"))
    rows = summarise(networks)
    totals = {row.name: row.parameters for row in rows if row.kind == "total"}
    for part, network in networks.named_children():
        layers = [r for r in rows if r.name.startswith(f"{part}.")]
        assert sum(r.parameters for r in layers) == totals[part]
        assert totals[part] == sum(p.numel() for p in network.parameters())
    assert next(r for r in rows if r.name == "encoder").output == "5"
    assert next(r for r in rows if r.name == "generator").output == "3x13x21"


def test_pixels_survive_the_way_into_model_range_and_back():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    x = to_model_range(pixels)
    assert (x.min(), x.max()) == (-1, 1)
    assert torch.equal(to_pixels(x), pixels)
