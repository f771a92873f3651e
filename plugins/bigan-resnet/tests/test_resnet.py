from __future__ import annotations

import pytest
import torch
from torch import nn

from bigan_cli.contracts import ImageShape
from bigan_cli.model.networks import Networks, build_networks
from bigan_cli.testing import SHAPES, ArchitectureConformance
from bigan_resnet import Resnet

NARROW = {"feature_maps_gen": 4, "feature_maps_disc": 4}


class TestPlain(ArchitectureConformance):
    architecture = Resnet
    options = NARROW
    shapes = SHAPES[:12]  # the larger ones take long; up to 256 pixels is tested below


class TestWithEverything(ArchitectureConformance):
    architecture = Resnet
    options = NARROW | {"attention": 8, "dropout_rate": 0.2, "output": "sigmoid"}
    shapes = (ImageShape(1, 8, 8), ImageShape(4, 17, 31), ImageShape(3, 8, 64))


def build(shape: ImageShape, **options: object) -> Networks:
    return build_networks(Resnet(Resnet.Options(**NARROW | options)), shape, 5, seed=0)


@pytest.mark.parametrize(
    ("shape", "smallest"),
    [
        (ImageShape(1, 8, 8), (4, 4)),
        (ImageShape(3, 32, 32), (4, 4)),
        (ImageShape(1, 28, 28), (7, 7)),
        (ImageShape(3, 256, 256), (4, 4)),
        (ImageShape(1, 9, 130), (4, 4)),
    ],
)
def test_depth_follows_the_size_of_the_image(shape: ImageShape, smallest: tuple[int, int]) -> None:
    assert build(shape).generator.start[1:] == smallest


@pytest.mark.parametrize(
    ("attention", "places"), [(0, []), (3, []), (8, [(8, 8)]), (20, [(16, 16)]), (64, [(16, 16)])]
)
def test_attention_sits_on_the_largest_maps_allowed(
    attention: int, places: list[tuple[int, int]]
) -> None:
    networks = build(ImageShape(1, 32, 32), attention=attention)
    for part in (networks.encoder, networks.generator, networks.discriminator):
        seen: list[tuple[int, ...]] = []
        for module in part.modules():
            if type(module).__name__ == "Attention":
                module.register_forward_hook(lambda _m, _i, out, s=seen: s.append(out.shape[2:]))
        x, z = torch.zeros(2, 1, 32, 32), torch.zeros(2, 5)
        inputs = {"encoder": (x,), "generator": (z,)}
        name = next(n for n, each in networks.named_children() if each is part)
        part(*inputs.get(name, (x, z)))
        assert seen == places, name


def test_attention_does_nothing_until_it_has_learned_to() -> None:
    networks = build(ImageShape(1, 16, 16), attention=8, spectral_norm=False).eval()
    x = torch.rand(2, 1, 16, 16)
    before = networks.encoder(x)
    layer = next(m for m in networks.encoder.modules() if type(m).__name__ == "Attention")
    layer.query.weight.data.normal_()
    assert torch.equal(networks.encoder(x), before)
    layer.gain.data.fill_(1.0)
    assert not torch.allclose(networks.encoder(x), before)


def test_spectral_norm_bounds_every_layer_of_the_discriminator() -> None:
    def largest(networks: Networks) -> float:
        networks.train()
        for _ in range(30):  # the power iteration settles
            networks.discriminator(torch.zeros(2, 1, 16, 16), torch.zeros(2, 5))
        layers = (m for m in networks.discriminator.modules() if isinstance(m, LAYERS))
        return max(torch.linalg.matrix_norm(m.weight.flatten(1), 2).item() for m in layers)

    LAYERS = (nn.Conv2d, nn.Linear)
    shape = ImageShape(1, 16, 16)
    grown, free = build(shape, spectral_norm=True), build(shape)
    for networks in (grown, free):
        for name, parameter in networks.discriminator.named_parameters():
            if "weight" in name:
                parameter.data *= 2
    assert largest(grown) < 1.05
    assert largest(free) > 1.9


def test_options_change_the_networks() -> None:
    shape = ImageShape(1, 16, 16)
    sizes = [
        [
            sum(p.numel() for p in part.parameters())
            for part in (networks.encoder, networks.generator, networks.discriminator)
        ]
        for networks in (build(shape), build(shape, feature_maps_gen=8, feature_maps_disc=8))
    ]
    assert all(narrow < wide for narrow, wide in zip(*sizes, strict=True))
    dropped = build(shape, dropout_rate=0.5).train().discriminator
    x, z = torch.ones(4, 1, 16, 16), torch.ones(4, 5)
    assert not torch.equal(dropped(x, z)[0], dropped(x, z)[0])
