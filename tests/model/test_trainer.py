import copy
import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.errors import TrainingError, UsageError
from bigan_cli.model.cycle_discriminators import wanted_cycle_discriminators
from bigan_cli.model.memory_format import to_channels_last
from bigan_cli.model.networks import build_networks
from bigan_cli.model.pretext import wanted_heads
from bigan_cli.model.schedules import instance_noise
from bigan_cli.model.trainer import Trainer

CPU = torch.device("cpu")
SHAPE = ImageShape(1, 8, 8)
ADVERSARIAL = {"adversarial_image_cycle_weight": 1.0, "adversarial_latent_cycle_weight": 1.0}
EVERYTHING = {
    "rotation_weight": 1.0,
    "shift_weight": 1.0,
    "flip_weight": 1.0,
    "augmentations": ("colour", "translation", "cutout"),
    **ADVERSARIAL,
}


@pytest.fixture(scope="module")
def images():
    from sklearn.datasets import load_digits

    digits = np.round(load_digits().images[:200] * 255 / 16).astype(np.uint8)[:, None]
    return digits[:160], digits[160:]


@pytest.fixture(scope="module")
def trained_state(images):
    trainer = make(images, epochs=1)
    list(trainer.epochs())
    return trainer.state()


def make(images, *, epochs=3, heads=False, **options):
    settings = TrainConfig.model_validate({"epochs": epochs, "batch_size": 32, **options})
    dcgan = Dcgan(DcganOptions(feature_maps_gen=4, feature_maps_disc=4, dropout_rate=0.2))
    wanted = wanted_heads(settings, SHAPE) if heads else {}
    cycle_discriminators = wanted_cycle_discriminators(settings)
    networks = build_networks(dcgan, SHAPE, 5, settings.seed, wanted, cycle_discriminators)
    return Trainer(networks, settings, *images, CPU)


def weights(trainer):
    averaged = {f"average.{k}": v for k, v in trainer.average.state_dict().items()}
    return {**trainer.networks.state_dict(), **averaged}


def assert_same(one, two):
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.equal(value, two[name]), name


def through_a_file(state, folder):
    torch.save(state, folder / "state.pt")
    return torch.load(folder / "state.pt", weights_only=True)


def test_same_seed_same_weights_other_seed_other_weights(images):
    first, again, other = make(images), make(images), make(images, seed=1)
    for trainer in (first, again, other):
        list(trainer.epochs())
    assert_same(weights(first), weights(again))
    assert not torch.equal(*(t.networks.encoder.head.weight for t in (first, other)))


def test_one_set_of_networks_learns_over_all_epochs(images):
    trainer = make(images, epochs=20, lr=3e-3)
    encoder = trainer.networks.encoder
    records = list(trainer.epochs())
    assert trainer.networks.encoder is encoder
    assert [r.epoch for r in records] == list(range(1, 21))
    assert records[-1].validation < 0.6 * records[0].validation
    assert records[-1].losses["image_cycle"] < 0.6 * records[0].losses["image_cycle"]


