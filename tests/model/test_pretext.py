"""The discriminator's other tasks: distorted and transformed images, and the heads that tell."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model.distortions import DISTORTIONS, _sampled, distort, stretch
from bigan_cli.model.networks import build_networks
from bigan_cli.model.pretext import TASKS, pretext_losses, task_weights, wanted_heads
from bigan_cli.model.trainer import Trainer
from bigan_cli.scoring.components.flip import Flip
from bigan_cli.scoring.components.rotation import Rotation
from bigan_cli.scoring.components.shift import Shift
from bigan_cli.scoring.inference import run_batches
from bigan_cli.scoring.inference_networks import prepare_for_inference
from bigan_cli.transformations import TRANSFORMATIONS, rotate, shift

ALL = TrainConfig(distortion_weight=1.0, rotation_weight=1.0, shift_weight=1.0, flip_weight=1.0)


def build(shape, config, *, maps=8, seed=0):
    dcgan = Dcgan(DcganOptions(feature_maps_gen=maps, feature_maps_disc=maps))
    return build_networks(dcgan, shape, 5, seed, heads=wanted_heads(config, shape))


@given(
    count=st.integers(1, 12),
    channels=st.sampled_from([1, 3, 4]),
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_distorted_copies_are_images_of_the_same_kind(count, channels, height, width, seed):
    torch.manual_seed(seed)
    x = torch.rand(count, channels, height, width) * 2 - 1
    before = x.clone()
    copies = distort(x, tuple(DISTORTIONS))
    assert copies.shape == x.shape
    assert torch.isfinite(copies).all()
    assert copies.abs().max() <= 1
    assert torch.equal(x, before)


@given(channels=st.sampled_from([1, 3]), side=st.integers(16, 48), seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_stretching_changes_one_axis_about_the_middle(channels, side, seed):
    torch.manual_seed(seed)
    x = torch.full((6, channels, side, side), -1.0)
    quarter = slice(side // 4, side - side // 4)
    x[..., quarter, quarter] = 1
    middle = side // 2
    for copy in stretch(x):
        lit = copy[0] > 0
        tall, wide = int(lit[:, middle].sum()), int(lit[middle].sum())
        before = side - 2 * (side // 4)
        same, other = (tall, wide) if abs(tall - before) < abs(wide - before) else (wide, tall)
        assert abs(same - before) <= 1
        assert other / before > 1.15 or other / before < 0.87
        # What is symmetric stays so.
        assert torch.allclose(copy, copy.flip(1), atol=1e-4)
        assert torch.allclose(copy, copy.flip(2), atol=1e-4)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_each_distortion_changes_every_image_and_follows_the_seed(name):
    x = torch.rand(16, 3, 12, 17, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for seed in range(20):
        torch.manual_seed(seed)
        copies = distort(x, [name])
        assert ((copies - x).abs().amax(dim=(1, 2, 3)) > 0.05).all()
        torch.manual_seed(seed)
        assert torch.equal(distort(x, [name]), copies)


def test_rearranging_distortions_make_no_pixel_of_their_own():
    x = torch.rand(6, 1, 8, 8) * 2 - 1
    for name in ("shuffle", "rotate"):
        copies = DISTORTIONS[name](x)
        assert torch.equal(copies.flatten(1).sort().values, x.flatten(1).sort().values)
    stitched = DISTORTIONS["cutmix"](x)
    assert torch.isin(stitched, x).all()


def test_a_single_image_is_never_stitched_to_itself():
    x = torch.rand(1, 1, 8, 8)
    assert not any(torch.equal(DISTORTIONS["cutmix"](x), x) for _ in range(50))


def test_where_the_device_cannot_pad_the_result_is_the_same():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 2, 9, 14, generator=generator)
    grid = torch.rand(3, 9, 14, 2, generator=generator) * 4 - 2
    padded, clamped = (_sampled(x, grid, pads=pads) for pads in (True, False))
    torch.testing.assert_close(padded, clamped, rtol=1e-4, atol=1e-5)


def test_heads_follow_the_weights_and_the_shape():
    square, long = ImageShape(1, 8, 8), ImageShape(1, 8, 12)
    assert wanted_heads(ALL, square) == {"distortion": 1, "rotation": 4, "shift": 9, "flip": 2}
    assert wanted_heads(ALL, long) == {"distortion": 1, "rotation": 2, "shift": 9, "flip": 2}
    assert wanted_heads(TrainConfig(flip_weight=0.2), square) == {"distortion": 1, "flip": 2}
    assert tuple(task_weights(ALL)) == TASKS
    none = TrainConfig(distortion_weight=0.0)
    assert wanted_heads(none, square) == {}
    networks = build(square, none)
    assert pretext_losses(networks, torch.zeros(4, 1, 8, 8), none) == {}


@pytest.mark.parametrize("shape", [ImageShape(1, 8, 8), ImageShape(3, 8, 12)], ids=str)
@pytest.mark.parametrize("count", [2, 10])
@pytest.mark.parametrize("distortion_weight", [0.0, 1.0])
def test_losses_equal_a_plain_reading(shape, count, distortion_weight):
    config = ALL.model_copy(update={"distortion_weight": distortion_weight})
    networks = build(shape, config)
    x = torch.rand(count, shape.channels, shape.height, shape.width) * 2 - 1
    torch.manual_seed(1)
    losses = pretext_losses(networks, x, config)
    assert list(losses) == list(wanted_heads(config, shape))

    def answers(head, images):
        return networks.heads[head](networks.discriminator.image_features(images))

    torch.manual_seed(1)
    copies = distort(x, config.distortions)
    if "distortion" in losses:
        wanted = binary_cross_entropy_with_logits(
            answers("distortion", torch.cat([x, copies])).squeeze(1),
            torch.cat([torch.zeros(count), torch.ones(count)]),
        )
        torch.testing.assert_close(losses["distortion"], wanted)
    for name, kind in TRANSFORMATIONS.items():
        changed, labels = [], []
        for k, group in enumerate(x.tensor_split(kind.count(shape))):
            changed += [kind.apply(image[None], k) for image in group]
            labels += [k] * len(group)
        wanted = cross_entropy(answers(name, torch.cat(changed)), torch.tensor(labels))
        torch.testing.assert_close(losses[name], wanted)


@given(
    channels=st.sampled_from([1, 3, 4]),
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_transformations_are_all_different_and_make_no_pixel(name, channels, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2, channels, height, width, generator=generator) * 2 - 1
    kind = TRANSFORMATIONS[name]
    changed = [kind.apply(x, k) for k in range(kind.count(ImageShape(channels, height, width)))]
    assert all(images.shape == x.shape for images in changed)
    assert torch.equal(changed[0], x)
    assert all(not torch.equal(a, b) for i, a in enumerate(changed) for b in changed[:i])
    for images in changed:
        for one, original in zip(images.flatten(0, 1), x.flatten(0, 1), strict=True):
            assert torch.isin(one, original).all()


def test_rotations_end_where_they_began():
    square, long = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 12)
    assert torch.equal(rotate(rotate(square, 3), 1), square)
    assert torch.equal(rotate(rotate(long, 1), 1), long)


def test_shifts_move_by_a_quarter_and_reflect_at_the_edge():
    x = torch.arange(8 * 12).float().reshape(1, 1, 8, 12)
    down, up, right, left = (shift(x, k) for k in (3, 6, 1, 2))
    assert torch.equal(down[..., 2:, :], x[..., :-2, :])
    assert torch.equal(down[..., :2, :], x[..., 1:3, :].flip(2))
    assert torch.equal(up[..., :-2, :], x[..., 2:, :])
    assert torch.equal(right[..., 3:], x[..., :-3])
    assert torch.equal(right[..., :3], x[..., 1:4].flip(3))
    assert torch.equal(left[..., :-3], x[..., 3:])
    assert torch.equal(shift(x, 4), shift(down, 1))


def test_shifts_tell_where_rotations_cannot():
    eights = torch.zeros(1, 1, 8, 8)
    eights[..., 1:7, 2:6] = 1  # the same upside down, and in a mirror
    assert torch.equal(rotate(eights, 2), eights)
    moved = [shift(eights, k) for k in range(9)]
    assert all(not torch.equal(a, b) for i, a in enumerate(moved) for b in moved[:i])


@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_trained_heads_know_what_they_were_taught(threes, name):
    config = TrainConfig(epochs=60, batch_size=24, lr=1e-3, **{f"{name}_weight": 0.5})
    kind = TRANSFORMATIONS[name]
    networks = build(ImageShape(1, 8, 8), config, maps=16)
    fit, held_out = threes[:140], threes[140:]
    trainer = Trainer(networks, config, fit, held_out, torch.device("cpu"))
    untrained, average = build(ImageShape(1, 8, 8), config, maps=16), trainer.average
    list(trainer.epochs())
    x = torch.from_numpy(held_out).float() / 127.5 - 1
    torch.manual_seed(0)
    copies = torch.cat([distort(x, config.distortions) for _ in range(4)])

    def accuracies(network):
        with torch.no_grad():
            judged = prepare_for_inference(network)
            features = [judged.image_features(images) for images in (x, copies)]
            plain, distorted = (judged.heads["distortion"](f).squeeze(1) for f in features)
            labels = np.r_[np.zeros(len(plain)), np.ones(len(distorted))]
            auroc = roc_auc_score(labels, torch.cat([plain, distorted]).numpy())
            count = kind.count(ImageShape(1, 8, 8))
            changed = torch.cat([kind.apply(x, k) for k in range(count)])
            seen = judged.heads[name](judged.image_features(changed)).argmax(dim=1)
            right = (seen == torch.arange(count).repeat_interleave(len(x))).float().mean()
            return auroc, float(right)

    assert accuracies(untrained)[0] < 0.8
    auroc, right = accuracies(average)
    assert auroc > 0.9
    assert right > 0.8


def test_observations_tell_what_the_heads_say(threes):
    networks = build(ImageShape(1, 8, 8), ALL).eval()
    ((outputs, count),) = run_batches(networks, threes[:6], 8, lambda *pair: pair)
    with torch.no_grad():
        features = networks.discriminator.image_features(outputs.x)
        for name, head in networks.heads.items():
            torch.testing.assert_close(outputs.heads[name], head(features), rtol=1e-4, atol=1e-5)
            again = outputs.heads_for(outputs.x)[name]
            torch.testing.assert_close(again, outputs.heads[name], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            outputs.encoder_features, networks.encoder.features(outputs.x), rtol=1e-4, atol=1e-5
        )
    assert count == 6


@pytest.mark.parametrize("component", [Rotation, Shift, Flip], ids=lambda c: c.name)
def test_scores_equal_a_plain_reading(threes, component):
    networks = build(ImageShape(1, 8, 8), ALL).eval()
    (outputs,) = run_batches(networks, threes[:6], 8, lambda outputs, _: outputs)
    name = component.needs_head
    kind, answers = TRANSFORMATIONS[name], networks.heads[name].out_features
    with torch.no_grad():
        scores = component(component.Options()).score(outputs, {})
        for image, score in zip(outputs.x, scores, strict=True):
            changed = torch.cat([kind.apply(image[None], k) for k in range(answers)])
            logits = networks.heads[name](networks.discriminator.image_features(changed))
            wanted = cross_entropy(logits, torch.arange(answers))
            torch.testing.assert_close(score, wanted, rtol=1e-4, atol=1e-5)
