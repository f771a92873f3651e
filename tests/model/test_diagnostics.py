"""Alarms of real runs on the digits: broken ones raise theirs, a healthy one never any."""

import numpy as np
import pytest
import torch

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model.diagnostics import (
    WARMUP_STEPS,
    DiagnosticsProbe,
    TrainingDiagnostics,
    training_warnings,
)
from bigan_cli.model.networks import build_networks
from bigan_cli.model.trainer import Trainer

CPU = torch.device("cpu")
PLAIN = {"reconstruction_weight": 0.0, "latent_cycle_weight": 0.0}


@pytest.fixture(scope="module")
def images():
    from sklearn.datasets import load_digits

    data = load_digits()
    normals = np.round(data.images[data.target != 8] * 255 / 16).astype(np.uint8)[:, None]
    return normals[:1024], normals[1024:1152]


def make(images, *, epochs, spectral_norm=True, maps=16, **options):
    config = TrainConfig.model_validate({"epochs": epochs, **options})
    options = DcganOptions(
        feature_maps_gen=maps, feature_maps_disc=maps, spectral_norm=spectral_norm
    )
    networks = build_networks(Dcgan(options), ImageShape(1, 8, 8), 32, config.seed)
    return Trainer(networks, config, *images, CPU)


def raised(trainer):
    """Train to the end; return the names of all warnings, epoch by epoch."""
    names = []
    for record in trainer.epochs():
        diagnostics = TrainingDiagnostics.from_dict(record.extra)
        assert diagnostics.steps == record.epoch * trainer.steps_per_epoch
        names.append({warning.name for warning in training_warnings(diagnostics)})
    return names


@pytest.mark.slow
def test_a_healthy_run_raises_none(images):
    assert not any(raised(make(images, epochs=22)))


@pytest.mark.slow
def test_a_healthy_plain_bigan_raises_none(images):
    assert not any(raised(make(images, epochs=22, **PLAIN)))


@pytest.mark.slow
def test_samples_all_alike(images):
    names = raised(make(images, epochs=22, lr=0.3, maps=32, **PLAIN))
    assert "mode_collapse" in names[-1]
    assert not any(names[: WARMUP_STEPS // 16])  # not before the networks can be judged


@pytest.mark.slow
def test_an_encoder_that_collapses(images):
    trainer = make(images, epochs=20)
    head = trainer.networks.encoder.head
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(trainer.average.encoder.head.weight)
    stuck = {id(parameter) for parameter in head.parameters()}
    (group,) = trainer.step.eg_optimiser.param_groups
    group["params"] = [p for p in group["params"] if id(p) not in stuck]
    assert "encoder_collapse" in raised(trainer)[-1]


@pytest.mark.slow
def test_a_generator_that_does_not_learn_loses_to_the_discriminator(images):
    trainer = make(images, epochs=20)
    frozen = {id(parameter) for parameter in trainer.networks.generator.parameters()}
    (group,) = trainer.step.eg_optimiser.param_groups
    group["params"] = [p for p in group["params"] if id(p) not in frozen]
    assert "discriminator_won" in raised(trainer)[-1]


@pytest.mark.slow
def test_a_run_that_is_thrown_off_says_so_to_its_end(images):
    trainer = make(images, epochs=24)
    names = []
    for record in trainer.epochs():
        names.append(
            {
                warning.name
                for warning in training_warnings(TrainingDiagnostics.from_dict(record.extra))
            }
        )
        if record.epoch == 20:
            with torch.no_grad():
                trainer.networks.discriminator.head.bias.fill_(1e4)
    assert "loss_spike" not in set().union(*names[:20])
    assert all("loss_spike" in after for after in names[20:])
    later = make(images, epochs=25)
    later.load_state(trainer.state())
    (record,) = later.epochs()
    assert "loss_spike" in {
        warning.name for warning in training_warnings(TrainingDiagnostics.from_dict(record.extra))
    }


def test_a_discriminator_that_says_always_the_same(images):
    trainer = make(images, epochs=1, spectral_norm=False)
    with torch.no_grad():
        for weight in trainer.average.discriminator.parameters():
            weight.zero_()
    diagnostics = trainer._probe(trainer.average, CPU, steps=1000)
    assert diagnostics.logit_deviation == 0
    assert "constant_logits" in {warning.name for warning in training_warnings(diagnostics)}


def test_untrained_networks_are_not_judged_before_the_grace_is_over(images):
    trainer = make(images, epochs=1)
    for steps, found in ((WARMUP_STEPS - 1, False), (WARMUP_STEPS, True)):
        diagnostics = trainer._probe(trainer.average, CPU, steps)
        assert bool(training_warnings(diagnostics)) is found


def test_normals_that_are_all_the_same_cannot_collapse(images):
    same = np.repeat(images[0][:1], 80, axis=0)
    trainer = make(images, epochs=1)
    diagnostics = DiagnosticsProbe(same, same[:3])(trainer.average, CPU, steps=1000)
    assert np.isfinite(list(diagnostics.as_dict().values())).all()
    assert not {"mode_collapse", "encoder_collapse"} & {
        a.name for a in training_warnings(diagnostics)
    }


def test_looking_changes_nothing_and_repeats(images):
    trainer = make(images, epochs=1)
    before = torch.get_rng_state()
    first = trainer._probe(trainer.average, CPU, 0)
    assert trainer._probe(trainer.average, CPU, 0) == first
    assert torch.equal(before, torch.get_rng_state())


def test_alarms_say_what_to_try():
    bad = TrainingDiagnostics(500, 0.3, 0.001, 1e-4, 0.001, 5.0, 1.0, 1.0)
    texts = {warning.name: str(warning) for warning in training_warnings(bad)}
    assert texts.keys() == {
        "mode_collapse",
        "encoder_collapse",
        "constant_logits",
        "discriminator_won",
    }
    assert "0.1% as much as the normal images (mode collapse); try" in texts["mode_collapse"]
    assert all("; try " in text for text in texts.values())