@pytest.mark.parametrize(
    ("stop_after", "options"),
    [
        (4, {}),
        (7, {"heads": True, **EVERYTHING}),
        *(pytest.param(n, {}, marks=pytest.mark.slow) for n in (1, 5, 7, 10)),
        *(pytest.param(n, {"heads": True, **EVERYTHING}, marks=pytest.mark.slow) for n in (3, 10)),
    ],
)
def test_a_stopped_and_resumed_run_is_bit_identical(images, tmp_path, stop_after, options):
    whole = make(images, **options)
    expected = [(r.epoch, r.losses, r.validation, r.best) for r in whole.epochs()]

    steps = itertools.count(1)
    first = make(images, **options)
    first._should_stop = lambda: next(steps) >= stop_after
    seen = list(first.epochs())
    assert len(seen) < 3
    state = through_a_file(first.state(), tmp_path)
    torch.manual_seed(999)  # whatever happened to the global state in between

    second = make(images, **options)
    second.load_state(state)
    seen += list(second.epochs())
    assert [(r.epoch, r.losses, r.validation, r.best) for r in seen] == expected
    assert_same(weights(whole), weights(second))
    assert_same(whole.best_weights, second.best_weights)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epoch", -1),
        ("epoch", True),
        ("epoch", 10**30),
        ("steps_done", -7),
        ("best_epoch", 9),
        ("best_validation", float("nan")),
        ("average_updates", 0.5),
        ("networks", {}),
        ("best_weights", {"x": torch.zeros(1)}),
        ("d_optimiser", {"state": {}, "param_groups": []}),
        ("decoder_optimiser", {}),
        ("sums", torch.zeros(2, 2)),
        ("rng", {"cpu": torch.zeros(3, dtype=torch.uint8)}),
        ("diagnostics", {"steps": "x"}),
    ],
)
def test_a_state_of_something_else_is_refused(images, trained_state, key, value):
    with pytest.raises(ValueError, match=key):
        make(images).load_state({**trained_state, key: value})


@pytest.mark.parametrize("damage", [torch.zeros(3, 3), torch.tensor(float("nan"))])
@pytest.mark.parametrize("part", ["networks", "average", "best_weights", "eg_optimiser"])
def test_tensors_of_a_state_are_checked(images, trained_state, part, damage):
    state = copy.deepcopy(trained_state)
    if part == "eg_optimiser":
        kept = next(iter(state[part]["state"].values()))
        kept["exp_avg"] = damage
    else:
        name = next(name for name, tensor in state[part].items() if tensor.ndim > 1)
        state[part][name] = damage
    with pytest.raises(ValueError, match="not of this training"):
        make(images).load_state(state)


def test_more_epochs_after_the_end(images, tmp_path):
    done = make(images, epochs=2, instance_noise=0.0)
    list(done.epochs())
    longer = make(images, epochs=4, instance_noise=0.0)
    longer.load_state(through_a_file(done.state(), tmp_path))
    straight = make(images, epochs=4, instance_noise=0.0)
    assert [r.epoch for r in longer.epochs()] == [3, 4]
    list(straight.epochs())
    assert_same(weights(longer), weights(straight))


def test_work_between_epochs_changes_nothing(images):
    plain, disturbed = make(images), make(images)
    list(plain.epochs())
    for _ in disturbed.epochs():
        torch.randn(17)
        disturbed.average.generator(torch.randn(3, 5))
    assert_same(weights(plain), weights(disturbed))


def test_best_epoch_is_the_one_that_validated_best(images):
    trainer = make(images, epochs=5)
    records = list(trainer.epochs())
    best = min(records, key=lambda r: r.validation)
    assert trainer.best_epoch == best.epoch
    assert [r.epoch for r in records if r.best][-1] == best.epoch
    trainer.average.load_state_dict(trainer.best_weights)
    assert trainer.validate() == best.validation


def test_divergence_is_an_error_that_names_the_step(images):
    trainer = make(images)
    with torch.no_grad():
        trainer.networks.encoder.head.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="NaN or infinite at epoch 1, step 1"):
        next(trainer.epochs())


def test_instance_noise_decays_to_zero():
    config = TrainConfig(epochs=10, instance_noise=0.2, instance_noise_fraction=0.5)
    levels = [instance_noise(config, epoch) for epoch in range(10)]
    assert levels[0] == 0.2
    assert levels == sorted(levels, reverse=True)
    assert levels[5:] == [0.0] * 5


def test_every_fit_image_is_used_and_order_follows_the_seed(images):
    trainer = make(images)
    first = shown_in(trainer)
    assert Counter(first) == Counter(image.tobytes() for image in images[0])
    assert first == shown_in(make(images))
    assert first != shown_in(trainer)  # the second epoch


def shown_in(trainer):
    """Return the images that the next epoch trains on, in order, each as its bytes."""
    seen = []
    advance = trainer._advance

    def record(batch, noise):
        seen.extend(image.numpy().tobytes() for image in batch)
        return advance(batch, noise)

    trainer._advance = record
    next(trainer.epochs())
    trainer._advance = advance
    return seen


