"""Training steps replayed from a CUDA graph must be the steps that they replace."""

import itertools

import numpy as np
import pytest
import torch

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model.cuda_graph import WARMUP_STEPS, RecordedStep
from bigan_cli.model.cycle_discriminators import wanted_cycle_discriminators
from bigan_cli.model.networks import build_networks
from bigan_cli.model.pretext import wanted_heads
from bigan_cli.model.step import LOSSES
from bigan_cli.model.trainer import Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")

CUDA = torch.device("cuda:0")
SHAPE = ImageShape(3, 16, 16)
EVERYTHING = {
    "rotation_weight": 1.0,
    "shift_weight": 1.0,
    "flip_weight": 1.0,
    "distortions": ("elastic_coarse", "elastic_fine", "shuffle", "cutmix", "rotate", "rescale"),
    "augmentations": ("colour", "translation", "cutout"),
    "adversarial_image_cycle_weight": 1.0,
    "adversarial_latent_cycle_weight": 1.0,
}


def make(*, epochs=4, spectral_norm=True, **settings):
    pixels = np.random.default_rng(0).integers(0, 256, (360, 3, 16, 16), dtype=np.uint8)
    config = TrainConfig.model_validate({"epochs": epochs, "batch_size": 32, **settings})
    dcgan = Dcgan(
        DcganOptions(
            feature_maps_gen=8, feature_maps_disc=8, dropout_rate=0.1, spectral_norm=spectral_norm
        )
    )
    heads, cycle_discriminators = wanted_heads(config, SHAPE), wanted_cycle_discriminators(config)
    networks = build_networks(dcgan, SHAPE, 8, 0, heads, cycle_discriminators)
    return Trainer(networks, config, pixels[:320], pixels[320:], CUDA)


def losses(trainer):
    return torch.tensor([[record.losses[n] for n in LOSSES] for record in trainer.epochs()])


@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["usual", "everything"])
def test_replayed_steps_are_the_ordinary_ones(settings):
    ordinary = make(compile="off", precision="fp32", **settings)
    replayed = make(compile="auto", precision="fp32", **settings)
    # The same random numbers, so that only rounding may differ, which grows from step to step.
    torch.testing.assert_close(losses(replayed)[0], losses(ordinary)[0], rtol=2e-3, atol=2e-3)
    assert replayed.step.average.updates == ordinary.step.average.updates


def test_noise_that_ends_is_recorded_anew():
    trainer = make(epochs=4, instance_noise_fraction=0.5)
    seen = [trainer._recorded._adds_noise for _ in trainer.epochs()]
    assert seen == [True, True, False, False]
    assert trainer._recorded._graph is not None


def test_the_same_seed_gives_the_same_run():
    one, two = make(), make()
    assert torch.equal(losses(one), losses(two))
    for a, b in zip(one.average.parameters(), two.average.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_stopped_run_continues_as_if_it_had_not_been():
    whole = make()
    expected = losses(whole)
    count = itertools.count()
    first = make()
    first._should_stop = lambda: next(count) >= 14
    list(first.epochs())
    assert first.steps_done
    second = make()
    second.load_state(first.state())
    found = losses(second)
    torch.testing.assert_close(found, expected[-len(found) :], rtol=1e-4, atol=1e-4)


def test_networks_that_wait_for_the_device_take_ordinary_steps():
    trainer = make()
    encode = trainer.networks.encoder.forward
    trainer.networks.encoder.forward = lambda x: (
        encode(x) * (1 if float(x.detach().mean()) < 9 else 2)
    )
    assert torch.isfinite(losses(trainer)).all()
    assert isinstance(trainer._recorded, RecordedStep)
    assert trainer._recorded._waits
    assert trainer._recorded._graph is None


def test_the_first_steps_are_ordinary():
    trainer = make(epochs=1)
    list(trainer.epochs())
    assert trainer._recorded._warmup_steps == WARMUP_STEPS


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's, of itself
def test_compiled_networks_are_recorded():
    trainer = make(compile="on", epochs=2)
    assert torch.isfinite(losses(trainer)).all()
    assert trainer._recorded._graph is not None
