"""Differentiable augmentation: what it does to images, and where the training step uses it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model import step as step_module
from bigan_cli.model.augmentation import AUGMENTATIONS, augment, change_colour, cut_out, translate
from bigan_cli.model.networks import build_networks
from bigan_cli.model.pretext import wanted_heads
from bigan_cli.model.step import AdversarialStep

EVERY = tuple(AUGMENTATIONS)
CPU = torch.device("cpu")


def some_images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@given(
    count=st.integers(1, 6),
    channels=st.sampled_from([1, 3, 4]),
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    names=st.permutations(EVERY).flatmap(
        lambda order: st.integers(1, len(order)).map(lambda n: order[:n])
    ),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_augmented_images_are_images_of_the_same_kind(
    count, channels, height, width, dtype, names, seed
):
    x = some_images(count, channels, height, width, seed=seed).to(dtype).requires_grad_()
    before = x.detach().clone()
    torch.manual_seed(seed)
    changed = augment(x, names)
    assert changed.shape == x.shape
    assert changed.dtype == dtype
    assert torch.isfinite(changed).all()
    assert changed.abs().max() <= 1
    assert torch.equal(x, before)
    torch.manual_seed(seed)
    assert torch.equal(augment(x, names), changed)
    changed.float().sum().backward()
    assert torch.isfinite(x.grad).all()


def test_nothing_is_done_and_drawn_where_nothing_is_named():
    x = some_images(2, 1, 8, 8)
    state = torch.get_rng_state()
    assert augment(x, ()) is x
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 20)], ids=str)
def test_each_image_has_its_own_draw(name, shape):
    x = some_images(1, *shape).expand(64, -1, -1, -1)
    torch.manual_seed(0)
    changed = augment(x, [name])
    assert len(changed.unique(dim=0)) > 4
    torch.manual_seed(1)
    assert not torch.equal(augment(x, [name]), changed)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_the_gradient_reaches_every_image_as_it_should(name):
    x = (0.2 * some_images(8, 3, 8, 12)).double().requires_grad_()

    def changed(images):
        torch.manual_seed(3)
        return augment(images, [name])

    assert torch.autograd.gradcheck(changed, (x,))
    changed(x).sum().backward()
    assert (x.grad.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_colour_leaves_alpha_and_the_order_of_brightness_alone():
    x = some_images(32, 4, 8, 8)
    changed = change_colour(x)
    assert torch.equal(changed[:, 3], x[:, 3])
    assert ((changed - x)[:, :3].abs().amax(dim=(1, 2, 3)) > 0).all()
    grey = some_images(32, 1, 8, 8)
    order = grey.flatten(1).argsort(dim=1)
    assert (change_colour(grey).flatten(1).gather(1, order).diff(dim=1) >= 0).all()


def test_colour_stays_within_its_bounds():
    # Of images that are one grey, only the brightness can change.
    changed = change_colour(torch.full((2000, 3, 8, 8), 0.1))
    assert torch.allclose(changed, changed[:, :1, :1, :1].expand_as(changed), atol=1e-6)
    moved = changed[:, 0, 0, 0] - 0.1
    assert -0.5 <= moved.min() < -0.45
    assert 0.45 < moved.max() <= 0.5
    # Contrast and saturation multiply what differs, by up to 3 in all.
    x = 0.05 * some_images(2000, 3, 8, 8)
    ratio = (change_colour(x).std(dim=(1, 2, 3)) / x.std(dim=(1, 2, 3))).clamp(max=10)
    assert ratio.max() < 3
    assert ratio.max() > 2


@pytest.mark.parametrize("shape", [(1, 8, 8), (4, 24, 16)], ids=str)
def test_translation_moves_whole_pixels_up_to_an_eighth_and_repeats_the_edge(shape):
    _, height, width = shape
    x = some_images(1, *shape)
    most_down, most_right = height // 8, width // 8
    padded = torch.nn.functional.pad(
        x, (most_right, most_right, most_down, most_down), mode="replicate"
    )
    every = torch.stack(
        [
            padded[0, :, top : top + height, left : left + width]
            for top in range(2 * most_down + 1)
            for left in range(2 * most_right + 1)
        ]
    )
    torch.manual_seed(0)
    moved = translate(x.expand(400, -1, -1, -1))
    found = (moved[:, None] == every).flatten(2).all(dim=2)
    assert found.any(dim=1).all()
    assert found.any(dim=0).all()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 14)])
def test_a_hole_is_half_as_long_as_the_side_and_may_reach_out(height, width):
    x = torch.ones(2000, 2, height, width)
    hole = cut_out(x) == 0
    assert torch.equal(hole[:, 0], hole[:, 1])
    rows, columns = hole[:, 0].any(dim=2), hole[:, 0].any(dim=1)
    assert torch.equal(hole[:, 0], rows[:, :, None] & columns[:, None, :])
    for places, side in ((rows, height), (columns, width)):
        lengths = places.sum(dim=1)
        half = int(side / 2 + 0.5)
        assert lengths.max() == half
        assert half // 2 <= lengths.min() < half
        assert places.any(dim=0).all()
        share = places.float().mean(dim=0)
        torch.testing.assert_close(share, share.flip(0), rtol=0, atol=0.06)


# In the training step


def a_step(**options):
    shape = ImageShape(1, 8, 8)
    config = TrainConfig(instance_noise=0.0, **options)
    dcgan = Dcgan(DcganOptions(feature_maps_gen=4, feature_maps_disc=4))
    networks = build_networks(dcgan, shape, 6, seed=3, heads=wanted_heads(config, shape))
    return networks, AdversarialStep(networks, config, CPU, "fp32")


def test_only_what_d_judges_in_the_game_is_augmented(monkeypatch):
    networks, step = a_step(augmentations=EVERY)
    x = some_images(16, 1, 8, 8)
    given_to_augment, given_to_encoder, judged, passed_to_trunk = [], [], [], []

    def watched(images, names):
        assert names == EVERY
        given_to_augment.append(images.detach().clone())
        return augment(images, names)

    monkeypatch.setattr(step_module, "augment", watched)
    networks.encoder.register_forward_pre_hook(
        lambda _, inputs: given_to_encoder.append(inputs[0].detach().clone())
    )
    networks.discriminator.register_forward_pre_hook(
        lambda _, inputs: judged.append(inputs[0].detach().clone())
    )
    image_features = networks.discriminator.image_features

    def features(images):
        passed_to_trunk.append(images)
        return image_features(images)

    monkeypatch.setattr(networks.discriminator, "image_features", features)
    step(x, 0.0)
    (encoded,) = given_to_encoder
    assert torch.equal(encoded[:16], x)
    generated = encoded[16:]
    # D's update sees both kinds in one pass, that of E and G each by itself.
    together, real, fake = given_to_augment
    assert torch.equal(together, torch.cat([x, generated]))
    assert torch.equal(real, x)
    assert torch.equal(fake, generated)
    for before, after in zip(given_to_augment, judged, strict=True):
        assert ((before - after).abs().amax(dim=(1, 2, 3)) > 0).all()
    # Another draw for the real images of the second update than for those of the first.
    assert not torch.equal(judged[0][:16], judged[1])
    # The heads' pass, the second of four.
    assert torch.equal(passed_to_trunk[1][:16], x)


def test_the_gradient_of_the_game_reaches_e_and_g_through_the_augmentations():
    plain = {"reconstruction_weight": 0.0, "latent_cycle_weight": 0.0, "distortion_weight": 0.0}
    networks, step = a_step(augmentations=EVERY, **plain)
    step(some_images(16, 1, 8, 8), 0.0)
    for network in (networks.encoder, networks.generator):
        assert all(p.grad.abs().max() > 0 for p in network.parameters() if p.dim() > 1)
