from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model.networks import Networks, build_networks
from bigan_cli.model.trainer import Trainer
from bigan_cli.testing import SHAPES, ArchitectureConformance
from bigan_resnet import Resnet

NARROW = {"feature_maps_gen": 4, "feature_maps_disc": 4}
OFF = {"full_size_disc": False, "blocks_disc": 1, "norm_disc": "none", "pool_disc": False}
DEEP = {"full_size_disc": True, "blocks_disc": 2, "norm_disc": "group", "pool_disc": True}


class TestPlain(ArchitectureConformance):
    architecture = Resnet
    options = NARROW
    shapes = SHAPES[:3]


@pytest.mark.slow
class TestPlainInMoreShapes(ArchitectureConformance):
    architecture = Resnet
    options = NARROW
    shapes = SHAPES[3:12]  # the larger ones take long; up to 256 pixels is tested below


@pytest.mark.slow
class TestWithEverything(ArchitectureConformance):
    architecture = Resnet
    options = NARROW | {"attention": 8, "dropout_rate": 0.2, "output": "sigmoid"}
    shapes = (ImageShape(1, 8, 8), ImageShape(4, 17, 31), ImageShape(3, 8, 64))


@pytest.mark.slow
class TestDeepDiscriminator(ArchitectureConformance):
    architecture = Resnet
    options = NARROW | DEEP
    shapes = SHAPES[:8]


class TestDeepDiscriminatorWithEverything(ArchitectureConformance):
    architecture = Resnet
    options = TestWithEverything.options | DEEP | {"spectral_norm": True, "feature_maps_disc": 11}
    shapes = TestWithEverything.shapes


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


def maps_seen(networks: Networks, kind: str) -> list[tuple[int, ...]]:
    """Return the shapes that the modules of one kind in the image trunk give, in their order."""
    seen: list[tuple[int, ...]] = []
    trunk = networks.discriminator.image_trunk
    for module in trunk.modules():
        if type(module).__name__ == kind:
            module.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape[1:])))
    shape = networks.image_shape
    trunk(torch.zeros(2, shape.channels, shape.height, shape.width))
    return seen


def trunk_weights(networks: Networks) -> list[tuple[str, tuple[int, ...]]]:
    state = networks.discriminator.image_trunk.state_dict()
    return [(name, tuple(value.shape)) for name, value in state.items()]


def test_the_image_trunk_is_named_and_shaped_as_in_saved_runs() -> None:
    assert trunk_weights(build(ImageShape(3, 16, 16))) == [
        ("0.weight", (4, 3, 4, 4)),
        ("0.bias", (4,)),
        ("1.first.weight", (8, 4, 3, 3)),
        ("1.first.bias", (8,)),
        ("1.second.weight", (8, 8, 3, 3)),
        ("1.second.bias", (8,)),
        ("1.skip.weight", (8, 4, 1, 1)),
        ("1.skip.bias", (8,)),
        ("4.weight", (256, 128)),
        ("4.bias", (256,)),
    ]


@pytest.mark.parametrize("others", [{}, {"attention": 8, "spectral_norm": True}])
def test_what_is_switched_off_changes_no_weight_and_no_output(others: dict[str, object]) -> None:
    shape = ImageShape(3, 33, 20)
    usual, off = build(shape, **others).eval(), build(shape, **others, **OFF).eval()
    weights, same = usual.state_dict(), off.state_dict()
    assert list(weights) == list(same)
    assert all(torch.equal(value, same[name]) for name, value in weights.items())
    x, z = torch.rand(2, 3, 33, 20), torch.rand(2, 5)
    outputs = [(*n.discriminator(x, z), n.discriminator.image_features(x)) for n in (usual, off)]
    assert all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))


