"""The training step against a plain, separate reading of the BiGAN objective."""

import copy

import pytest
import torch
from torch.optim import Adam

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model.cycle_discriminators import wanted_cycle_discriminators
from bigan_cli.model.networks import Networks, build_networks
from bigan_cli.model.pretext import pretext_losses, wanted_heads
from bigan_cli.model.step import LOSSES, AdversarialStep

SHAPE = ImageShape(1, 8, 8)
CPU = torch.device("cpu")
WEIGHTS = {"rotation_weight": 0.7, "shift_weight": 0.4, "flip_weight": 0.3}
HEADS = TrainConfig(**WEIGHTS)
BOTH_CYCLES = {"adversarial_image_cycle_weight": 0.6, "adversarial_latent_cycle_weight": 0.3}


def make_networks(config: TrainConfig = HEADS) -> Networks:
    options = DcganOptions(feature_maps_gen=4, feature_maps_disc=4)
    heads, cycle_discriminators = wanted_heads(HEADS, SHAPE), wanted_cycle_discriminators(config)
    return build_networks(Dcgan(options), SHAPE, 6, 3, heads, cycle_discriminators)


def adversarial(config, real, fake, target):
    """What a discriminator minimises that is to say *target* of real pairs and 0 of others."""
    if config.loss == "hinge":
        return torch.clamp(1 - real, min=0).mean() + torch.clamp(1 + fake, min=0).mean()
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    return bce(real, torch.full_like(real, target)) + bce(fake, torch.zeros_like(fake))


def d_parameters(networks):
    judges = networks.discriminator, networks.heads, networks.cycle_discriminators
    return [parameter for judge in judges for parameter in judge.parameters()]


