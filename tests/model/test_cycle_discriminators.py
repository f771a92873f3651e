"""Cycle discriminators: what they are, what they are drawn from, and what they learn."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.errors import UsageError
from bigan_cli.model.cycle_discriminators import (
    ImagePairDiscriminator,
    LatentPairDiscriminator,
    adversarial_losses,
    discriminator_losses,
    wanted_cycle_discriminators,
)
from bigan_cli.model.networks import build_networks
from bigan_cli.model.step import AdversarialStep
from bigan_cli.model.summary import summarise
from bigan_cli.model.trainer import Trainer
from bigan_cli.scoring.components.cycle_matching import CycleMatching
from bigan_cli.scoring.components.reconstruction import Reconstruction
from bigan_cli.scoring.fit import fit_detector
from bigan_cli.scoring.inference import run_batches
from bigan_cli.scoring.inference_networks import InferenceNetworks
from bigan_cli.scoring.normal_images import NormalImages
from bigan_cli.testing._small_networks import small_networks

CPU = torch.device("cpu")
BOTH = TrainConfig(adversarial_image_cycle_weight=1.0, adversarial_latent_cycle_weight=1.0)
NAMES = ("image", "latent")


def build(shape, cycle_discriminators=NAMES, *, maps=4, seed=0):
    dcgan = Dcgan(DcganOptions(feature_maps_gen=maps, feature_maps_disc=maps))
    return build_networks(
        dcgan, shape, 5, seed, heads={"distortion": 1}, cycle_discriminators=cycle_discriminators
    )


def images_of(shape, count, seed=0):
    size = (count, shape.channels, shape.height, shape.width)
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def weights_of(networks):
    named = networks.cycle_discriminators.named_parameters()
    return {name: value for name, value in named if name.endswith(".original")}


def plain(images):
    return images


@pytest.mark.parametrize(
    "shape",
    [
        *(ImageShape(1, 8, 8), ImageShape(3, 9, 31), ImageShape(4, 40, 8), ImageShape(1, 28, 28)),
        *(ImageShape(4, 64, 48), ImageShape(3, 256, 256)),
    ],
    ids=str,
)
def test_any_image_shape_makes_a_small_network(shape):
    d = ImagePairDiscriminator(shape)
    x, other = torch.rand(2, 3, shape.channels, shape.height, shape.width) * 2 - 1
    logits, features = d(x, other)
    assert logits.shape == (3,)
    assert features.shape == (3, 128)
    assert torch.isfinite(logits).all()
    assert sum(p.numel() for p in d.parameters()) < 2e6


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_has_an_order_and_its_logit_is_made_of_the_features(name):
    d = build(ImageShape(1, 8, 8)).cycle_discriminators[name].eval()
    first, second = torch.randn(2, 4, *((1, 8, 8) if name == "image" else (5,)))
    with torch.no_grad():
        logits, features = d(first, second)
        assert not torch.allclose(logits, d(second, first)[0])
        torch.testing.assert_close(logits, d.head(features)[:, 0])


def test_no_layer_stretches_anything():
    for d in build(ImageShape(3, 12, 20)).cycle_discriminators.values():
        layers = [m for m in d.modules() if parametrize.is_parametrized(m)]
        for layer in layers:
            layer.parametrizations.weight.original.data *= 3
        for _ in range(30):  # each use is one more step of the power iteration
            largest = [torch.linalg.matrix_norm(m.weight.flatten(1), ord=2) for m in layers]
        torch.testing.assert_close(torch.stack(largest), torch.ones(len(layers)), rtol=0.02, atol=0)


def test_which_there_are_follows_the_weights():
    assert wanted_cycle_discriminators(TrainConfig()) == ()
    assert wanted_cycle_discriminators(TrainConfig(adversarial_image_cycle_weight=0.1)) == (
        "image",
    )
    assert wanted_cycle_discriminators(TrainConfig(adversarial_latent_cycle_weight=2.0)) == (
        "latent",
    )
    assert wanted_cycle_discriminators(BOTH) == NAMES


def test_they_are_drawn_from_the_seed_after_everything_else():
    shape = ImageShape(1, 8, 12)
    without, both = build(shape, ()).state_dict(), build(shape).state_dict()
    assert without.keys() < both.keys()
    assert all(torch.equal(value, both[name]) for name, value in without.items())
    assert all(name.startswith("cycle_discriminators.") for name in both.keys() - without.keys())
    again, other = build(shape).state_dict(), build(shape, seed=1).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in both.items())
    weight = "cycle_discriminators.image.head.parametrizations.weight.original"
    assert not torch.equal(both[weight], other[weight])


@pytest.mark.parametrize("loss", ["hinge", pytest.param("logistic", marks=pytest.mark.slow)])
def test_being_told_apart_closes_a_cycle_with_no_distance_in_the_loss(loss):
    torch.manual_seed(1)
    config = TrainConfig(loss=loss)
    cycle_discriminators = nn.ModuleDict({"latent": LatentPairDiscriminator(2)})
    cycle = nn.Linear(2, 2)
    d, players = (
        torch.optim.Adam(m.parameters(), lr=2e-3, betas=(0.5, 0.999))
        for m in (cycle_discriminators, cycle)
    )
    distances = []
    for _ in range(300):
        z = torch.randn(64, 2)
        cycles = {"latent": (z, cycle(z))}
        distances.append((z - cycles["latent"][1]).detach().square().mean().item())
        d.zero_grad()
        discriminator_losses(cycle_discriminators, cycles, config, plain)["latent"].backward()
        assert cycle.weight.grad is None or not cycle.weight.grad.any()
        d.step()
        players.zero_grad()
        adversarial_losses(cycle_discriminators, cycles, config, plain)["latent"].backward()
        players.step()
        players.zero_grad()
    assert distances[-1] < 0.1 * distances[0]


def test_images_are_perturbed_each_on_their_own_and_latent_vectors_are_not():
    shown = []

    def remember(images):
        shown.append(images)
        return images + 1

    cycle_discriminators = build(ImageShape(1, 8, 8)).cycle_discriminators
    x, z = torch.zeros(3, 1, 8, 8), torch.zeros(3, 5)
    cycles = {"image": (x, x + 0.5), "latent": (z, z + 0.5)}
    with torch.no_grad():
        discriminator_losses(cycle_discriminators, cycles, BOTH, remember)
        adversarial_losses(cycle_discriminators, cycles, BOTH, remember)
    assert [s.mean().item() for s in shown] == [0.0, 0.25, 0.0, 0.5]
    assert [s.shape for s in shown] == [(6, 1, 8, 8)] * 2 + [(3, 1, 8, 8)] * 2


@pytest.mark.parametrize("names", [("image",), ("latent",), NAMES], ids=str)
def test_each_trains_alone_or_together(names):
    shape = ImageShape(3, 9, 12)
    networks = build(shape, names)
    on = {f"adversarial_{name}_cycle_weight": 1.0 for name in names}
    config = TrainConfig(epochs=2, batch_size=8, **on)
    # Not the biases: as long as every pair is within the hinge's margin, they balance.
    before = {k: v.clone() for k, v in weights_of(networks).items()}
    trainer = Trainer(networks, config, images_of(shape, 32), images_of(shape, 8, 1), CPU)
    (*_, last) = trainer.epochs()
    assert not any(torch.equal(v, before[k]) for k, v in weights_of(networks).items())
    columns = {"image": "d_xx_loss", "latent": "d_zz_loss"}
    for name, column in columns.items():
        assert (last.losses[column] > 0) == (name in names)
        assert (last.losses[column.replace("d", "eg", 1)] != 0) == (name in names)
    assert not any(torch.equal(v, before[k]) for k, v in weights_of(trainer.average).items())


@pytest.mark.parametrize("shape", [ImageShape(1, 8, 8), ImageShape(4, 10, 16)], ids=str)
def test_an_architecture_that_offers_nothing_more_has_them_too(shape):
    networks = small_networks(shape, optional=False).requires_grad_()
    networks.cycle_discriminators["image"] = ImagePairDiscriminator(shape)
    networks.cycle_discriminators["latent"] = LatentPairDiscriminator(networks.latent_dim)
    assert not networks.has_image_features
    step = AdversarialStep(networks, BOTH, CPU, "fp32")
    assert torch.isfinite(step(torch.rand(6, shape.channels, shape.height, shape.width), 0.1)).all()
    pixels = images_of(shape, 60)
    normals = NormalImages(pixels[:20], pixels[20:40], pixels[40:])
    component = CycleMatching(CycleMatching.Options())
    detector = fit_detector(networks, [component], {}, normals, 0.1, 8, 0)
    assert np.isfinite(detector.score(pixels).score).all()


def test_the_layers_are_listed():
    rows = {row.name: row for row in summarise(build(ImageShape(1, 8, 8)))}
    assert rows["cycle_discriminators.image.head"].output == "1"
    assert rows["cycle_discriminators.image.trunk.0"].output == "32x4x4"
    assert rows["cycle_discriminators.latent.trunk.2"].output == "32"
    networks = build(ImageShape(1, 8, 8))
    total = sum(p.numel() for p in networks.cycle_discriminators.parameters())
    assert rows["cycle_discriminators"].parameters == total


# Scoring


@pytest.mark.parametrize("shape", [ImageShape(1, 8, 8), ImageShape(4, 12, 9)], ids=str)
def test_the_component_is_the_mean_feature_difference(shape):
    networks = build(shape)
    pixels = images_of(shape, 7)
    ((outputs, count),) = run_batches(networks, pixels, 7, lambda *pair: pair)
    with torch.no_grad():
        got = CycleMatching(CycleMatching.Options()).score(outputs, {})[:count]
        x = torch.from_numpy(pixels).float() / 127.5 - 1
        networks.eval()
        rebuilt = networks.generator(networks.encoder(x))
        d = networks.cycle_discriminators["image"]
        wanted = (d(x, x)[1] - d(x, rebuilt)[1]).abs().mean(dim=1)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_ready_networks_have_their_weights_settled():
    networks = build(ImageShape(3, 16, 20))
    copied = InferenceNetworks(networks).cycle_discriminators
    assert copied.keys() == set(NAMES)
    assert not any(parametrize.is_parametrized(m) for d in copied.values() for m in d.modules())
    assert any(parametrize.is_parametrized(m) for m in networks.cycle_discriminators.modules())


def test_without_the_network_the_component_is_left_out_and_the_view_refused():
    shape = ImageShape(1, 8, 8)
    pixels = images_of(shape, 60)
    normals = NormalImages(pixels[:20], pixels[20:40], pixels[40:])
    components = [c(c.Options()) for c in (CycleMatching, Reconstruction)]
    for names, parts in (
        (("latent",), {"reconstruction"}),
        (NAMES, {"cycle_matching", "reconstruction"}),
    ):
        weights = {"reconstruction": 1.0}
        detector = fit_detector(build(shape, names), components, weights, normals, 0.1, 8, 0)
        assert detector.members[0].components.keys() == parts
    (outputs,) = run_batches(build(shape, ("latent",)), pixels[:4], 4, lambda outputs, _: outputs)
    with pytest.raises(UsageError, match="no cycle discriminator of images"):
        _ = outputs.image_pair_features


@pytest.mark.slow
def test_trained_ones_tell_other_digits_apart(threes):
    from sklearn.datasets import load_digits
    from sklearn.metrics import roc_auc_score

    config = TrainConfig(
        epochs=40, batch_size=24, lr=1e-3, adversarial_image_cycle_weight=1.0, distortion_weight=0.0
    )
    networks = build(ImageShape(1, 8, 8), ("image",), maps=8)
    fit, validation, held_out = threes[:120], threes[120:150], threes[150:]
    trainer = Trainer(networks, config, fit, validation, CPU)
    list(trainer.epochs())
    normals = NormalImages(fit, validation, validation)
    component = CycleMatching(CycleMatching.Options())
    detector = fit_detector(trainer.average, [component], {}, normals, 0.1, 16, 0)
    data = load_digits()
    others = np.round(data.images[data.target == 0][:60] * 255 / 16).astype(np.uint8)[:, None]
    scores = detector.score(np.concatenate([held_out, others])).score
    truth = np.r_[np.zeros(len(held_out)), np.ones(len(others))]
    assert roc_auc_score(truth, scores) > 0.7