@pytest.mark.parametrize("option", DEEP)
def test_options_of_the_image_trunk_change_that_alone(option: str) -> None:
    shape = ImageShape(3, 32, 32)
    usual, other = build(shape), build(shape, **{option: DEEP[option]})
    assert trunk_weights(usual) != trunk_weights(other)

    def elsewhere(networks: Networks) -> list[tuple[str, tuple[int, ...]]]:
        state = networks.state_dict().items()
        return [(name, tuple(v.shape)) for name, v in state if "image_trunk" not in name]

    assert elsewhere(usual) == elsewhere(other)
    # These are drawn first, whatever the discriminator is.
    for part in ("encoder", "generator"):
        before, after = (getattr(n, part).state_dict() for n in (usual, other))
        assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize(
    ("shape", "maps"),
    [
        (ImageShape(1, 8, 8), [(4, 8, 8), (8, 4, 4)]),
        (ImageShape(1, 28, 28), [(4, 28, 28), (8, 14, 14), (16, 7, 7)]),
        (ImageShape(3, 33, 20), [(4, 33, 20), (8, 16, 10), (16, 8, 5), (32, 4, 5)]),
        (ImageShape(3, 32, 32), [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]),
        (
            ImageShape(1, 9, 130),
            [(4, 9, 130), (8, 4, 65), (16, 4, 32), (32, 4, 16), (32, 4, 8), (32, 4, 4)],
        ),
    ],
)
@pytest.mark.parametrize("blocks", [1, 3])
def test_full_size_adds_the_image_s_own_size_and_blocks_there(
    shape: ImageShape, maps: list[tuple[int, ...]], blocks: int
) -> None:
    networks = build(shape, full_size_disc=True, blocks_disc=blocks)
    assert maps_seen(networks, "Down") == maps[1:]
    kept = [size for size in maps for _ in range(blocks - 1)]
    assert maps_seen(networks, "Keep") == [maps[0], *kept]


def test_further_blocks_follow_each_halving() -> None:
    networks = build(ImageShape(1, 32, 32), blocks_disc=3)
    assert maps_seen(networks, "Down") == [(8, 8, 8), (16, 4, 4)]
    assert maps_seen(networks, "Keep") == [(8, 8, 8)] * 2 + [(16, 4, 4)] * 2


@pytest.mark.parametrize("width", [4, 11, 12, 32])
def test_groups_before_every_activation_hold_eight_maps_at_most(width: int) -> None:
    networks = build(
        ImageShape(1, 16, 16), norm_disc="group", blocks_disc=2, feature_maps_disc=width
    )
    trunk = networks.discriminator.image_trunk
    norms = [m for m in trunk.modules() if isinstance(m, nn.GroupNorm)]
    assert [n.num_channels for n in norms] == [width] + [2 * width] * 4
    assert all(n.num_channels // n.num_groups <= 8 for n in norms)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in networks.discriminator.modules())


@torch.no_grad()
def test_pooled_maps_count_the_same_wherever_they_are() -> None:
    def turning_changes(networks: Networks) -> bool:
        trunk = networks.discriminator.image_trunk
        ends = (nn.AdaptiveAvgPool2d, nn.Flatten)
        end = trunk[next(i for i, module in enumerate(trunk) if isinstance(module, ends)) :]
        maps = torch.rand(2, 16, 4, 5)
        return not torch.allclose(end(maps), end(maps.flip(2)), atol=1e-6)

    shape = ImageShape(1, 33, 20)
    assert not turning_changes(build(shape, pool_disc=True))
    assert turning_changes(build(shape))


@pytest.mark.parametrize(
    "shape", [ImageShape(1, 8, 8), ImageShape(1, 28, 28), ImageShape(3, 33, 20)], ids=str
)
def test_a_deep_discriminator_sees_the_same_in_bf16_and_channels_last(shape: ImageShape) -> None:
    networks = build(shape, **DEEP).eval()
    x = torch.rand(3, shape.channels, shape.height, shape.width) * 2 - 1
    seen: Tensor = networks.discriminator.image_features(x)
    assert seen.shape == (3, 256)
    turned = networks.to(memory_format=torch.channels_last).discriminator
    last = x.contiguous(memory_format=torch.channels_last)
    assert torch.allclose(turned.image_features(last), seen, rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = turned.image_features(last)
    assert (rough.float() - seen).abs().max() < 0.05 * seen.abs().max()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_deep_discriminator_trains_with_spectral_norm(precision: str) -> None:
    shape = ImageShape(3, 16, 16)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 3, 16, 16), dtype=np.uint8)
    config = TrainConfig(epochs=2, batch_size=8, seed=0, device="cpu", precision=precision)
    networks = build(shape, **DEEP, spectral_norm=True)
    trunk = networks.discriminator.image_trunk
    before = {name: parameter.clone() for name, parameter in trunk.named_parameters()}
    trainer = Trainer(networks, config, pixels, pixels[:8], torch.device("cpu"))
    records = list(trainer.epochs())
    assert all(math.isfinite(v) for record in records for v in record.losses.values())
    after = dict(trunk.named_parameters())
    assert [name for name, value in before.items() if torch.equal(value, after[name])] == []


@pytest.mark.parametrize("wrong", [{"blocks_disc": 0}, {"blocks_disc": 9}, {"norm_disc": "batch"}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Resnet.Options(**wrong)