def reference_step(networks, d_optimiser, eg_optimiser, config, x):
    """The textbook order: separate passes, one player's gradients at a time."""
    z = torch.randn(len(x), networks.latent_dim)
    generated = networks.generator(z)
    # One batch for the encoder, so that its batch statistics are those of the step under test.
    encoded, cycled = networks.encoder(torch.cat([x, generated])).chunk(2)
    rebuilt = networks.generator(encoded)
    ends = {"image": (x, rebuilt), "latent": (z, cycled)}
    cycles = {name: ends[name] for name in networks.cycle_discriminators}

    def discriminate(latents, images):
        logits, _ = networks.discriminator(torch.cat([x, images]), torch.cat([latents, z]))
        return logits.chunk(2)

    real, fake = discriminate(encoded.detach(), generated.detach())
    d_loss = adversarial(config, real, fake, 1 - config.label_smoothing)
    # The other tasks have a test of their own, against a plain reading.
    tasks = pretext_losses(networks, x, config)
    d_total = (
        d_loss
        + config.distortion_weight * tasks["distortion"]
        + config.rotation_weight * tasks["rotation"]
        + config.shift_weight * tasks["shift"]
        + config.flip_weight * tasks["flip"]
    )
    judged = {}
    for name, (start, end) in cycles.items():
        pairs = torch.cat([start, start]), torch.cat([start, end.detach()])
        same, other = networks.cycle_discriminators[name](*pairs)[0].chunk(2)
        judged[name] = adversarial(config, same, other, 1 - config.label_smoothing)
        d_total = d_total + judged[name]
    d_optimiser.zero_grad()
    d_total.backward(inputs=d_parameters(networks))
    d_optimiser.step()

    eg_real, eg_fake = discriminate(encoded, generated)
    if config.loss == "hinge":
        eg_loss = eg_real.mean() - eg_fake.mean()
    else:
        bce = torch.nn.functional.binary_cross_entropy_with_logits
        # The encoder is opposed to D: it wants its real pairs to be taken for generated ones.
        eg_loss = bce(eg_real, torch.zeros_like(eg_real)) + bce(eg_fake, torch.ones_like(eg_fake))
    image_cycle = torch.nn.functional.l1_loss(rebuilt, x)
    latent_cycle = torch.nn.functional.mse_loss(cycled, z)
    total = (
        eg_loss
        + config.reconstruction_weight * image_cycle
        + config.latent_cycle_weight * latent_cycle
    )
    opposed = {}
    for name, (start, end) in cycles.items():
        logits, _ = networks.cycle_discriminators[name](start, end)
        if config.loss == "hinge":
            opposed[name] = -logits.mean()
        else:
            bce = torch.nn.functional.binary_cross_entropy_with_logits
            opposed[name] = bce(logits, torch.ones_like(logits))
        total = total + getattr(config, f"adversarial_{name}_cycle_weight") * opposed[name]
    players = [*networks.encoder.parameters(), *networks.generator.parameters()]
    eg_optimiser.zero_grad()
    total.backward(inputs=players)
    eg_optimiser.step()
    adversaries = [of.get(name, x.new_zeros(())) for of in (judged, opposed) for name in ends]
    plain = (d_loss, eg_loss, image_cycle, latent_cycle, *tasks.values())
    return *plain, real.mean(), fake.mean(), *adversaries


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"adversarial_image_cycle_weight": 0.6},
        {"adversarial_latent_cycle_weight": 0.3},
        BOTH_CYCLES,
        # Nothing but the adversaries to close the cycles, as in ALAD.
        {**BOTH_CYCLES, "reconstruction_weight": 0.0, "latent_cycle_weight": 0.0},
    ],
    ids=["bigan", "image", "latent", "both", "alad"],
)
@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_steps_equal_the_reference(loss, more):
    config = TrainConfig(loss=loss, instance_noise=0.0, lr=1e-3, **WEIGHTS, **more)
    networks = make_networks(config)
    reference = copy.deepcopy(networks)
    step = AdversarialStep(networks, config, CPU, "fp32")
    d = Adam(d_parameters(reference), lr=1e-3, betas=(0.5, 0.999))
    eg = Adam(
        [*reference.encoder.parameters(), *reference.generator.parameters()],
        lr=1e-3,
        betas=(0.5, 0.999),
    )
    x = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for number in range(3):
        torch.manual_seed(number)
        ours = step(x, 0.0)
        torch.manual_seed(number)
        theirs = torch.stack(reference_step(reference, d, eg, config, x))
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-5)
    for (name, mine), (_, wanted) in zip(
        networks.named_parameters(), reference.named_parameters(), strict=True
    ):
        torch.testing.assert_close(mine, wanted, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("more", [{}, BOTH_CYCLES], ids=["bigan", "both"])
def test_each_update_touches_only_its_own_player(monkeypatch, more):
    config = TrainConfig(**more)
    networks = make_networks(config)
    step = AdversarialStep(networks, config, CPU, "fp32")
    d = [*networks.discriminator.parameters(), *networks.cycle_discriminators.parameters()]
    eg = [*networks.encoder.parameters(), *networks.generator.parameters()]
    seen = {}

    def watch(name, optimiser):
        update = optimiser.step

        def watched():
            seen[name] = (
                [p.grad is not None for p in eg],
                [None if p.grad is None else p.grad.clone() for p in d],
            )
            update()

        monkeypatch.setattr(optimiser, "step", watched)

    watch("d", step.d_optimiser)
    watch("eg", step.eg_optimiser)
    step(torch.rand(8, 1, 8, 8) * 2 - 1, 0.1)
    assert not any(seen["d"][0])  # D's loss left no gradient in E and G
    assert all(seen["eg"][0])
    # Between the two updates nothing was added to D's gradients.
    assert all(torch.equal(a, b) for a, b in zip(seen["d"][1], seen["eg"][1], strict=True))
    assert all(p.requires_grad for p in d)


def test_encoder_is_opposed_to_the_discriminator():
    """One step of E and G lowers D's logit of (x, E(x)) and raises that of (G(z), z)."""
    config = TrainConfig(
        lr=5e-3, reconstruction_weight=0.0, latent_cycle_weight=0.0, instance_noise=0.0
    )
    networks = make_networks()
    step = AdversarialStep(networks, config, CPU, "fp32")
    step.d_optimiser = torch.optim.SGD(networks.discriminator.parameters(), lr=0.0)
    x = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.manual_seed(0)
    first = step(x, 0.0)
    for _ in range(30):
        last = step(x, 0.0)
    names = dict(zip(LOSSES, (last - first).tolist(), strict=True))
    assert names["d_real"] < 0 < names["d_fake"]