def test_too_few_images(images):
    fit, validation = images
    with pytest.raises(UsageError, match="at least 2 images, got 1"):
        make((fit[:1], validation))


def test_fewer_images_than_a_batch(images):
    fit, validation = images
    trainer = make((fit[:7], validation))
    assert trainer.batch_size == 7
    assert len(list(trainer.epochs())) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "logistic"},
        {"reconstruction_weight": 0.0, "latent_cycle_weight": 0.0},
        {**ADVERSARIAL, "precision": "bf16", "ema_decay": 0.0},
        *(
            pytest.param(options, marks=pytest.mark.slow)
            for options in (
                {"ema_decay": 0.0},
                {"precision": "bf16"},
                {**ADVERSARIAL, "loss": "logistic"},
                {**ADVERSARIAL, "reconstruction_weight": 0.0, "latent_cycle_weight": 0.0},
            )
        ),
    ],
)
def test_objectives_and_precisions_train(images, options):
    trainer = make(images, epochs=2, **options)
    records = list(trainer.epochs())
    assert all(np.isfinite(list(r.losses.values())).all() for r in records)
    if options.get("ema_decay") == 0.0:
        for mine, averaged in zip(
            trainer.networks.parameters(), trainer.average.parameters(), strict=True
        ):
            torch.testing.assert_close(mine, averaged)


def test_an_epoch_passes_over_few_images_several_times(images):
    once, often = make(images), make(images, min_epoch_steps=7)
    assert once.steps_per_epoch == 5
    assert often.steps_per_epoch == 10  # two whole passes
    shown = []
    often._on_step = lambda *place: shown.append(place)
    passes = shown_in(often)
    assert passes[:160] == shown_in(once)
    assert passes[160:] != passes[:160]
    assert Counter(passes[160:]) == Counter(passes[:160])
    list(often.epochs())
    assert shown == [(epoch, step, 10) for epoch in (1, 2, 3) for step in range(1, 11)]


def test_the_last_epoch_is_the_one_kept_where_that_is_asked_for(images):
    trainer = make(images, epochs=3, selection="last", lr=0.02)
    records = list(trainer.epochs())
    assert [record.best for record in records] == [True, True, True]
    assert trainer.best_epoch == 3
    assert trainer.best_validation == records[-1].validation
    assert_same(trainer.best_weights, trainer.average.state_dict())
    usual = make(images, epochs=3, lr=0.02)
    values = [record.validation for record in usual.epochs()]
    assert usual.best_epoch == 1 + values.index(min(values))
    assert values == [record.validation for record in records]


def test_an_average_moves_alike_by_a_number_and_by_a_tensor(images):
    one, two = (make(images).step for _ in range(2))
    for step in (one, two):
        with torch.no_grad():
            for parameter in step.networks.parameters():
                parameter.add_(1)
    one.average.update()
    weight = two.average.next_weight()
    two.average.move(torch.tensor(weight))
    assert 0 < weight < 1
    for (name, a), b in zip(
        one.average.module.state_dict().items(),
        two.average.module.state_dict().values(),
        strict=True,
    ):
        torch.testing.assert_close(a, b, msg=name)


def test_the_optimisers_state_takes_the_layout_of_the_weights(images, tmp_path):
    usual, laid = make(images, epochs=1), make(images, epochs=2)
    to_channels_last(laid.networks)
    list(usual.epochs())
    laid.load_state(through_a_file(usual.state(), tmp_path))
    (record,) = laid.epochs()
    plain = make(images, epochs=2)
    plain.load_state(through_a_file(usual.state(), tmp_path))
    (expected,) = plain.epochs()
    assert record.losses == pytest.approx(expected.losses, abs=1e-3)
    for group in (laid.step.d_optimiser, laid.step.eg_optimiser):
        for parameter, state in group.state.items():
            assert state["exp_avg"].stride() == parameter.stride()
