"""What a training step does, counted rather than timed: on a busy machine counts stay the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model.cycle_discriminators import wanted_cycle_discriminators
from bigan_cli.model.networks import Networks, build_networks
from bigan_cli.model.pretext import wanted_heads
from bigan_cli.model.step import AdversarialStep

CPU = torch.device("cpu")
# Convolutions of each network for images of 8x8: two halvings.
LAYERS = 2
ADVERSARIAL = TrainConfig(adversarial_image_cycle_weight=1.0, adversarial_latent_cycle_weight=1.0)


class Counted(TorchDispatchMode):
    """Counts every operator that runs, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.gradients: Counter[tuple[bool, bool]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func.overloadpacket)
        self.calls[name] += 1
        if name == "aten.convolution_backward":
            to_input, to_weight, _ = args[10]
            self.gradients[to_input, to_weight] += 1
        return func(*args, **(kwargs or {}))


class Listed(TorchDispatchMode):
    """Lists every operator that runs, with the shapes it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, list[tuple[int, ...]]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shapes = [tuple(a.shape) for a in tree_leaves(args) if isinstance(a, torch.Tensor)]
        self.calls.append((str(func), shapes))
        return func(*args, **(kwargs or {}))


def count_step(config: TrainConfig, precision: str = "fp32") -> Counted:
    options = DcganOptions(feature_maps_gen=4, feature_maps_disc=4)
    shape = ImageShape(1, 8, 8)
    heads = wanted_heads(config, shape)
    cycle_discriminators = wanted_cycle_discriminators(config)
    networks: Networks = build_networks(Dcgan(options), shape, 6, 0, heads, cycle_discriminators)
    step = AdversarialStep(networks, config, CPU, precision)
    x = torch.rand(16, 1, 8, 8) * 2 - 1
    step(x, 0.1)  # Adam makes its state in the first one
    with Counted() as counted:
        step(x, 0.1)
    return counted


EVERYTHING = TrainConfig(
    rotation_weight=1.0,
    shift_weight=1.0,
    flip_weight=1.0,
    augmentations=("colour", "translation", "cutout"),
)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "config",
    [TrainConfig(), EVERYTHING, ADVERSARIAL],
    ids=["usual", "everything", "adversarial"],
)
def test_nothing_in_a_step_waits_for_the_device(precision, config):
    calls = count_step(config, precision).calls
    # How a value, a condition or a list of places comes to the host.
    assert {"aten._local_scalar_dense", "aten.is_nonzero", "aten.nonzero"}.isdisjoint(calls)


@pytest.mark.parametrize(
    "config",
    [TrainConfig(), EVERYTHING, ADVERSARIAL],
    ids=["usual", "everything", "adversarial"],
)
def test_every_step_asks_for_the_same_operations(config):
    # Whatever is drawn: only then can a CUDA graph of one step stand for all of them.
    options = DcganOptions(feature_maps_gen=4, feature_maps_disc=4, spectral_norm=True)
    shape = ImageShape(3, 12, 12)
    heads, cycle_discriminators = wanted_heads(config, shape), wanted_cycle_discriminators(config)
    networks = build_networks(Dcgan(options), shape, 6, 0, heads, cycle_discriminators)
    step = AdversarialStep(networks, config, CPU, "fp32")
    noise, weight = torch.tensor(0.1), torch.tensor(0.01)
    step(torch.rand(16, 3, 12, 12), 0.1)  # Adam makes its state in the first one
    lists = []
    for seed in range(6):
        torch.manual_seed(seed)
        x = torch.rand(16, 3, 12, 12) * 2 - 1
        with Listed() as listed:
            step.run(x, noise, weight)
        lists.append(listed.calls)
    assert len(lists[0]) > 300
    assert all(calls == lists[0] for calls in lists[1:])


def test_each_network_runs_forward_no_more_than_it_must():
    calls = count_step(TrainConfig()).calls
    # E once for x and G(z) together, G for z and for E(x), D twice for its own update, the
    # second time for its heads, and twice for that of E and G: for the real images, and for the
    # generated ones.
    assert calls["aten.convolution"] == LAYERS * (1 + 2 + 4)


def test_no_gradient_is_made_that_nobody_uses():
    gradients = count_step(TrainConfig()).gradients
    # (to the input, to the weights): D's own update needs none to the pictures; the frozen D
    # none to its weights, and none at all where it looks at real images; E and G need both.
    d_update = Counter({(False, True): 2, (True, True): 2 * (LAYERS - 1)})
    frozen_d = Counter({(True, False): LAYERS})
    e_and_g = Counter({(True, True): LAYERS * (1 + 2)})
    assert gradients == d_update + frozen_d + e_and_g


def test_plain_bigan_costs_neither_cycles_nor_heads():
    plain = TrainConfig(reconstruction_weight=0.0, latent_cycle_weight=0.0, distortion_weight=0.0)
    calls = count_step(plain).calls
    assert calls["aten.convolution"] == LAYERS * (1 + 1 + 3)


def test_all_heads_share_one_pass_and_augmenting_costs_none():
    calls = count_step(EVERYTHING).calls
    assert calls["aten.convolution"] == LAYERS * (1 + 2 + 4)


def test_adversarial_cycles_cost_only_their_own_discriminators():
    usual, adversarial = count_step(TrainConfig()), count_step(ADVERSARIAL)
    # D_xx, which has two convolutions here too, for both kinds of pairs and once frozen: what E
    # and G make is made once.
    passes = adversarial.calls["aten.convolution"] - usual.calls["aten.convolution"]
    assert passes == LAYERS * 2
    # Its own update needs no gradient to the pictures; frozen, it needs none to its weights.
    own, frozen = Counter({(False, True): 1, (True, True): LAYERS - 1}), {(True, False): LAYERS}
    assert adversarial.gradients == usual.gradients + own + Counter(frozen)
    alone = ADVERSARIAL.model_copy(
        update={"reconstruction_weight": 0.0, "latent_cycle_weight": 0.0}
    )
    assert count_step(alone).calls["aten.convolution"] == adversarial.calls["aten.convolution"]


def test_operators_in_a_step_stay_few():
    calls = count_step(TrainConfig()).calls
    launched = sum(
        n for name, n in calls.items() if not name.startswith(("aten.view", "aten.detach"))
    )
    # 435 when this was written; on a GPU most of them are launches.
    assert launched < 480, calls.most_common(20)
    # One call each for all parameters: both optimisers, and the average.
    assert calls["aten._fused_adam_"] == 2
    assert calls["aten._foreach_lerp_"] == 1
